"""One vertex under way: what its operation may tell and ask."""

from __future__ import annotations

import time

from tierce.errors import BuildError, Cancelled, TierceError
from tierce.solver.progress import (
    VertexFinished,
    VertexLog,
    VertexStarted,
    VertexStatus,
    VertexWarning,
)

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from threading import Event
    from types import TracebackType
    from typing import Self

    from tierce.graph.vertex import Vertex
    from tierce.solver.progress import Event as Progress
    from tierce.solver.progress import Listener


class RunningStep:
    """Reports a vertex from its start to its end: as a context manager, what the block raises too.

    A vertex without a name is not shown: nothing is reported of it.
    """

    def __init__(self, vertex: Vertex, listener: Listener, cancelled: Event) -> None:
        self.vertex = vertex
        self.cancelled = cancelled
        """Set when the operation shall stop."""
        self.cached = False
        """Whether the result was found; for the block to say."""
        self._listener = listener
        self._status_started: dict[str, float] = {}

    def __enter__(self) -> Self:
        inputs = tuple([each.digest for each in self.vertex.inputs])
        self._tell(VertexStarted(self.vertex.digest, self.vertex.name, time.time(), inputs))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, BuildError):
            _place(error, self.vertex)
        digest, now = self.vertex.digest, time.time()
        if error is None:
            self._tell(VertexFinished(digest, now, cached=self.cached))
        elif isinstance(error, Cancelled) or not isinstance(error, Exception):
            self._tell(VertexFinished(digest, now, canceled=True))
        else:
            self._tell(VertexFinished(digest, now, error=message_of(error)))

    def log(self, stream: int, data: bytes) -> None:
        """Report output of the step's process."""
        self._tell(VertexLog(self.vertex.digest, time.time(), stream, data))

    def warn(self, message: str) -> None:
        """Report what whoever builds should know."""
        self._tell(VertexWarning(self.vertex.digest, message))

    def status(self, id: str, current: int = 0, total: int = 0, *, finished: bool = False) -> None:
        """Report how far a part of the step has come, in bytes."""
        now = time.time()
        started = self._status_started.setdefault(id, now)
        end = now if finished else 0.0
        self._tell(VertexStatus(self.vertex.digest, id, started, current, total, end))

    def _tell(self, event: Progress) -> None:
        if self.vertex.name:
            self._listener(event)


def message_of(error: Exception) -> str:
    """What an error is shown as, in a line."""
    return error.message if isinstance(error, TierceError) else f"{type(error).__name__}: {error}"


def _place(error: BuildError, vertex: Vertex) -> None:
    """Tell a build error which step it comes from."""
    error.vertex = error.vertex or vertex.name
    if vertex.source is not None and not error.line:
        error.file = vertex.source.file
        error.line = vertex.source.first_line
        error.end_line = vertex.source.last_line
