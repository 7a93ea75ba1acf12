"""SOURCE_DATE_EPOCH that is no number but names what has a time: a context, or a stage.

Loaded by Dockerfiles that have one. The rules and the refusals are those of BuildKit
(frontend/dockerfile/dockerfile2llb/epoch.go).
"""

from __future__ import annotations

from tierce import frontend
from tierce.dockerfile import words
from tierce.dockerfile.instructions import Arg, Copy, From
from tierce.errors import InvalidValue
from tierce.frontend.paths import is_git, is_url
from tierce.graph.vertex import Vertex
from tierce.oci.epoch import EPOCH, invalid_epoch
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.dockerfile.instructions import Command
    from tierce.dockerfile.parser import Dockerfile
    from tierce.frontend.options import Options
    from tierce.oci.platform import Platform

_CONTEXT = "context"
_SHOWN = f"[internal] load source of {EPOCH}"


def resolve_epoch(
    name: str,
    dockerfile: Dockerfile,
    instructions: Sequence[From | Command],
    arguments: Mapping[str, str],
    options: Options,
    platform: Platform,
) -> int | None:
    """The time of what `name` names, in seconds since 1970; None for what has none.

    `arguments` are those before the first FROM; `platform` is what is built for. Raises
    UsageError when nothing is called so, DockerfileError for a stage that is more than one
    source, InvalidValue for what can be no name, and what `options` raise.
    """
    if name == _CONTEXT:
        return _time_of(options.context, options)
    value = options.contexts.get(_canonical(name), "")
    scheme, _, target = value.partition(":")
    if value and scheme != "target":
        load = options.load_context
        return _time_of(load(_canonical(name), platform).vertex if load else None, options)
    wanted = (target or name).lower()
    for index, instruction in enumerate(instructions):
        if isinstance(instruction, From) and instruction.name.lower() == wanted:
            try:
                source = _source_of(
                    *(instruction, instructions[index + 1 :], arguments, options),
                    words.Rules(escape=dockerfile.escape),
                )
            except InvalidValue as error:
                place = instruction.source
                raise dockerfile.error(
                    error.message, place.first_line, place.last_line, hint=error.hint
                ) from None
            return _time_of(source, options)
    raise invalid_epoch(name)


def _time_of(source: Vertex | None, options: Options) -> int | None:
    if source is None or options.source_time is None:
        return None
    return options.source_time(source)


def _canonical(name: str) -> str:
    try:
        return Reference.parse(name).familiar.removesuffix(":latest")
    except InvalidValue as error:
        raise InvalidValue(
            f"invalid context name {name}: {error.message}", value=name, hint=error.hint
        ) from None


def _source_of(
    definition: From,
    following: Sequence[From | Command],
    arguments: Mapping[str, str],
    options: Options,
    rules: words.Rules,
) -> Vertex:
    """What the one ADD of a stage fetches. Raises InvalidValue for a stage of any other kind."""
    known = {name: value for name, value in arguments.items() if name != EPOCH}
    if words.expand(definition.base, known, rules) != "scratch":
        raise InvalidValue(f"{EPOCH} stage must use FROM scratch")
    found = None
    for command in following:
        if isinstance(command, From):
            break
        if isinstance(command, Arg):
            for each in command.declarations:
                value = options.build_args.get(each.name)
                if value is None and each.default is not None:
                    value = words.expand(each.default, known, rules)
                if value is not None:
                    known[each.name] = value
        elif isinstance(command, Copy) and command.is_add:
            if found is not None:
                raise InvalidValue(f"{EPOCH} stage must contain exactly one remote ADD")
            found = _added(command, known, rules)
        else:
            raise InvalidValue(
                f"{EPOCH} stage does not meet source-only requirements:"
                f" unsupported {command.source.keyword} instruction"
            )
    if found is None:
        raise InvalidValue(f"{EPOCH} stage must contain exactly one remote ADD")
    return found


def _added(command: Copy, known: Mapping[str, str], rules: words.Rules) -> Vertex:
    """The one file or repository that an ADD fetches."""
    if command.documents or len(command.sources) != 1:
        raise InvalidValue(f"{EPOCH} stage must contain exactly one remote ADD source")
    text = words.expand(command.sources[0], known, rules)
    command = command.replace(checksum=words.expand(command.checksum, known, rules))
    repository = frontend.remote.git_source(command, text) if is_git(text) else None
    if repository is not None:
        return Vertex(repository, name=_SHOWN)
    if is_url(text):
        return Vertex(frontend.remote.http_source(command, text)[0], name=_SHOWN)
    raise InvalidValue(f"{EPOCH} stage source must be a single HTTP(S) or Git ADD")
