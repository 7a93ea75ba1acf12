"""The worker that builds: runs the operations of `tierce.graph` on a store."""

from __future__ import annotations

import os
import threading
import time

from tierce import worker
from tierce.errors import BuildError
from tierce.graph.digest import op_digest
from tierce.graph.ops import (
    Bind,
    BlobSource,
    Copy,
    Exec,
    GitSource,
    HttpSource,
    ImageSource,
    LocalSource,
    MakeDirectory,
    MakeFile,
    Merge,
    Scratch,
)
from tierce.solver.cache import Content, Keys, key_of
from tierce.store.lazy import lazy
from tierce.worker.content import stamp_of
from tierce.worker.context import LocalTree
from tierce.worker.results import FileSystem
from tierce.worker.selector import Selector
from tierce.worker.sources import Wanted, find_sources, wanted_of

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tierce.graph.ops import Op
    from tierce.graph.vertex import Vertex
    from tierce.solver.types import CacheRecord, Step
    from tierce.store import Store
    from tierce.worker.content import Selection
    from tierce.worker.remembered import RememberedSelections
    from tierce.worker.remote import RemoteSources
    from tierce.worker.results import Result
    from tierce.worker.runner import Runner


class LocalContext:
    """A directory of the caller for one build, with what earlier builds remember of it."""

    def __init__(self, tree: LocalTree, selections: RememberedSelections) -> None:
        self.tree = tree
        self.selections = selections

    def save(self) -> None:
        """Keep what this build learned."""
        self.tree.save()
        self.selections.save()


class BuildWorker:
    """Implements `tierce.solver.types.Worker` over a store."""

    def __init__(
        self,
        store: Store,
        contexts: Mapping[str, LocalContext],
        runner: Runner,
        secrets: Sequence[str] = (),
        remote: Callable[[], RemoteSources] | None = None,
    ) -> None:
        """`secrets` are values that nothing that is kept of a step may have in it.

        `remote` makes what fetches, when there is something to be fetched.
        """
        self._making = threading.RLock()
        self._make_remote = remote
        self._secrets = secrets
        self._store = store
        self._contexts = contexts
        self._runner = runner
        self._selector = Selector(
            store, {context.tree: context.selections for context in contexts.values()}
        )
        processors = os.cpu_count() or 1
        self._copying = threading.BoundedSemaphore(processors)
        # Steps also wait for networks and disks; twice the processors keeps these busy.
        self._running = threading.BoundedSemaphore(max(4, 2 * processors))

    # Sources

    def is_remote(self, vertex: Vertex) -> bool:
        """Whether a source has to be brought here."""
        return isinstance(vertex.op, (HttpSource, GitSource, BlobSource))

    def resolve(self, vertex: Vertex, step: Step) -> Result | None:
        """See `RemoteSources.resolve`."""
        return self._remote.resolve(vertex, step)

    @lazy
    def _remote(self) -> RemoteSources:
        if self._make_remote is not None:
            return self._make_remote()
        return worker.remote.RemoteSources(self._store)

    def open_source(self, vertex: Vertex, users: Sequence[Vertex], step: Step) -> Result:
        """An image's file system, the empty one, or a directory of the caller."""
        op = vertex.op
        if isinstance(op, ImageSource):
            snapshot = self._store.snapshots.for_layers(op.diff_ids)
            return FileSystem(snapshot.id if snapshot else None)
        if isinstance(op, LocalSource):
            context = self._contexts.get(op.name)
            if context is None:
                raise BuildError(f"open build context: the build has none called {op.name}")
            context.tree.cancelled = step.cancelled
            _list_what_is_used(context.tree, vertex, users)
            step.status("transferring context:", context.tree.bytes_listed, finished=True)
            return context.tree
        if isinstance(op, Scratch):
            return FileSystem(None)
        raise TypeError(f"not a source: {op}")

    def source_key(self, vertex: Vertex) -> str:
        """Images and scratch are known by their operation; directories only by their content."""
        if isinstance(vertex.op, LocalSource):
            return ""
        return key_of("source", [vertex.op_digest])

    # Keys

    def keys(self, vertex: Vertex, input_keys: Sequence[str]) -> Keys:
        """See `tierce.solver.types`."""
        if not vertex.inputs:
            return self._remote.keys(vertex)
        read = _inputs_by_content(vertex.op)
        definition = near = ""
        if all(input_keys):
            definition = key_of("definition", [vertex.op_digest, *input_keys])
        others = [key for index, key in enumerate(input_keys) if index not in read]
        if all(others):
            near = key_of("near", [_digest_without_sources(vertex), *others])
        return Keys(
            definition, near, bool(read), reads_first=isinstance(vertex.op, Exec) and bool(read)
        )

    def content(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[Result | None]
    ) -> Content | None:
        """The key of what a COPY or a bind mount selects. Raises BuildError."""
        selections = self._selections(vertex, inputs)
        return None if selections is None else _content(vertex, input_keys, selections)

    def _selections(
        self, vertex: Vertex, inputs: Sequence[Result | None], *, listed: bool = False
    ) -> list[Selection] | None:
        read = _inputs_by_content(vertex.op)
        selections: list[Selection] = []
        for index in sorted(read):
            source = inputs[index]
            if source is None:
                return None
            select = self._selector.listed if listed else self._selector.select
            selections += [select(source, each) for each in read[index]]
        return selections

    # Running

    def run(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[Result], step: Step
    ) -> tuple[Result, Content | None]:
        """Run one operation. Raises BuildError, Cancelled."""
        op = vertex.op
        if not inputs:
            return self._remote.run(vertex, step), None
        base = inputs[0]
        if not isinstance(base, FileSystem):
            raise TypeError(f"{vertex} works on a directory of the caller")
        if isinstance(op, Copy):
            return self._copy(vertex, op, base, input_keys, inputs, step)
        if isinstance(op, MakeDirectory):
            return worker.files.make_directory(self._store, op, base, time.time_ns()), None
        if isinstance(op, MakeFile):
            return worker.files.make_file(self._store, op, base, time.time_ns()), None
        if isinstance(op, Merge):
            top = inputs[1]
            assert isinstance(top, FileSystem)
            return worker.files.merge(self._store, base, top), None
        if isinstance(op, Exec):
            with self._running:
                return self._runner.run(op, base, inputs, step), None
        raise TypeError(f"not an operation with inputs: {op}")

    def _copy(
        self,
        vertex: Vertex,
        op: Copy,
        base: FileSystem,
        input_keys: Sequence[str],
        inputs: Sequence[Result],
        step: Step,
    ) -> tuple[Result, Content | None]:
        trees = [worker.files.tree_of(self._store, inputs[part.input]) for part in op.parts]
        with self._copying:
            copied = worker.files.copy(self._store, op, base, trees, step.cancelled)
        wanted = [
            (tree, wanted_of(op, part))
            for part, tree in zip(op.parts, trees)
            if isinstance(tree, LocalTree)
        ]
        if wanted:
            self._selector.learn(wanted, copied.digests)
        return copied.result, self.content(vertex, input_keys, inputs)

    # Records

    def components(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[Result]
    ) -> bytes:
        """What the key of a step that was run is made of, with the files that it read."""
        if not vertex.inputs:
            return self._remote.components(vertex, self._secrets)
        read = _inputs_by_content(vertex.op)
        keys = ["" if index in read else key for index, key in enumerate(input_keys)]
        selections = self._selections(vertex, inputs, listed=True) or []
        return worker.components.encode_components(vertex, keys, selections, self._secrets)

    def snapshot_of(self, value: Result) -> int | None:
        """The snapshot that a record names."""
        assert isinstance(value, FileSystem)
        return value.snapshot

    def restore(self, record: CacheRecord) -> Result | None:
        """The file system of a record, while its snapshot is there."""
        if record.snapshot is None or self._store.snapshots.exists(record.snapshot):
            return FileSystem(record.snapshot)
        return None


