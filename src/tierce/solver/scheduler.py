"""Solves a graph: finds what is cached, runs the rest, each vertex once and as soon as it can.

First, one pass from the sources up computes every key that can be known without running anything
and looks it up. Then only what the roots need is run: a vertex that was found needs no inputs.
Vertices run in threads as their inputs become ready; what a step learns (the content of what it
reads) may still turn it into a hit at that moment. The first failure cancels the rest.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import Generic

from tierce.errors import BuildError, Cancelled, TierceError
from tierce.graph.vertex import Vertex, sorted_vertices
from tierce.solver.progress import (
    Listener,
    VertexFinished,
    VertexLog,
    VertexStarted,
    VertexStatus,
)
from tierce.solver.types import CacheRecord, CacheRecords, Content, Keys, Locker, V, Worker

DEFAULT_PARALLELISM = 16
"""Threads. They wait for processes and disks; the worker bounds what competes for the processors."""


class RunningStep:
    """What an operation sees of its run: a way to report, and the signal to stop."""

    def __init__(self, vertex: Vertex, listener: Listener, cancelled: threading.Event) -> None:
        self.vertex = vertex
        self.cancelled = cancelled
        self._listener = listener
        self._status_started: dict[str, float] = {}

    def log(self, stream: int, data: bytes) -> None:
        """Report output of the step's process."""
        self._listener(VertexLog(self.vertex.digest, time.time(), stream, data))

    def status(self, id: str, current: int = 0, total: int = 0, *, finished: bool = False) -> None:
        """Report how far a part of the step has come, in bytes."""
        now = time.time()
        started = self._status_started.setdefault(id, now)
        end = now if finished else 0.0
        self._listener(VertexStatus(self.vertex.digest, id, started, current, total, end))


