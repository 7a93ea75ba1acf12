"""Reads instructions: which flags each takes, how its line is cut, what it must have."""

from __future__ import annotations

from tierce.dockerfile import lexer
from tierce.dockerfile.flags import SWITCH, TEXT, TEXTS, Flags, parse_flags
from tierce.dockerfile.gotext import SPACES, parse_duration, quote
from tierce.dockerfile.instructions import (
    Arg,
    Assignment,
    Cmd,
    Command,
    CommandLine,
    Copy,
    Declaration,
    Entrypoint,
    Env,
    Expose,
    From,
    HealthCheck,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from tierce.dockerfile.lexer import Heredoc
from tierce.dockerfile.mounts import mount_from
from tierce.dockerfile.parser import Instruction
from tierce.dockerfile.suggest import did_you_mean
from tierce.errors import InvalidValue
from tierce.oci.config import Healthcheck

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable

NETWORKS = ("default", "none", "host")
SECURITY_MODES = ("sandbox", "insecure")

_STAGE_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_ARGUMENT = "requires exactly one argument"
_AT_LEAST_ONE = "requires at least one argument"


def reader_of(instruction: Instruction) -> Callable[[Instruction, str], From | Command]:
    """What reads such an instruction. Raises InvalidValue for one that does not exist."""
    reader = _READERS.get(instruction.name)
    if reader is None:
        keyword = instruction.keyword
        near = did_you_mean(keyword, [name.upper() for name in _READERS], ignore_case=True)
        raise InvalidValue(f"unknown instruction: {keyword}{near}", value=keyword)
    return reader


def _flags(instruction: Instruction, **known: str) -> Flags:
    return parse_flags(
        instruction.flags, {name.replace("_", "-"): kind for name, kind in known.items()}
    )


def _from(instruction: Instruction, escape: str) -> From:
    words = _blank_separated(instruction)
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not ("a" <= name[0] <= "z") or not _STAGE_NAME_CHARACTERS.issuperset(name):
            raise InvalidValue(
                f"invalid name for build stage: {quote(words[2])},"
                " name can't start with a number or contain symbols",
                value=words[2],
            )
    elif len(words) != 1:
        raise InvalidValue("FROM requires either one or three arguments")
    platform = _flags(instruction, platform=TEXT).text("platform")
    return From(instruction, words[0], name, platform)


def _arg(instruction: Instruction, escape: str) -> Arg:
    # As in BuildKit, flags of ARG are not looked at.
    words = lexer.split_words(instruction.arguments, escape)
    if not words:
        raise InvalidValue(f"ARG {_AT_LEAST_ONE}")
    declarations = []
    for word in words:
        name, equals, default = word.partition("=")
        if not name:
            raise InvalidValue("ARG names can not be blank")
        declarations.append(Declaration(name, default if equals else None))
    return Arg(instruction, tuple(declarations))


def _env(instruction: Instruction, escape: str) -> Env:
    _flags(instruction)
    return Env(instruction, _assignments(instruction, escape))


def _label(instruction: Instruction, escape: str) -> Label:
    _flags(instruction)
    return Label(instruction, _assignments(instruction, escape))


def _assignments(instruction: Instruction, escape: str) -> tuple[Assignment, ...]:
    """`name=value …`, or the old form `name value`, which takes all of the line as value."""
    keyword = instruction.name.upper()
    words = lexer.split_words(instruction.arguments, escape)
    if not words:
        raise InvalidValue(f"{keyword} {_AT_LEAST_ONE}")
    if "=" not in words[0]:
        parts = lexer.split_blanks(instruction.arguments, 1)
        if len(parts) < 2:
            raise lexer.SyntaxMistake(f"{keyword} must have two arguments")
        return (Assignment(parts[0], parts[1], is_legacy=True),)
    assignments = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise lexer.SyntaxMistake(
                f"Syntax error - can't find = in {quote(word)}. Must be of the form: name=value",
                value=word,
            )
        if not name:
            raise InvalidValue(f"{keyword} names can not be blank")
        assignments.append(Assignment(name, value))
    return tuple(assignments)


def _run(instruction: Instruction, escape: str) -> Run:
    flags = _flags(instruction, mount=TEXTS, network=TEXT, security=TEXT, device=TEXTS)
    mounts = flags.texts("mount")
    network = flags.text("network", "default")
    if network not in NETWORKS:
        raise InvalidValue(
            f"invalid network mode {quote(network)}{did_you_mean(network, NETWORKS)}",
            value=network,
        )
    security = flags.text("security", "sandbox")
    if security not in SECURITY_MODES:
        raise InvalidValue(
            f"security {quote(security)} is not valid{did_you_mean(security, SECURITY_MODES)}",
            value=security,
        )
    command = _command_line(instruction.arguments)
    if not command.words:
        raise InvalidValue(f"RUN {_AT_LEAST_ONE}")
    sources = tuple([mount_from(mount) for mount in mounts])
    return Run(instruction, command, mounts, sources, network, security, flags.texts("device"))


def _copy(instruction: Instruction, escape: str) -> Copy:
    words = _list_or_words(instruction)
    _require_destination("COPY", words)
    flags = _flags(
        instruction,
        chown=TEXT,
        **{"from": TEXT},
        chmod=TEXT,
        link=SWITCH,
        exclude=TEXTS,
        parents=SWITCH,
    )
    sources, documents, destination = _sources("COPY", words, instruction)
    return Copy(
        instruction,
        sources,
        documents,
        destination,
        copy_from=flags.text("from"),
        owner=flags.text("chown"),
        mode=flags.text("chmod"),
        link=bool(flags.switch("link")),
        parents=bool(flags.switch("parents")),
        excludes=flags.texts("exclude"),
    )


def _add(instruction: Instruction, escape: str) -> Copy:
    words = _list_or_words(instruction)
    _require_destination("ADD", words)
    flags = _flags(
        instruction,
        chown=TEXT,
        chmod=TEXT,
        link=SWITCH,
        keep_git_dir=SWITCH,
        checksum=TEXT,
        unpack=SWITCH,
        exclude=TEXTS,
    )
    sources, documents, destination = _sources("ADD", words, instruction)
    return Copy(
        instruction,
        sources,
        documents,
        destination,
        owner=flags.text("chown"),
        mode=flags.text("chmod"),
        link=bool(flags.switch("link")),
        excludes=flags.texts("exclude"),
        is_add=True,
        checksum=flags.text("checksum"),
        keep_git_directory=flags.switch("keep-git-dir"),
        unpack=flags.switch("unpack"),
    )


def _require_destination(keyword: str, words: tuple[str, ...]) -> None:
    if len(words) < 2:
        raise InvalidValue(
            f"{keyword} requires at least two arguments, but only one was provided."
            " Destination could not be determined"
        )


def _sources(
    keyword: str, words: tuple[str, ...], instruction: Instruction
) -> tuple[tuple[str, ...], tuple[Heredoc, ...], str]:
    """(paths, heredocs, destination)."""
    *sources, destination = words
    if _heredoc_of(destination) is not None:
        raise InvalidValue(f"{keyword} cannot accept a heredoc as a destination")
    contents = {heredoc.name: heredoc for heredoc in instruction.heredocs}
    paths: list[str] = []
    documents: list[Heredoc] = []
    for source in sources:
        announced = _heredoc_of(source)
        if announced is None:
            paths.append(source)
        else:
            documents.append(contents.get(announced.name, announced))
    return tuple(paths), tuple(documents), destination


def _heredoc_of(word: str) -> Heredoc | None:
    if "<<" not in word:
        return None
    try:
        return lexer.heredoc_word(word)
    except InvalidValue:
        return None  # half of a quoted name: it is taken for a path, and refused as one


def _workdir(instruction: Instruction, escape: str) -> Workdir:
    return Workdir(instruction, _only_argument(instruction))


def _user(instruction: Instruction, escape: str) -> User:
    return User(instruction, _only_argument(instruction))


def _maintainer(instruction: Instruction, escape: str) -> Maintainer:
    return Maintainer(instruction, _only_argument(instruction))


def _stop_signal(instruction: Instruction, escape: str) -> StopSignal:
    # As in BuildKit, flags of STOPSIGNAL are not looked at.
    if not instruction.arguments:
        raise InvalidValue(f"STOPSIGNAL {_ARGUMENT}")
    return StopSignal(instruction, instruction.arguments)


def _only_argument(instruction: Instruction) -> str:
    """All of the line, white space included."""
    if not instruction.arguments:
        raise InvalidValue(f"{instruction.name.upper()} {_ARGUMENT}")
    _flags(instruction)
    return instruction.arguments


def _cmd(instruction: Instruction, escape: str) -> Cmd:
    _flags(instruction)
    return Cmd(instruction, _command_line(instruction.arguments))


def _entrypoint(instruction: Instruction, escape: str) -> Entrypoint:
    _flags(instruction)
    return Entrypoint(instruction, _command_line(instruction.arguments))


def _command_line(text: str) -> CommandLine:
    words = lexer.string_list(text)
    if words is not None:
        return CommandLine(words, is_shell=False)
    return CommandLine((text,), is_shell=True)


def _expose(instruction: Instruction, escape: str) -> Expose:
    ports = _blank_separated(instruction)
    if not ports:
        raise InvalidValue(f"EXPOSE {_AT_LEAST_ONE}")
    _flags(instruction)
    return Expose(instruction, tuple(sorted(ports)))


def _volume(instruction: Instruction, escape: str) -> Volume:
    paths = _list_or_words(instruction)
    if not paths:
        raise InvalidValue(f"VOLUME {_AT_LEAST_ONE}")
    _flags(instruction)
    stripped = tuple([path.strip(SPACES) for path in paths])
    if "" in stripped:
        raise InvalidValue("VOLUME specified can not be an empty string")
    return Volume(instruction, stripped)


def _shell(instruction: Instruction, escape: str) -> Shell:
    _flags(instruction)
    words = lexer.string_list(instruction.arguments)
    if not instruction.arguments or words == ():
        raise InvalidValue(f"SHELL {_AT_LEAST_ONE}")
    if words is None:
        raise InvalidValue("SHELL requires the arguments to be in JSON form")
    return Shell(instruction, words)


def _healthcheck(instruction: Instruction, escape: str) -> HealthCheck:
    arguments = instruction.arguments
    if not arguments:
        raise InvalidValue(f"HEALTHCHECK {_AT_LEAST_ONE}")
    end = next((i for i, each in enumerate(arguments) if each in SPACES), len(arguments))
    kind = arguments[:end].upper()
    rest = arguments[end:].lstrip(SPACES)
    if kind == "NONE":
        if rest:
            raise InvalidValue("HEALTHCHECK NONE takes no arguments")
        return HealthCheck(instruction, Healthcheck(("NONE",)))
    flags = _flags(
        instruction,
        interval=TEXT,
        timeout=TEXT,
        start_period=TEXT,
        start_interval=TEXT,
        retries=TEXT,
    )
    if kind != "CMD":
        raise InvalidValue(f"Unknown type {quote(kind)} in HEALTHCHECK (try CMD)", value=kind)
    command = _command_line(rest)
    if not rest or not command.words:
        raise InvalidValue("Missing command after HEALTHCHECK CMD")
    return HealthCheck(
        instruction,
        Healthcheck(
            ("CMD-SHELL" if command.is_shell else "CMD", *command.words),
            _interval("interval", flags),
            _interval("timeout", flags),
            _interval("start-period", flags),
            _interval("start-interval", flags),
            _retries(flags.text("retries")),
        ),
    )


def _interval(name: str, flags: Flags) -> int:
    text = flags.text(name)
    if not text:
        return 0
    nanoseconds = parse_duration(text)
    if nanoseconds and nanoseconds < 1_000_000:
        raise InvalidValue(f"Interval {quote(name)} cannot be less than 1ms", value=text)
    return nanoseconds


def _retries(text: str) -> int:
    if not text:
        return 0
    digits = text.removeprefix("+").removeprefix("-")
    if not digits or digits.strip("0123456789"):
        raise InvalidValue(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax", value=text)
    if len(digits) > 10 or int(digits) >= 1 << 31:
        raise InvalidValue(
            f"strconv.ParseInt: parsing {quote(text)}: value out of range", value=text
        )
    if int(text) < 0:
        raise InvalidValue(f"--retries cannot be negative ({int(text)})", value=text)
    return int(text)


def _on_build(instruction: Instruction, escape: str) -> OnBuild:
    if not instruction.arguments:
        raise InvalidValue(f"ONBUILD {_AT_LEAST_ONE}")
    _flags(instruction)
    keyword = lexer.split_blanks(instruction.arguments, 1)[0].upper()
    if keyword == "ONBUILD":
        raise InvalidValue("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("MAINTAINER", "FROM"):
        raise InvalidValue(f"{keyword} isn't allowed as an ONBUILD trigger", value=keyword)
    _read_trigger(instruction, escape)
    trigger = instruction.original.lstrip(SPACES)[len("ONBUILD") :].lstrip(SPACES)
    for heredoc in instruction.heredocs:
        trigger += f"\n{heredoc.content}{heredoc.name}"
    return OnBuild(instruction, trigger)


def _read_trigger(instruction: Instruction, escape: str) -> None:
    """Find mistakes in a trigger here, and not in every build on this image."""
    keyword, flags, arguments = lexer.split_line(instruction.arguments, escape)
    trigger = instruction.replace(keyword=keyword, flags=flags, arguments=arguments)
    reader_of(trigger)(trigger, escape)


def _blank_separated(instruction: Instruction) -> list[str]:
    arguments = instruction.arguments
    return lexer.split_blanks(arguments) if arguments else []


def _list_or_words(instruction: Instruction) -> tuple[str, ...]:
    words = lexer.string_list(instruction.arguments)
    return tuple(_blank_separated(instruction)) if words is None else words


_READERS: dict[str, Callable[[Instruction, str], From | Command]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "from": _from,
    "healthcheck": _healthcheck,
    "label": _label,
    "maintainer": _maintainer,
    "onbuild": _on_build,
    "run": _run,
    "shell": _shell,
    "stopsignal": _stop_signal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}