def _content(vertex: Vertex, input_keys: Sequence[str], selections: Sequence[Selection]) -> Content:
    read = _inputs_by_content(vertex.op)
    others = ["" if index in read else key for index, key in enumerate(input_keys)]
    digests = [selection.digest for selection in selections]
    key = key_of("content", [_digest_without_sources(vertex), *others, *digests])
    return Content(key)


def _inputs_by_content(op: Op) -> dict[int, list[Wanted]]:
    """The inputs that an operation reads file by file, and what of them."""
    read: dict[int, list[Wanted]] = {}
    if isinstance(op, Copy):
        for part in op.parts:
            read.setdefault(part.input, []).append(wanted_of(op, part))
    elif isinstance(op, Exec):
        for mount in op.mounts:
            if isinstance(mount, Bind):
                read.setdefault(mount.input, []).append(Wanted((mount.source,)))
    return read


def _digest_without_sources(vertex: Vertex) -> str:
    """The operation, less where it copies from: what is there counts, not how it is called."""
    op = vertex.op
    if not isinstance(op, Copy):
        return vertex.op_digest
    return op_digest(op.replace(parts=tuple([part.replace(sources=()) for part in op.parts])))


def _list_what_is_used(tree: LocalTree, source: Vertex, users: Sequence[Vertex]) -> None:
    """List the directories that steps are going to read, so that it shows how long that takes."""
    for user in users:
        for index, selected in _inputs_by_content(user.op).items():
            if user.inputs[index].digest != source.digest:
                continue
            for wanted in selected:
                try:
                    stamp_of(tree, list(find_sources(tree, wanted)))
                except BuildError:
                    pass  # the step will say it, in its own place
