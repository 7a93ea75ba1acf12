"""COPY and ADD: what is taken from where, and how the history tells of it."""

from __future__ import annotations

from tierce.dockerfile.instructions import Copy
from tierce.errors import InvalidValue
from tierce.frontend.context import Context
from tierce.frontend.image import ImageDraft
from tierce.frontend.paths import absolute, destination, is_git, is_url
from tierce.frontend.stages import Stage, Step
from tierce.graph.modes import parse_mode
from tierce.graph.ops import Copy as CopyOp
from tierce.graph.vertex import Vertex


def lower_copy(
    context: Context, stage: Stage, image: ImageDraft, step: Step, command: Copy, base: Vertex
) -> None:
    """Copy files into `base`. Raises InvalidValue."""
    keyword = "ADD" if command.is_add else "COPY"
    sources = [context.expand(source, stage) for source in command.sources]
    _refuse_unsupported(keyword, command, sources)
    target = context.expand(command.destination, stage)
    owner = context.expand(command.owner, stage)
    mode = context.expand(command.mode, stage)
    paths = tuple([absolute(source) for source in sources])
    operation = CopyOp(
        sources=paths,
        destination=destination(target, stage.directory),
        owner=owner,
        mode=_mode(mode),
        unpack=command.is_add if command.unpack is None else command.unpack,
    )
    stage.vertex = context.vertex(
        operation,
        [base, _source(context, stage, step, command, paths)],
        name=context.step_name(stage, step),
        place=step.place,
        ignore_cache=context.ignores_cache(stage),
    )
    flags = (f" --chown={owner}" if owner else "") + (f" --chmod={mode}" if mode else "")
    created_by = f"{keyword}{flags} {' '.join([*sources, target])} # buildkit"
    image.add_history(created_by, context.created, stage.vertex)


def _source(
    context: Context, stage: Stage, step: Step, command: Copy, paths: tuple[str, ...]
) -> Vertex:
    if not step.sources:
        for path in paths:
            vertex = context.build_context(path)
        return vertex
    source = step.sources[0]
    assert source is not None
    if source.vertex is None:
        raise InvalidValue(
            f'cannot copy from stage "{command.copy_from}",'
            f' it needs to be defined before current stage "{stage.shown_name}"'
        )
    return source.vertex


def _mode(text: str) -> str:
    """The mode in one spelling, as "0644" and "644" are the same; empty when there is none."""
    absolute = parse_mode(text).absolute if text else None
    return text if absolute is None else f"{absolute:o}"


def _refuse_unsupported(keyword: str, command: Copy, sources: list[str]) -> None:
    for source in sources:
        if is_git(source):
            if keyword == "COPY":
                raise InvalidValue("source can't be a git ref for COPY", value=source)
            raise InvalidValue(f"ADD of a git repository is not supported yet: {source}")
        if is_url(source):
            if keyword == "COPY":
                raise InvalidValue("source can't be a URL for COPY", value=source)
            raise InvalidValue(f"ADD of a URL is not supported yet: {source}")
    if command.checksum:
        raise InvalidValue("checksum requires HTTP(S) or Git sources", value=command.checksum)
    if command.documents:
        raise InvalidValue(f"{keyword} of a heredoc is not supported yet")
    if command.parents:
        raise InvalidValue(f"{keyword} --parents is not supported yet")
    if command.excludes:
        raise InvalidValue(f"{keyword} --exclude is not supported yet")
