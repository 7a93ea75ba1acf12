"""Reports work that is no vertex of the graph, in the same form as vertices."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

from tierce.errors import Cancelled
from tierce.solver.progress import VertexFinished, VertexStarted, VertexStatus
from tierce.solver.step import message_of

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.solver.progress import Listener


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
        self._listener(VertexStatus(self.vertex, id, now, size, 0, now))


@contextmanager
def reported_step(name: str, listener: Listener) -> Iterator[ReportedStep]:
    """Shows a step while the block runs; an error in it is shown as the step's."""
    vertex = f"sha256:{os.urandom(32).hex()}"  # equal to no other step's
    listener(VertexStarted(vertex, name, time.time()))
    try:
        yield ReportedStep(vertex, listener)
    except BaseException as error:
        if isinstance(error, Cancelled) or not isinstance(error, Exception):
            listener(VertexFinished(vertex, time.time(), canceled=True))
        else:
            listener(VertexFinished(vertex, time.time(), error=message_of(error)))
        raise
    listener(VertexFinished(vertex, time.time()))
