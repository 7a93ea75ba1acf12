"""The instructions that change the config of the image, and nothing in its file system."""

from __future__ import annotations

from tierce.dockerfile import instructions as df
from tierce.dockerfile import lint
from tierce.dockerfile.gotext import duration_text, plain_list, quoted_list
from tierce.dockerfile.ports import exposed_ports, read_port
from tierce.errors import InvalidValue
from tierce.frontend.arguments import NOT_IN_ENVIRONMENT
from tierce.frontend.context import Context
from tierce.frontend.image import ImageDraft
from tierce.frontend.lint import check_port, check_secret
from tierce.frontend.stages import Stage
from tierce.oci.config import Healthcheck

_SIGNALS = frozenset(
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT"
    " STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX".split()
    + [f"RTMIN+{number}" for number in range(1, 16)]
    + [f"RTMAX-{number}" for number in range(1, 15)]
)


def apply(context: Context, stage: Stage, image: ImageDraft, command: df.Command) -> None:
    """Apply an instruction to the config and note it in the history.

    Raises InvalidValue for what is wrong in its expanded words.
    """
    if isinstance(command, df.OnBuild):
        image.on_build.append(command.trigger)
        return  # a trigger has no entry in the history
    image.add_history(_apply(context, stage, image, command), context.created, None)


def _apply(context: Context, stage: Stage, image: ImageDraft, command: df.Command) -> str:
    """Apply an instruction; what the history says of it."""
    if isinstance(command, df.Env):
        return "ENV" + _env(context, stage, image, command)
    if isinstance(command, df.Arg):
        return "ARG " + _arg(context, stage, command)
    if isinstance(command, df.Label):
        return "LABEL" + _label(context, stage, image, command)
    if isinstance(command, df.Cmd):
        _check_only_one(context, stage, command)
        image.cmd = _with_shell(context, image, command)
        image.args_escaped = True
        return f"CMD {quoted_list(image.cmd)}"
    if isinstance(command, df.Entrypoint):
        _check_only_one(context, stage, command)
        image.entrypoint = _with_shell(context, image, command)
        if df.Cmd not in stage.last_places:
            image.cmd = None  # that of the base image was meant for another entrypoint
        return f"ENTRYPOINT {quoted_list(image.entrypoint)}"
    if isinstance(command, df.User):
        image.user = context.expand(command.user, stage)
        return f"USER {image.user}"
    if isinstance(command, df.Expose):
        return f"EXPOSE {plain_list(_expose(context, stage, image, command))}"
    if isinstance(command, df.Volume):
        return f"VOLUME {plain_list(_volume(context, stage, image, command))}"
    if isinstance(command, df.StopSignal):
        image.stop_signal = _signal(context.expand(command.signal, stage))
        return f"STOPSIGNAL {image.stop_signal}"
    if isinstance(command, df.Shell):
        image.shell = command.words
        return f"SHELL {plain_list(command.words)}"
    if isinstance(command, df.HealthCheck):
        _check_only_one(context, stage, command)
        image.healthcheck = command.check
        return f"HEALTHCHECK {_healthcheck_text(command.check)}"
    assert isinstance(command, df.Maintainer), command
    image.author = command.name
    return f"MAINTAINER {command.name}"


def _expanded(context: Context, stage: Stage, command: df.Env | df.Label) -> list[tuple[str, str]]:
    """Names and values; all see the variables as they were before the instruction."""
    expanded = [
        (context.expand(each.name, stage), context.expand(each.value, stage))
        for each in command.assignments
    ]
    if command.assignments[0].is_legacy:
        context.report(lint.LEGACY_KEY_VALUE_FORMAT, command.source.keyword)
    return expanded


def _check_only_one(
    context: Context, stage: Stage, command: df.Cmd | df.Entrypoint | df.HealthCheck
) -> None:
    """It is the previous one that means nothing."""
    kind, place = type(command), command.source
    if (previous := stage.last_places.get(kind)) is not None:
        context.report_there(previous, lint.MULTIPLE_INSTRUCTIONS_DISALLOWED, place.keyword)
    stage.last_places[kind] = place


def _env(context: Context, stage: Stage, image: ImageDraft, command: df.Env) -> str:
    text = ""
    for name, value in _expanded(context, stage, command):
        check_secret("ENV", name, context.report)
        context.set_variable(stage, name, value)
        image.set_env(name, value)
        text += f" {name}={value}"
    return text


def _label(context: Context, stage: Stage, image: ImageDraft, command: df.Label) -> str:
    text = ""
    for name, value in _expanded(context, stage, command):
        image.set_label(name, value)
        text += f" {name}={value}"
    return text


def _arg(context: Context, stage: Stage, command: df.Arg) -> str:
    """Declare arguments; the caller's value goes before the default, which goes before global."""
    shown: list[str] = []
    for declaration in command.declarations:
        name = declaration.name
        check_secret("ARG", name, context.report)
        value = context.options.build_args.get(name)
        is_global = False
        if value is None:
            if declaration.default is None:
                value = context.arguments.get(name)
                is_global = value is not None
            else:
                value = context.expand(declaration.default, stage)
        if value is not None and name not in NOT_IN_ENVIRONMENT:
            context.set_variable(stage, name, value)
        stage.arguments[name] = value or ""
        if not is_global:
            stage.declared[name] = (value or "", command.source)
        else:
            stage.declared.setdefault(name, None)
        shown.append(name if value is None else f"{name}={value}")
    return " ".join(shown)


def _expose(context: Context, stage: Stage, image: ImageDraft, command: df.Expose) -> list[str]:
    words = [word for text in command.ports for word in context.expand_words(text, stage)]
    ports: list[str] = []
    for word in map(read_port, words):
        check_port(word, context.report)
        ports += exposed_ports(word)
    image.add_ports(ports)
    return ports


def _volume(context: Context, stage: Stage, image: ImageDraft, command: df.Volume) -> list[str]:
    paths = [context.expand(path, stage) for path in command.paths]
    for path in paths:
        if not path:
            raise InvalidValue("VOLUME specified can not be an empty string")
        image.add_volume(path)
    return paths


def _with_shell(
    context: Context, image: ImageDraft, command: df.Cmd | df.Entrypoint
) -> tuple[str, ...]:
    line = command.command
    if not line.is_shell:
        return line.words
    if not image.shell:
        context.report(lint.JSON_ARGS_RECOMMENDED, command.source.keyword)
    return (*image.command_shell, *line.words)


def _signal(text: str) -> str:
    """The signal as written, if there is such a one."""
    number = text.removeprefix("+").removeprefix("-")
    if number.isdecimal() and number.isascii():
        known = number.strip("0") != ""
    else:
        known = text.upper().removeprefix("SIG") in _SIGNALS
    if not known:
        raise InvalidValue(f"invalid signal: {text}", value=text)
    return text


def _healthcheck_text(check: Healthcheck) -> str:
    """What fmt prints for `%+v` of the struct."""
    return (
        f"{{Test:{plain_list(check.test)} Interval:{duration_text(check.interval_ns)}"
        f" Timeout:{duration_text(check.timeout_ns)}"
        f" StartPeriod:{duration_text(check.start_period_ns)}"
        f" StartInterval:{duration_text(check.start_interval_ns)} Retries:{check.retries}}}"
    )
