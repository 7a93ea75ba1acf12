"""Solves a graph: finds what is cached, runs the rest, each vertex once and as soon as it can.

First, sources that are elsewhere are asked what they stand for now, all at once. Then one pass
from the sources up computes every key that can be known without running anything and looks it up.
Then only what the roots need is run: a vertex that was found needs no inputs. Vertices run in
threads as their inputs become ready; what a step learns (the content of what it reads) may still
turn it into a hit at that moment. The first failure cancels the rest.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from tierce.errors import Cancelled, NotFound
from tierce.graph.vertex import sorted_vertices
from tierce.solver.cache import Keys, Outcome, key_of
from tierce.solver.step import RunningStep

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Generic

    from tierce.graph.vertex import Vertex
    from tierce.solver.cache import Content
    from tierce.solver.progress import Listener
    from tierce.solver.types import CacheRecord, CacheRecords, Locker, V, Worker
else:
    V = None

    class Generic:
        """`typing.Generic` for the interpreter, which asks nothing of it."""

        def __class_getitem__(cls, _parameter):
            return cls


DEFAULT_PARALLELISM = 16
"""Threads, which mostly wait; the worker bounds what competes for the processors."""


class Solver(Generic[V]):
    """Solves graphs with one worker and one cache; safe to use from one thread at a time."""

    def __init__(
        self,
        worker: Worker[V],
        records: CacheRecords,
        lock: Locker,
        listener: Listener,
        *,
        cancelled: threading.Event | None = None,
        parallelism: int = DEFAULT_PARALLELISM,
    ) -> None:
        """`cancelled` is the one signal to stop: for the caller to set, and set by a failure."""
        self._worker = worker
        self._records = records
        self._lock = lock
        self._listener = listener
        self._parallelism = parallelism
        self._cancelled = cancelled or threading.Event()
        self._nodes: dict[str, _Node[V]] = {}

    def solve(self, roots: Sequence[Vertex]) -> list[V]:
        """The results of the roots, in their order; what was solved before is not solved again.

        Raises what the first failing operation raised; Cancelled when the event was set before
        all was done. No operation is under way any more when this returns or raises.
        """
        nodes = self._nodes = self._make_nodes(roots)
        remote = [node for node in nodes.values() if not node.ready and self._is_remote(node)]
        if remote:
            _Run(self._resolve, remote, self._cancelled, self._parallelism).finish()
        for node in nodes.values():
            self._check_cancelled()
            if not node.ready:
                self._look_up(node)
        targets = [nodes[root.digest] for root in roots]
        unfinished = self._unfinished(targets)
        if unfinished:
            _Run(self._run_one, unfinished, self._cancelled, self._parallelism).finish()
        return [target.result() for target in targets]

    def outcomes(self) -> list[Outcome]:
        """What became of the steps that were to be solved, inputs before their users.

        Those that were neither found nor run are left out. Also after a failure.
        """
        return [node.outcome() for node in self._nodes.values() if node.record or node.ran]

    def _make_nodes(self, roots: Sequence[Vertex]) -> dict[str, _Node[V]]:
        """A node for each vertex that differs, inputs before their users; results are kept."""
        ignoring = {vertex.digest for vertex in _all_vertices(roots) if vertex.ignore_cache}
        nodes = {digest: node for digest, node in self._nodes.items() if node.ready}
        for vertex in sorted_vertices(roots):
            if vertex.digest in nodes:
                continue
            inputs = [nodes[each.digest] for each in vertex.inputs]
            node = _Node(vertex, inputs, ignores_cache=vertex.digest in ignoring)
            for each in dict.fromkeys(inputs):
                each.users.append(node)
            nodes[vertex.digest] = node
        return nodes

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled("build: cancelled")

    # Sources that are elsewhere

    def _is_remote(self, node: _Node[V]) -> bool:
        return not node.inputs and self._worker.is_remote(node.vertex)

    def _resolve(self, node: _Node[V]) -> None:
        """Find out what a source stands for now; keep it, if that meant to fetch it."""
        self._check_cancelled()
        # Of two builds that want the same, the second may be told that nothing has changed.
        with self._step(node) as step, self._lock(f"source-{node.vertex.digest}"):
            value = self._worker.resolve(node.vertex, step)
            if value is not None:
                self._keep(node, self._worker.keys(node.vertex, []), None, [], value)

    # Looking up, before anything runs

    def _look_up(self, node: _Node[V]) -> None:
        """Find a vertex in the cache by what is known of its inputs so far."""
        vertex = node.vertex
        if not vertex.inputs and not self._worker.is_remote(vertex):
            with self._step(node) as step:
                users = [each.vertex for each in node.users]
                value = self._worker.open_source(vertex, users, step)
            node.finish(self._worker.source_key(vertex), value)
            return
        if node.ignores_cache:
            return
        keys = self._worker.keys(vertex, node.input_keys())
        if not keys.by_content:
            node.key = keys.definition
        try:
            record = self._find(node, keys)
        except Exception:
            # What it reads cannot be read: it fails as if it had been run.
            with self._step(node):
                raise
        if record is None:
            return
        if record.origin is not None:
            # Its users are found by its key; whether it is needed itself is seen then.
            node.record, node.key = record, record.key
        elif self._restore(node, record) and vertex.inputs:
            self._show_cached(node)  # of a source it was shown that it was resolved

    def _unfinished(self, targets: Sequence[_Node[V]]) -> list[_Node[V]]:
        """The nodes that must run for the targets: what is ready needs no inputs.

        Results that are elsewhere are fetched where they are needed, and only there.
        """
        found: dict[_Node[V], None] = {}
        stack = list(reversed(targets))
        while stack:
            node = stack.pop()
            if node.ready or node in found:
                continue
            if node.record is not None and self._fetch(node, node.record):
                continue
            found[node] = None
            stack += reversed(node.inputs)
        for node in self._nodes.values():
            if node.record is not None and not node.ready and node not in found:
                self._show_cached(node)
        return list(found)

    def _fetch(self, node: _Node[V], record: CacheRecord) -> bool:
        """Bring a result that is elsewhere here, and show that."""
        self._check_cancelled()
        if record.origin is None or not record.origin.offers(record):
            return False
        with self._step(node) as step:
            step.cached = self._restore(node, record, step)
            return step.cached

    def _show_cached(self, node: _Node[V]) -> None:
        with self._step(node) as step:
            step.cached = True

    def _find(
        self, node: _Node[V], keys: Keys, content: Content | None = None
    ) -> CacheRecord | None:
        """A record of this vertex, by its definition or by the content that it reads."""
        node.keys = keys
        if keys.definition:
            record = self._records.find([keys.definition])
            if record is not None:
                return record
        if content is None:
            # What a step reads is only looked at when some version of it was ever recorded.
            if not keys.by_content or not keys.near or not self._records.has(keys.near):
                return None
            content = self._content(node)
            if content is None:
                return None
        node.content_key = content.key
        record = self._records.find([content.key])
        if record is not None and keys.definition:
            # The next build need not look at the content.
            try:
                self._records.add_keys(record.id, [keys.definition])
            except NotFound:
                return None  # pruned just now
        return record

    def _content(self, node: _Node[V]) -> Content | None:
        return self._worker.content(
            node.vertex, node.input_keys(), [each.value for each in node.inputs]
        )

    def _restore(
        self, node: _Node[V], record: CacheRecord, step: RunningStep | None = None
    ) -> bool:
        here: CacheRecord | None = record
        if record.origin is not None:
            assert step is not None
            here = record.origin.fetch(record, step)
        value = None if here is None else self._worker.restore(here)
        if value is None:
            return False
        node.record = here
        node.finish(record.key, value)
        return True

    # Running what is left

    def _run_one(self, node: _Node[V]) -> None:
        """Run a vertex whose inputs are ready, unless it turns out to be cached after all."""
        self._check_cancelled()
        with self._step(node) as step:
            keys = self._worker.keys(node.vertex, node.input_keys())
            content = self._content(node) if keys.reads_first else None
            if node.ignores_cache:
                self._execute(node, keys, content, step)
                return
            # Whoever runs the same step, here or in another process, holds this lock; when it
            # is ours, the result may be there.
            guard = content.key if content else keys.near or keys.definition or node.vertex.digest
            with self._lock(f"step-{guard}"):
                record = self._find(node, keys, content)
                if record is not None and self._restore(node, record, step):
                    step.cached = True
                else:
                    self._execute(node, keys, content, step)

    def _execute(
        self, node: _Node[V], keys: Keys, content: Content | None, step: RunningStep
    ) -> None:
        inputs = [each.result() for each in node.inputs]
        value, read = self._worker.run(node.vertex, node.input_keys(), inputs, step)
        self._keep(node, keys, content or read, inputs, value)

    def _keep(
        self, node: _Node[V], keys: Keys, content: Content | None, inputs: list[V], value: V
    ) -> None:
        """Remember the result of an operation that was run."""
        own = content.key if content else keys.definition
        node.ran, node.keys, node.content_key = True, keys, content.key if content else ""
        node.components = self._worker.components(node.vertex, node.input_keys(), inputs)
        if not own:
            # Nothing tells it from another, so that nothing can find it again.
            node.finish("", value)
            return
        found_by = [own, keys.definition, keys.near]
        if node.ignores_cache:
            # Nothing that was made from an earlier result may be found by way of this one.
            own = key_of("fresh", [own, os.urandom(16).hex()])
        node.record = self._records.add(
            list(dict.fromkeys(key for key in [own, *found_by] if key)),
            self._worker.snapshot_of(value),
            node.vertex.name,
            node.components,
        )
        node.finish(own, value)

    def _step(self, node: _Node[V]) -> RunningStep:
        return RunningStep(node.vertex, self._listener, self._cancelled)


class _Node(Generic[V]):
    """The state of one vertex in one solve."""

    __slots__ = (
        "components",
        "content_key",
        "ignores_cache",
        "inputs",
        "key",
        "keys",
        "ran",
        "record",
        "users",
        "value",
        "vertex",
        "waits_for",
    )

    def __init__(self, vertex: Vertex, inputs: list[_Node[V]], *, ignores_cache: bool) -> None:
        self.vertex = vertex
        self.inputs = inputs
        self.users: list[_Node[V]] = []
        self.ignores_cache = ignores_cache
        self.key = ""
        """What its users know the result by; empty while that is unknown."""
        self.value: V | None = None
        self.waits_for = 0
        """Inputs that are not ready, for a node that must run."""
        # What there is to tell afterwards; see `Outcome`.
        self.record: CacheRecord | None = None
        self.keys = Keys("", "")
        self.content_key = ""
        self.ran = False
        self.components = b""

    @property
    def ready(self) -> bool:
        return self.value is not None

    def input_keys(self) -> list[str]:
        return [each.key for each in self.inputs]

    def finish(self, key: str, value: V) -> None:
        self.key, self.value = key, value

    def outcome(self) -> Outcome:
        keys = [self.key, self.content_key, self.keys.definition, self.keys.near]
        return Outcome(
            self.vertex,
            tuple(dict.fromkeys([key for key in keys if key])) if self.key else (),
            self.record,
            self.ran,
            self.ignores_cache,
            self.components,
        )

    def result(self) -> V:
        if self.value is None:
            raise RuntimeError(f"no result: {self.vertex}")
        return self.value


class _Run(Generic[V]):
    """Runs nodes in threads, each when its inputs are ready.

    Threads are made as they are needed: a pool would be imported and kept for a few steps.
    """

    def __init__(
        self,
        run: Callable[[_Node[V]], None],
        nodes: Sequence[_Node[V]],
        cancelled: threading.Event,
        parallelism: int,
    ) -> None:
        """`nodes` are all that must run, in any order; `run` takes one, in a thread of its own."""
        import queue  # most builds find everything cached and run nothing

        self._run = run
        self._cancelled = cancelled
        self._parallelism = parallelism
        self._runnable: deque[_Node[V]] = deque()
        self._threads: dict[_Node[V], threading.Thread] = {}
        self._ended: queue.SimpleQueue[tuple[_Node[V], BaseException | None]] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        for node in nodes:
            node.waits_for = sum(not each.ready for each in dict.fromkeys(node.inputs))
            if not node.waits_for:
                self._runnable.append(node)

    def finish(self) -> None:
        """Run all. Raises the failure to show; no thread is left in any case."""
        try:
            while True:
                self._start_some()
                if not self._threads:
                    break
                self._take(*self._ended.get())
        except BaseException:
            # An interrupt, or no more threads: nobody may go on behind the caller's back.
            self._cancelled.set()
            raise
        finally:
            for thread in self._threads.values():
                if thread.ident is not None:
                    thread.join()
        if self._failure is not None:
            raise self._failure

    def _start_some(self) -> None:
        while self._runnable and len(self._threads) < self._parallelism and self._failure is None:
            node = self._runnable.popleft()
            thread = threading.Thread(target=self._run_and_tell, args=(node,), name="solver")
            self._threads[node] = thread
            thread.start()

    def _run_and_tell(self, node: _Node[V]) -> None:
        error: BaseException | None = None
        try:
            self._run(node)
        except BaseException as caught:  # noqa: BLE001 - raised again by `finish`
            error = caught
        self._ended.put((node, error))

    def _take(self, node: _Node[V], error: BaseException | None) -> None:
        """Note that a node ended, and what can run now."""
        self._threads.pop(node).join()
        if error is not None:
            self._cancelled.set()
            # A cancelled step only followed from another's failure, which is the one to show.
            if self._failure is None or (
                isinstance(self._failure, Cancelled) and not isinstance(error, Cancelled)
            ):
                self._failure = error
            return
        for user in node.users:
            if user.waits_for:
                user.waits_for -= 1
                if not user.waits_for:
                    self._runnable.append(user)


def _all_vertices(roots: Sequence[Vertex]) -> Iterator[Vertex]:
    """Every vertex, equal ones too."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        vertex = stack.pop()
        if id(vertex) not in seen:
            seen.add(id(vertex))
            yield vertex
            stack += vertex.inputs
