"""COPY and ADD: what is taken from where, and how the history tells of it."""

from __future__ import annotations

from tierce import frontend, graph
from tierce.dockerfile import words as shell_words
from tierce.dockerfile.gotext import SPACES
from tierce.dockerfile.instructions import Copy
from tierce.dockerfile.lexer import Heredoc
from tierce.errors import InvalidValue
from tierce.frontend.context import Context
from tierce.frontend.image import ImageDraft
from tierce.frontend.paths import absolute, destination, is_git, is_url
from tierce.frontend.stages import Stage, Step
from tierce.graph.modes import parse_mode
from tierce.graph.ops import Copy as CopyOp
from tierce.graph.ops import CopyPart, Merge, Op, Scratch
from tierce.graph.vertex import Vertex

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.graph.ops import GitSource

_DOCUMENT_MODE = 0o644
_DOCUMENT = shell_words.Rules(plain_quotes=True)
"""Variables in heredocs; the escape is that of shells, whatever the directive says."""


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
        self._numbers: dict[str, int] = {}

    def add(
        self,
        vertex: Vertex,
        source: str,
        *,
        literal: bool = False,
        unpack: bool = False,
        includes: tuple[str, ...] = (),
    ) -> None:
        """Take `source`, an absolute path, out of the result of a vertex; see `CopyPart`."""
        part = CopyPart(self._input(vertex), (source,), literal, unpack, includes)
        last = self.parts[-1] if self.parts else None
        if last is not None and last.replace(sources=()) == part.replace(sources=()):
            # What is of one kind is looked at, and remembered, together.
            self.parts[-1] = last.replace(sources=(*last.sources, source))
        else:
            self.parts.append(part)

    def vertex(self, destination: str, owner: str, mode: str) -> Vertex:
        """The vertex that copies the parts."""
        command = self.command
        operation = CopyOp(tuple(self.parts), destination, owner, mode, _excludes(command))
        base = self.inputs[0]
        # As in BuildKit, --chmod takes the effect from --link.
        is_linked = command.link and not mode
        if is_linked:
            self.inputs[0] = self.context.vertex(Scratch())
        copied = self._made(operation, self.inputs, self.name)
        # One step is shown for both, and nobody needs to see what takes no time.
        return self._made(Merge(), [base, copied]) if is_linked else copied

    def _made(self, operation: Op, inputs: list[Vertex], name: str = "") -> Vertex:
        return self.context.vertex(
            operation,
            inputs,
            name=name,
            place=self.step.place,
            ignore_cache=self.context.ignores_cache(self.stage),
        )

    def _input(self, vertex: Vertex) -> int:
        """The number of a vertex among the inputs, to which it is added if need be."""
        # Input 0 is what is copied to; the same file system can be copied from.
        number = self._numbers.setdefault(vertex.digest, len(self.inputs))
        if number == len(self.inputs):
            self.inputs.append(vertex)
        return number


def lower_copy(
    context: Context, stage: Stage, image: ImageDraft, step: Step, command: Copy, base: Vertex
) -> None:
    """Copy files into `base`. Raises InvalidValue."""
    owner = context.expand(command.owner, stage)
    mode = context.expand(command.mode, stage)
    command = command.replace(checksum=context.expand(command.checksum, stage))
    sources = [context.expand(source, stage) for source in command.sources]
    target = context.expand(command.destination, stage)
    mode_in_one_spelling = _mode(mode)
    if command.excludes:
        graph.patterns.compile_patterns(_excludes(command))
    _check_checksum(command, sources)
    copying = _Copying(context, stage, step, command, base)
    for source in sources:
        _add_source(copying, source)
    for document in command.documents:
        _add_document(copying, document)
    stage.vertex = copying.vertex(destination(target, stage.directory), owner, mode_in_one_spelling)
    words = [copying.keyword]
    words += ["--parents"] if command.parents else []
    words += [f"--chown={owner}"] if owner else []
    words += [f"--chmod={mode}"] if mode else []
    words += [*sources, *[f"<<{document.name}" for document in command.documents], target]
    image.add_history(f"{' '.join(words)} # buildkit", context.created, stage.vertex)


def _add_source(copying: _Copying, source: str) -> None:
    """Add one source, of whatever kind it is."""
    repository = frontend.remote.git_source(copying.command, source) if is_git(source) else None
    if repository is not None:
        if not copying.command.is_add:
            raise InvalidValue("source can't be a git ref for COPY", value=source)
        _add_git(copying, repository)
    elif is_url(source):
        if not copying.command.is_add:
            raise InvalidValue("source can't be a URL for COPY", value=source)
        _add_url(copying, source)
    elif copying.command.parents:
        _add_with_parents(copying, source)
    else:
        path = absolute(source)
        command = copying.command
        unpack = command.is_add if command.unpack is None else command.unpack
        copying.add(_local_source(copying, path), path, unpack=unpack)


def _add_with_parents(copying: _Copying, source: str) -> None:
    """Add a source that keeps the directories it is in, from the first "/./" on."""
    top, pivot, rest = source.partition("/./")
    if not pivot:
        top, rest = "/", source
    # As in BuildKit, a path from the root is not cleaned before it becomes a pattern.
    pattern = (rest if rest.startswith("/") else absolute(rest)).removeprefix("/")
    graph.patterns.compile_patterns([pattern])
    vertex = _local_source(copying, absolute(source))
    copying.add(vertex, absolute(top), includes=(pattern,))


def _add_document(copying: _Copying, document: Heredoc) -> None:
    """Add a heredoc, as a file that has its name."""
    text = document.text
    if document.expand:
        text = copying.context.expand(text, copying.stage, _DOCUMENT)
    vertex, path = frontend.documents.document_vertex(
        copying.context, document.name, text, _DOCUMENT_MODE
    )
    copying.add(vertex, path, literal=True)


def _add_git(copying: _Copying, operation: GitSource) -> None:
    """Add a git repository: the whole tree."""
    copying.add(copying.context.vertex(operation, name=copying.name), "/", literal=True)


def _add_url(copying: _Copying, url: str) -> None:
    """Add a file that is fetched."""
    operation, path = frontend.remote.http_source(copying.command, url)
    vertex = copying.context.vertex(operation, name=copying.name)
    copying.add(vertex, path, literal=True, unpack=bool(copying.command.unpack))


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


def _excludes(command: Copy) -> tuple[str, ...]:
    """The patterns of --exclude; as in BuildKit, without variables."""
    stripped = [pattern.strip(SPACES) for pattern in command.excludes]
    return tuple([pattern for pattern in stripped if pattern])


def _check_checksum(command: Copy, sources: list[str]) -> None:
    if not command.checksum:
        return
    if len(sources) != 1:
        raise InvalidValue("checksum can't be specified for multiple sources")
    if not is_git(sources[0]) and not is_url(sources[0]):
        raise InvalidValue("checksum requires HTTP(S) or Git sources", value=command.checksum)
