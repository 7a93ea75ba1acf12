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
from tierce.graph.ops import CopyPart
from tierce.graph.vertex import Vertex


class _Copying:
    """One COPY or ADD while its parts are put together.

    `name` is that of the step, which the vertices of its sources have, too.
    """

    def __init__(
        self, context: Context, stage: Stage, step: Step, command: Copy, base: Vertex
    ) -> None:
        self.context = context
        self.stage = stage
        self.step = step
        self.command = command
        self.keyword = "ADD" if command.is_add else "COPY"
        self.name = context.step_name(stage, step)
        self.inputs = [base]
        self.parts: list[CopyPart] = []

    def add(
        self, vertex: Vertex, source: str, *, literal: bool = False, unpack: bool = False
    ) -> None:
        """Take `source`, an absolute path, out of the result of a vertex; see `CopyPart`."""
        number = self._input(vertex)
        part = CopyPart(number, (source,), literal, unpack)
        last = self.parts[-1] if self.parts else None
        if last is not None and last.replace(sources=()) == part.replace(sources=()):
            # What is of one kind is looked at, and remembered, together.
            self.parts[-1] = last.replace(sources=(*last.sources, source))
        else:
            self.parts.append(part)

    def vertex(self, destination: str, owner: str, mode: str) -> Vertex:
        """The vertex that copies the parts."""
        return self.context.vertex(
            CopyOp(tuple(self.parts), destination, owner, mode),
            self.inputs,
            name=self.name,
            place=self.step.place,
            ignore_cache=self.context.ignores_cache(self.stage),
        )

    def _input(self, vertex: Vertex) -> int:
        """The number of a vertex among the inputs, to which it is added if need be."""
        for number, known in enumerate(self.inputs):
            # Input 0 is what is copied to; the same file system can be copied from.
            if number and known.digest == vertex.digest:
                return number
        self.inputs.append(vertex)
        return len(self.inputs) - 1


def lower_copy(
    context: Context, stage: Stage, image: ImageDraft, step: Step, command: Copy, base: Vertex
) -> None:
    """Copy files into `base`. Raises InvalidValue."""
    sources = [context.expand(source, stage) for source in command.sources]
    target = context.expand(command.destination, stage)
    owner = context.expand(command.owner, stage)
    mode = context.expand(command.mode, stage)
    _refuse_unsupported(command)
    copying = _Copying(context, stage, step, command, base)
    for source in sources:
        _add_source(copying, source)
    stage.vertex = copying.vertex(destination(target, stage.directory), owner, _mode(mode))
    flags = (f" --chown={owner}" if owner else "") + (f" --chmod={mode}" if mode else "")
    created_by = f"{copying.keyword}{flags} {' '.join([*sources, target])} # buildkit"
    image.add_history(created_by, context.created, stage.vertex)


def _add_source(copying: _Copying, source: str) -> None:
    """Add one source, of whatever kind it is."""
    if is_git(source):
        if not copying.command.is_add:
            raise InvalidValue("source can't be a git ref for COPY", value=source)
        _add_git(copying, source)
    elif is_url(source):
        if not copying.command.is_add:
            raise InvalidValue("source can't be a URL for COPY", value=source)
        _add_url(copying, source)
    else:
        path = absolute(source)
        command = copying.command
        unpack = command.is_add if command.unpack is None else command.unpack
        copying.add(_local_source(copying, path), path, unpack=unpack)


def _add_git(copying: _Copying, source: str) -> None:
    raise InvalidValue(f"ADD of a git repository is not supported yet: {source}")


def _add_url(copying: _Copying, source: str) -> None:
    raise InvalidValue(f"ADD of a URL is not supported yet: {source}")


def _local_source(copying: _Copying, path: str) -> Vertex:
    """The build context, or the stage or image that --from names."""
    if not copying.step.sources:
        return copying.context.build_context(path)
    source = copying.step.sources[0]
    assert source is not None
    if source.vertex is None:
        raise InvalidValue(
            f'cannot copy from stage "{copying.command.copy_from}",'
            f' it needs to be defined before current stage "{copying.stage.shown_name}"'
        )
    return source.vertex


def _mode(text: str) -> str:
    """The mode in one spelling, as "0644" and "644" are the same; empty when there is none."""
    absolute = parse_mode(text).absolute if text else None
    return text if absolute is None else f"{absolute:o}"


def _refuse_unsupported(command: Copy) -> None:
    keyword = "ADD" if command.is_add else "COPY"
    if command.checksum:
        raise InvalidValue("checksum requires HTTP(S) or Git sources", value=command.checksum)
    if command.documents:
        raise InvalidValue(f"{keyword} of a heredoc is not supported yet")
    if command.parents:
        raise InvalidValue(f"{keyword} --parents is not supported yet")
    if command.excludes:
        raise InvalidValue(f"{keyword} --exclude is not supported yet")
