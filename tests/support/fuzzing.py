"""Dockerfiles that nobody wrote: made by a grammar, and real ones with changes.

`answer_or_refuse` is what has to be true of every one of them.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from support.frontend import BUILD_PLATFORM, Resolver, plan_of
from tierce.errors import DockerfileError, TierceError
from tierce.frontend.check import check
from tierce.frontend.options import Options
from tierce.graph.patterns import compile_patterns

GOLDEN = Path(__file__).parents[1] / "golden"
IGNORE = compile_patterns(["*.md", "secret", "a/**"])

NAMES = "A B a x PATH TARGETARCH s none 0 é".split()
WORDS = (
    "a /a ./b ../c /a/ . / * a* [a-z] x=y x=\"y z\" 'q' \\ ` \" ' = == , : ; ~ # << <<E <<-E <<'E'"
    " 80 80/udp 1-9 80:80 127.0.0.1:80:80 root 1000:1000 0644 u+x,g-w CMD NONE alpine scratch full"
    ' arm triggers no-such git@h:p https://h/f https://h/r.git#b:d [] ["a"] ["a","b"] [1] {}'
    " \0 \x85 \u2028 \ufeff \ud800 é 日本"
).split(" ")
OPERATORS = ":- - :+ + :? ? # ## % %% / //".split()
MOUNTS = (
    "type=bind type=cache type=tmpfs type=secret type=ssh type=x from=s from=0 source=/a src=b"
    " target=/t dst=t id=i sharing=locked sharing=x mode=0700 mode=9 uid=1 gid=x size=1g required"
    " required=false ro rw=x env=E target=/ ,"
).split()
FLAGS = (
    "--from=s --from=0 --from=9 --from=alpine --chown=1:1 --chmod=7 --chmod=$A --link"
    " --link=x --parents --exclude=*.o --checksum=sha256:0 --keep-git-dir --unpack=false"
    " --platform=linux/arm64 --platform=$TARGETPLATFORM --platform=x/ --network=none"
    " --network=x --security=insecure --device=d --interval=1s --timeout=x --retries=-1"
    " --start-period=1h --x --x=y --"
).split()
KEYWORDS = (
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL"
    " STOPSIGNAL USER VOLUME WORKDIR RUM"
).split()
COMMENTS = (
    "# text",
    "# A describes",
    "#",
    " # indented",
    "# check=skip=all",
    "# check=skip=UndefinedVar;error=true",
    "# check=experimental=all",
    "# check=error=x",
    "# check=x",
    "# escape=`",
    "# escape=x",
    "# syntax=docker/dockerfile:1",
    "#!/bin/x",
)


def _substitution(name: str, operator: str, word: str, braces: bool, end: str) -> str:
    return f"${{{name}{operator}{word}{end}" if braces else f"${name}"


SUBSTITUTIONS = st.builds(
    _substitution,
    st.sampled_from(NAMES),
    st.sampled_from(["", *OPERATORS, ":", "!"]),
    st.recursive(
        st.sampled_from(["", "w", "*", "?", "\\}", "a/b"]),
        lambda inner: inner.map(lambda word: f"${{A:-{word}}}"),
        max_leaves=4,
    ),
    st.booleans(),
    st.sampled_from(["}", "}", "}", ""]),
)
ATOMS = st.one_of(st.sampled_from(WORDS), SUBSTITUTIONS, st.text(max_size=4))
ARGUMENTS = st.lists(ATOMS, min_size=1, max_size=3).map("".join)
MOUNT_FLAGS = st.lists(st.one_of(st.sampled_from(MOUNTS), SUBSTITUTIONS), max_size=4).map(
    lambda fields: "--mount=" + ",".join(fields)
)
CASES = st.sampled_from([str, str, str, str.lower, str.title])
DOCUMENTS = st.sampled_from(["", "", "", "\nE", "\nline $A\nE", "\n\t#!/bin/sh\n\tE", "\nE\nE"])


def _instruction(
    case: Any, keyword: str, flags: list[str], words: list[str], joint: str, document: str
) -> str:
    return joint.join([case(keyword), *flags, *words]) + document


INSTRUCTIONS = st.builds(
    _instruction,
    CASES,
    st.sampled_from(KEYWORDS),
    st.lists(st.one_of(st.sampled_from(FLAGS), MOUNT_FLAGS), max_size=2),
    st.lists(ARGUMENTS, max_size=4),
    st.sampled_from([" ", " ", " ", "\t", " \\\n ", " \\\n\n", " `\n", "  \\\n# c\n  "]),
    DOCUMENTS,
)
STAGES = st.builds(
    lambda base, platform, name: f"FROM {platform}{base}{name}",
    st.one_of(st.sampled_from(["alpine", "scratch", "full", "triggers", "s", "$A"]), ARGUMENTS),
    st.sampled_from(["", "", "--platform=$BUILDPLATFORM ", "--platform=linux/amd64 "]),
    st.sampled_from(["", " AS s", " as S", " AS scratch", " AS 1"]),
)
LINES = st.one_of(INSTRUCTIONS, INSTRUCTIONS, INSTRUCTIONS, STAGES, st.sampled_from(COMMENTS))
GENERATED = st.builds(
    lambda head, lines, separator: head + separator.join(lines),
    st.sampled_from(["", "", "FROM alpine\n", "ARG A=1\nFROM full AS s\n", "# escape=`\nFROM s\n"]),
    st.lists(LINES, max_size=10),
    st.sampled_from(["\n", "\n", "\r\n", "\n\n"]),
)


@cache
def corpus() -> list[str]:
    """The Dockerfiles of all golden cases."""
    return [
        table["dockerfile"]
        for path in sorted(GOLDEN.glob("*/*.toml"))
        for table in tomllib.loads(path.read_text()).values()
        if "dockerfile" in table
    ]


def _changed(text: str, kind: str, at: float, piece: str) -> str:
    """The text with one change, at a part of its length."""
    place = int(len(text) * at)
    lines = text.split("\n")
    number = min(int(len(lines) * at), len(lines) - 1)
    if kind == "insert":
        return text[:place] + piece + text[place:]
    if kind == "delete":
        return text[:place] + text[place + 1 + len(piece) :]
    if kind == "cut":
        return text[:place]
    if kind == "replace":
        return text[:place] + piece + text[place + len(piece) :]
    if kind == "drop line":
        del lines[number]
    elif kind == "repeat line":
        lines.insert(number, lines[number])
    elif kind == "add line":
        lines.insert(number, piece)
    elif kind == "join lines":
        lines[number : number + 2] = [" ".join(lines[number : number + 2])]
    else:
        lines[number] = lines[number].swapcase()
    return "\n".join(lines)


KINDS = (
    "insert",
    "delete",
    "cut",
    "replace",
    "drop line",
    "repeat line",
    "add line",
    "join lines",
    "swap case",
)
CHANGES = st.tuples(
    st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True), st.one_of(ATOMS, LINES)
)


def _mutated(text: str, changes: list[tuple[str, float, str]]) -> str:
    for kind, at, piece in changes:
        text = _changed(text, kind, at, piece)
    return text


MUTATED = st.deferred(
    lambda: st.builds(
        _mutated, st.sampled_from(corpus()), st.lists(CHANGES, min_size=1, max_size=4)
    )
)
GIVEN_ARGUMENTS = st.dictionaries(st.sampled_from(["A", "B", "s"]), st.text(max_size=5), max_size=2)


def answer_or_refuse(text: str, arguments: dict[str, str]) -> None:
    """Check and lower a Dockerfile: nothing is raised but an error with a line in the file."""
    _check_refusal(text, _refusal_of_lowering(text, arguments))
    raw = text.encode("utf-8", "surrogatepass")
    options = Options(build_args=arguments, build_platform=BUILD_PLATFORM)
    result = check(raw, "Dockerfile", options, Resolver(), lambda: IGNORE)
    assert result.error is None or isinstance(result.error, DockerfileError)
    _check_refusal(raw.decode("utf-8", "replace"), result.error)
    last = raw.count(b"\n") + 1
    for finding in result.findings:
        assert 0 <= finding.first_line <= finding.last_line <= last
        assert finding.message


def _refusal_of_lowering(text: str, arguments: dict[str, str]) -> DockerfileError | None:
    try:
        plan_of(text, build_args=arguments).config.encode()
    except DockerfileError as error:
        return error
    return None


def _check_refusal(text: str, error: TierceError | None) -> None:
    if not isinstance(error, DockerfileError):
        assert error is None
        return
    lines = text.removeprefix("\ufeff").count("\n") + 1
    assert 0 <= error.line <= error.end_line <= lines
    of_all = ("stages", "cannot be empty", "lint violation", "failed to parse check options")
    assert error.line or any(word in error.message for word in of_all), error.message
    assert "\n" not in error.message
