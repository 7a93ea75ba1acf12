"""The worker that builds: runs the operations of `tierce.graph` on a store."""

import hashlib
import json
import os
import threading
import time
import zlib
from collections.abc import Mapping, Sequence

from tierce.errors import BuildError
from tierce.graph.digest import canonical_form
from tierce.graph.ops import (
    Bind,
    Copy,
    Exec,
    ImageSource,
    LocalSource,
    MakeDirectory,
    Op,
    Scratch,
)
from tierce.graph.vertex import Vertex
from tierce.layer.view import Tree
from tierce.solver.cache import Content, Keys, key_of
from tierce.solver.types import CacheRecord, Step
from tierce.store import Store
from tierce.worker import files
from tierce.worker.content import RememberedSelections, Selection, select, stamp_of
from tierce.worker.context import LocalTree
from tierce.worker.copy import Source, find_sources
from tierce.worker.exec import ExecRunner
from tierce.worker.results import FileSystem, Result


class LocalContext:
    """A directory of the caller for one build, with what earlier builds remember of it."""

    def __init__(self, tree: LocalTree, selections: RememberedSelections) -> None:
        self.tree = tree
        self.selections = selections
        self.vertex: Vertex | None = None

    def save(self) -> None:
        """Keep what this build learned."""
        self.tree.save()
        self.selections.save()


class BuildWorker:
    """Implements `tierce.solver.types.Worker` over a store."""

    def __init__(
        self, store: Store, contexts: Mapping[str, LocalContext], runner: ExecRunner
    ) -> None:
        self._store = store
        self._contexts = contexts
        self._runner = runner
        self._lock = threading.Lock()
        processors = os.cpu_count() or 1
        self._copying = threading.BoundedSemaphore(processors)
        # Steps also wait for networks and disks; twice the processors keeps these busy.
        self._running = threading.BoundedSemaphore(max(4, 2 * processors))

    # Keys

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
            context.vertex = vertex
            return context.tree
        if isinstance(op, Scratch):
            return FileSystem(None)
        raise TypeError(f"not a source: {op}")

    def source_key(self, vertex: Vertex) -> str:
        """Images and scratch are known by their operation; directories only by their content."""
        if isinstance(vertex.op, LocalSource):
            return ""
        return key_of("source", [vertex.op_digest])

    def keys(self, vertex: Vertex, input_keys: Sequence[str]) -> Keys:
        """See `tierce.solver.types`."""
        read = _inputs_by_content(vertex.op)
        definition = near = ""
        if all(input_keys):
            definition = key_of("definition", [vertex.op_digest, *input_keys])
        others = [key for index, key in enumerate(input_keys) if index not in read]
        if all(others):
            near = key_of("near", [vertex.op_digest, *others])
        return Keys(definition, near, bool(read))

    def content(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[Result | None]
    ) -> Content | None:
        """The key of what a COPY or a bind mount selects."""
        read = _inputs_by_content(vertex.op)
        others = [key for index, key in enumerate(input_keys) if index not in read]
        digests: list[str] = []
        parts: dict[str, str] = {}
        for index in sorted(read):
            source = inputs[index]
            if source is None:
                return None
            tree = files.tree_of(self._store, source)
            for patterns in read[index]:
                digest, selected = self._select(tree, list(find_sources(tree, patterns)))
                digests.append(digest)
                parts |= selected
        key = key_of("content", [vertex.op_digest, *others, *digests])
        return Content(key, _components(vertex, input_keys, digests, parts))

    def _select(self, tree: Tree, sources: list[Source]) -> Selection:
        if not isinstance(tree, LocalTree):
            return select(tree, sources)
        context = next(each for each in self._contexts.values() if each.tree is tree)
        stamp = stamp_of(tree, sources)
        name = hashlib.sha256(
            "\n".join(f"{source.path}\0{source.name}" for source in sources).encode(
                "utf-8", "surrogateescape"
            )
        ).hexdigest()
        with self._lock:
            known = context.selections.get(name, stamp)
        if known:
            return known, {}
        selection = select(tree, sources)
        with self._lock:
            context.selections.put(name, stamp, selection[0])
        return selection

    # Running

    def run(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[Result], step: Step
    ) -> tuple[Result, Content | None]:
        """Run one operation. Raises BuildError, Cancelled."""
        op = vertex.op
        base = inputs[0]
        if not isinstance(base, FileSystem):
            raise TypeError(f"{vertex} works on a directory of the caller")
        if isinstance(op, Copy):
            with self._copying:
                result = files.copy(self._store, op, base, inputs[1])
                # After the copy, the digests of what it read are known.
                return result, self.content(vertex, input_keys, inputs)
        if isinstance(op, MakeDirectory):
            return files.make_directory(self._store, op, base, time.time_ns()), None
        if isinstance(op, Exec):
            content = self.content(vertex, input_keys, inputs) if _reads_files(op) else None
            with self._running:
                return self._runner.run(op, base, inputs, step), content
        raise TypeError(f"not an operation with inputs: {op}")

    # Records

    def snapshot_of(self, value: Result) -> int | None:
        """The snapshot that a record names."""
        assert isinstance(value, FileSystem)
        return value.snapshot

    def restore(self, record: CacheRecord) -> Result | None:
        """The file system of a record, while its snapshot is there."""
        if record.snapshot is None or self._store.snapshots.exists(record.snapshot):
            return FileSystem(record.snapshot)
        return None


def _reads_files(op: Exec) -> bool:
    return any(isinstance(mount, Bind) for mount in op.mounts)


def _inputs_by_content(op: Op) -> dict[int, list[tuple[str, ...]]]:
    """The inputs that an operation reads file by file, and which paths of them."""
    if isinstance(op, Copy):
        return {1: [op.sources]}
    read: dict[int, list[tuple[str, ...]]] = {}
    if isinstance(op, Exec):
        for mount in op.mounts:
            if isinstance(mount, Bind):
                read.setdefault(mount.input, []).append((mount.source,))
    return read


def _components(
    vertex: Vertex, input_keys: Sequence[str], digests: list[str], parts: dict[str, str]
) -> bytes:
    """What a key was made of, kept so that a later miss can be explained."""
    text = json.dumps(
        {
            "op": json.loads(canonical_form(vertex.op)),
            "inputs": list(input_keys),
            "content": digests,
            "files": parts,
        },
        separators=(",", ":"),
    )
    return zlib.compress(text.encode("utf-8", "surrogateescape"), 1)
