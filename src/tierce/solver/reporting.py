"""Reports work that is no vertex of the graph, in the same form as vertices."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tierce.errors import Cancelled, TierceError
from tierce.solver.progress import Listener, VertexFinished, VertexStarted, VertexStatus


class ReportedStep:
    """A step that is under way; made by `reported_step`."""

    def __init__(self, vertex: str, listener: Listener) -> None:
        self.vertex = vertex
        self._listener = listener

    @contextmanager
    def part(self, id: str, size: int = 0) -> Iterator[None]:
        """Shows a part of the step while the block runs; `size` in bytes when known."""
        started = time.time()
        self._listener(VertexStatus(self.vertex, id, started, 0, size))
        yield
        self._listener(VertexStatus(self.vertex, id, started, size, size, time.time()))

    def done(self, id: str, size: int) -> None:
        """Shows a part that was over at once, of so many bytes."""
        now = time.time()
        # No total: "3.20kB", not "3.20kB / 3.20kB".
        self._listener(VertexStatus(self.vertex, id, now, size, 0, now))


@contextmanager
def reported_step(name: str, listener: Listener) -> Iterator[ReportedStep]:
    """Shows a step while the block runs; an error in it is shown as the step's."""
    vertex = "sha256:" + hashlib.sha256(f"{name}\0{time.time_ns()}".encode()).hexdigest()
    listener(VertexStarted(vertex, name, time.time()))
    try:
        yield ReportedStep(vertex, listener)
    except Cancelled:
        listener(VertexFinished(vertex, time.time(), canceled=True))
        raise
    except TierceError as error:
        listener(VertexFinished(vertex, time.time(), error=error.message))
        raise
    listener(VertexFinished(vertex, time.time()))