class _Node(Generic[V]):
    """The state of one vertex in one solve. `value` counts only when `ready`."""

    __slots__ = ("inputs", "key", "ready", "value", "vertex", "waiting_for")

    def __init__(self, vertex: Vertex, inputs: "list[_Node[V]]") -> None:
        self.vertex = vertex
        self.inputs = inputs
        self.key = ""
        self.value: V | None = None
        self.ready = False
        self.waiting_for = 0

    def finish(self, key: str, value: V) -> None:
        self.key, self.value, self.ready = key, value, True


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
        self._worker = worker
        self._records = records
        self._lock = lock
        self._listener = listener
        self._parallelism = parallelism
        self._cancelled = cancelled or threading.Event()

    def solve(self, roots: Sequence[Vertex]) -> list[V]:
        """The results of the roots, in their order.

        Raises what the first failing operation raised; Cancelled when the event was set.
        """
        nodes: dict[str, _Node[V]] = {}
        for vertex in sorted_vertices(roots):
            node = _Node(vertex, [nodes[each.digest] for each in vertex.inputs])
            nodes[vertex.digest] = node
            self._look_up(node)
        targets = [nodes[root.digest] for root in roots]
        needed = _unready(targets)
        if needed:
            self._run_all(needed)
        return [_value(target) for target in targets]

    # Looking up, before anything runs

    def _look_up(self, node: _Node[V]) -> None:
        """Find a vertex in the cache by what is known of its inputs so far."""
        vertex = node.vertex
        if not vertex.inputs:
            self._open_source(node)
            return
        keys = self._worker.keys(vertex, [each.key for each in node.inputs])
        if not keys.by_content:
            node.key = keys.definition
        if vertex.ignore_cache:
            return
        try:
            record = self._find(node, keys)
        except TierceError as error:
            _place(error, vertex)
            raise
        if record is not None and self._restore(node, record):
            self._report_cached(vertex)

    def _open_source(self, node: _Node[V]) -> None:
        vertex = node.vertex
        node.finish(self._worker.source_key(vertex), self._worker.open_source(vertex))
        if vertex.name and node.key:
            self._report_started(vertex)
            self._listener(VertexFinished(vertex.digest, time.time()))

    def _find(self, node: _Node[V], keys: Keys) -> CacheRecord | None:
        """A record of this vertex, by its definition or by the content that it reads."""
        if keys.definition:
            record = self._records.find([keys.definition])
            if record is not None:
                return record
        if not keys.by_content or not keys.near:
            return None
        # What a step reads is only looked at when some version of the step was ever recorded.
        if not self._records.has(keys.near):
            return None
        content = self._content(node)
        return self._records.find([content.key]) if content else None

    def _content(self, node: _Node[V]) -> Content | None:
        """The content key, when the inputs it needs are there already."""
        if not all(each.ready for each in node.inputs[1:]):
            return None
        inputs = [each.value for each in node.inputs]
        keys = [each.key for each in node.inputs]
        return self._worker.content(node.vertex, keys, inputs)  # type: ignore[arg-type]

    def _restore(self, node: _Node[V], record: CacheRecord) -> bool:
        value = self._worker.restore(record)
        if value is None:
            return False
        node.finish(record.key, value)
        return True

    # Running what is left

    def _run_all(self, needed: "list[_Node[V]]") -> None:
        users: dict[str, list[_Node[V]]] = {}
        for node in needed:
            pending = {each.vertex.digest for each in node.inputs if not each.ready}
            node.waiting_for = len(pending)
            for digest in pending:
                users.setdefault(digest, []).append(node)
        runnable = deque(node for node in needed if node.waiting_for == 0)
        running: dict[Future[None], _Node[V]] = {}
        failure: BaseException | None = None
        with ThreadPoolExecutor(self._parallelism, "solver") as pool:
            try:
                while runnable or running:
                    while runnable and failure is None:
                        node = runnable.popleft()
                        running[pool.submit(self._run_one, node)] = node
                    if not running:
                        break
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        node = running.pop(future)
                        error = future.exception()
                        if error is not None:
                            failure = _graver(failure, error)
                            self._cancelled.set()
                            continue
                        for user in users.get(node.vertex.digest, ()):
                            user.waiting_for -= 1
                            if user.waiting_for == 0:
                                runnable.append(user)
            except BaseException:
                self._cancelled.set()
                raise
        if failure is not None:
            raise failure

    def _run_one(self, node: _Node[V]) -> None:
        """Run a vertex whose inputs are ready, unless it turns out to be cached after all."""
        vertex = node.vertex
        if self._cancelled.is_set():
            raise Cancelled("build: cancelled")
        input_keys = [each.key for each in node.inputs]
        keys = self._worker.keys(vertex, input_keys)
        # Whoever runs the same step in another process holds this lock; when it is ours, the
        # result may be there.
        guard = keys.near or keys.definition
        with nullcontext() if vertex.ignore_cache else self._lock(f"step-{guard}"):
            if not vertex.ignore_cache:
                record = self._find(node, keys)
                if record is not None and self._restore(node, record):
                    self._report_cached(vertex)
                    return
            self._report_started(vertex)
            try:
                self._execute(node, keys)
            except Cancelled:
                self._report_finished(vertex, canceled=True)
                raise
            except TierceError as error:
                _place(error, vertex)
                self._report_finished(vertex, error=error.message)
                raise
            except BaseException as error:
                self._report_finished(vertex, error=f"{type(error).__name__}: {error}")
                raise
        self._report_finished(vertex)

    def _execute(self, node: _Node[V], keys: Keys) -> None:
        vertex = node.vertex
        inputs = [_value(each) for each in node.inputs]
        input_keys = [each.key for each in node.inputs]
        step = RunningStep(vertex, self._listener, self._cancelled)
        value, content = self._worker.run(vertex, input_keys, inputs, step)
        own = content.key if content else keys.definition
        found_by = [key for key in (own, keys.definition, keys.near) if key]
        self._records.add(
            list(dict.fromkeys(found_by)),
            self._worker.snapshot_of(value),
            name=vertex.name,
            components=content.components if content else b"",
        )
        node.finish(own, value)

    # Reporting

    def _report_started(self, vertex: Vertex) -> None:
        inputs = tuple(each.digest for each in vertex.inputs)
        self._listener(VertexStarted(vertex.digest, vertex.name, time.time(), inputs))

    def _report_finished(self, vertex: Vertex, error: str = "", canceled: bool = False) -> None:
        finished = VertexFinished(
            vertex.digest, time.time(), error=error, canceled=canceled
        )
        self._listener(finished)

    def _report_cached(self, vertex: Vertex) -> None:
        self._report_started(vertex)
        self._listener(VertexFinished(vertex.digest, time.time(), cached=True))


def _place(error: TierceError, vertex: Vertex) -> None:
    """Tell a build error which step it comes from."""
    if isinstance(error, BuildError):
        error.vertex = error.vertex or vertex.name
        if vertex.source is not None and not error.line:
            error.file = vertex.source.file
            error.line = vertex.source.first_line
            error.end_line = vertex.source.last_line


def _value(node: _Node[V]) -> V:
    if not node.ready:
        raise RuntimeError(f"vertex has no result: {node.vertex}")
    return node.value  # type: ignore[return-value]  # V may itself allow None


def _unready(targets: "Sequence[_Node[V]]") -> "list[_Node[V]]":
    """The nodes that must run for the targets, inputs first."""
    found: dict[str, _Node[V]] = {}

    def visit(node: _Node[V]) -> None:
        stack = [node]
        while stack:
            each = stack.pop()
            if not each.ready and each.vertex.digest not in found:
                found[each.vertex.digest] = each
                stack.extend(each.inputs)

    for target in targets:
        visit(target)
    return list(found.values())


def _graver(first: BaseException | None, second: BaseException) -> BaseException:
    """Of two failures, the one to show: a cancelled step only followed from another."""
    if first is None or (isinstance(first, Cancelled) and not isinstance(second, Cancelled)):
        return second
    return first
