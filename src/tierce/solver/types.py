"""The solver's contracts: what it asks of a worker, of the cache and of locks.

The solver knows vertices, keys and records; what a result is (`V`) and how it is made is the
worker's affair. Keys are hexadecimal digests. Three of them matter for a vertex:

*definition key*
    digest of the operation and of its inputs' keys. Known before anything runs. An operation
    that reads a directory of the caller has none: its name says nothing about its files.
*content key*
    the same with the content of what is read in place of that input's key. It needs the
    files, but it survives a new name, a touched file, or a step that ran again and gave the same.
*near key*
    digest of everything but that content: what all versions of this step have in common. It
    tells whether a content key is worth computing at all, and finds what to compare a miss with.

A result is known to its users by its content key where it has one, else by its definition key.
The exception is a result that was made anew although the cache was not asked (`ignore_cache`): it
may differ from what that key stood for, so that it is known by a key of its own from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Event
from typing import Protocol, TypeVar

from tierce.graph.vertex import Vertex
from tierce.solver.cache import Content, Keys

V = TypeVar("V")


class CacheRecord(Protocol):
    """A remembered result: the key its users know it by, and where it is.

    `origin` is None when that is here; otherwise it has to be asked for it.
    """

    @property
    def id(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def snapshot(self) -> int | None: ...
    @property
    def origin(self) -> Origin | None: ...


class Origin(Protocol):
    """Where results are that were made elsewhere, and what is known of those that are not."""

    def offers(self, record: CacheRecord) -> bool:
        """Whether the result can be had. If not, what used it may still be found by its key."""

    def fetch(self, record: CacheRecord, step: Step) -> CacheRecord | None:
        """Bring a result here; None when it cannot be had, so that the step has to be run.

        Asked only for results that are needed. May be called from several threads.
        """


class CacheRecords(Protocol):
    """Where records are kept, shared by all processes."""

    def find(self, keys: Sequence[str]) -> CacheRecord | None:
        """The newest record under the first of these keys that has any."""

    def has(self, key: str) -> bool:
        """Whether a key finds a record."""

    def add(
        self, keys: Sequence[str], snapshot: int | None, name: str, components: bytes = b""
    ) -> CacheRecord:
        """Remember a result under all these keys; its users know it by the first."""

    def add_keys(self, number: int, keys: Sequence[str]) -> None:
        """Let more keys find a record. Raises NotFound when it is gone."""


class Step(Protocol):
    """What a running operation may tell and ask; see `step.RunningStep`."""

    @property
    def vertex(self) -> Vertex: ...
    @property
    def cancelled(self) -> Event: ...
    def log(self, stream: int, data: bytes) -> None: ...
    def warn(self, message: str) -> None: ...
    def status(
        self, id: str, current: int = 0, total: int = 0, *, finished: bool = False
    ) -> None: ...


class Worker(Protocol[V]):
    """Runs operations. `content` and what follows it is called from several threads at once."""

    def is_remote(self, vertex: Vertex) -> bool:
        """Whether a vertex without inputs is elsewhere.

        It is `resolve`d first. From then on it is found by its `keys`, or `run`, as an operation
        is: only when something needs it.
        """

    def resolve(self, vertex: Vertex, step: Step) -> V | None:
        """Find out what a remote source stands for at this moment, so that its `keys` are known.

        Where nothing but fetching can tell, it is fetched, and that is its result. May be called
        from several threads at once. Raises as `run`.
        """

    def open_source(self, vertex: Vertex, users: Sequence[Vertex], step: Step) -> V:
        """The result of a source that is here, for the vertices that use it.

        Quick: nothing is fetched or unpacked.
        """

    def source_key(self, vertex: Vertex) -> str:
        """The key of a source that is here, or empty when only its content can tell."""

    def keys(self, vertex: Vertex, input_keys: Sequence[str]) -> Keys:
        """What the inputs' keys (some perhaps empty) say about a vertex."""

    def content(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[V | None]
    ) -> Content | None:
        """The content key; None when an input that it needs is not at hand yet (None)."""

    def run(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[V], step: Step
    ) -> tuple[V, Content | None]:
        """Run the operation; its result, and the content key if that was not told before.

        Raises TierceError when it fails, Cancelled when `step.cancelled` was set meanwhile.
        """

    def components(self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[V]) -> bytes:
        """What the key of an operation that was run is made of, to explain later misses by."""

    def snapshot_of(self, value: V) -> int | None:
        """What a record remembers of a result."""

    def restore(self, record: CacheRecord) -> V | None:
        """The result that a record remembers; None when it is gone."""


Locker = Callable[[str], AbstractContextManager[object]]
"""Holds a named lock, across threads and processes; gives up waiting when the solve is cancelled.

A holder never waits for another lock of the solver.
"""
