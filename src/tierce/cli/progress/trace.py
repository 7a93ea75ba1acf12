"""What the events of a build have told so far: the vertices, their parts and their output."""

from __future__ import annotations

import codecs

from tierce.solver.progress import (
    VertexFinished,
    VertexLog,
    VertexStarted,
    VertexStatus,
    VertexWarning,
)

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.solver.progress import Event

LARGEST_LOG = 1_000_000
"""How many characters of a running step's output are kept for the case that it fails. The store
has all of it."""


class Vertex:
    """A step of the build that has started. Times are seconds since the epoch."""

    def __init__(self, started: VertexStarted) -> None:
        self.digest = started.vertex
        self.name = started.name
        self.started = started.time
        self.finished = 0.0
        self.cached = False
        self.error = ""
        self.canceled = False
        self.parts: dict[str, VertexStatus] = {}
        self.warnings: list[VertexWarning] = []
        self.log: Log | None = None

    @property
    def is_finished(self) -> bool:
        return self.finished > 0

    def seconds(self, now: float) -> float:
        return max(0.0, (self.finished or now) - self.started)


class Log:
    """The output of a step as lines, each after the seconds since the step began."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_open = False
        self.clipped = 0
        self._size = 0
        # Characters may be cut in two between writes.
        self._decoders = {
            stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, 2)
        }

    def add(self, stream: int, data: bytes, seconds: float) -> list[tuple[str, bool]]:
        """Take more output; return its lines and, of each, whether it goes on with the one before.

        The last line is open (see `is_open`) until its end comes with a later call.
        """
        text = self._decoders.get(stream, self._decoders[1]).decode(data)
        if not text:
            return []
        pieces = text.split("\n")
        goes_on = self.is_open
        self.is_open = bool(pieces[-1])
        if not self.is_open:
            pieces.pop()
        stamp = f"{seconds:.{3 if seconds < 10 else 2 if seconds < 100 else 1}f} "
        added = []
        for piece in pieces:
            piece = piece.removesuffix("\r")
            if goes_on:
                self.lines[-1] += piece
                added.append((piece, True))
            else:
                self.lines.append(stamp + piece)
                added.append((stamp + piece, False))
            goes_on = False
        self._size += len(text)
        if self._size > LARGEST_LOG:
            self._clip()
        return added

    def _clip(self) -> None:
        half = len(self.lines) // 2
        self.clipped += half
        del self.lines[:half]
        # A line may have no end: what is binary, or a progress bar.
        self.lines[-1] = self.lines[-1][-LARGEST_LOG // 2 :]
        self._size = sum(map(len, self.lines))


class Trace:
    """All vertices that are to be shown, in the order in which they started."""

    def __init__(self) -> None:
        self.vertices: dict[str, Vertex] = {}
        self.warnings: list[VertexWarning] = []
        self.began = 0.0

    def apply(self, event: Event) -> Vertex | None:
        """Note the event; return the vertex that it is about, or None when that is not shown."""
        if isinstance(event, VertexStarted):
            return self._start(event)
        if isinstance(event, VertexWarning):
            self.warnings.append(event)
        vertex = self.vertices.get(event.vertex)
        if vertex is None:
            return None
        if isinstance(event, VertexFinished):
            vertex.finished = event.time
            vertex.cached = event.cached
            vertex.error = event.error
            vertex.canceled = event.canceled
            if not event.error:
                vertex.log = None
        elif isinstance(event, VertexStatus):
            vertex.parts[event.id] = event
        elif isinstance(event, VertexLog):
            if vertex.log is None:
                vertex.log = Log()
        elif isinstance(event, VertexWarning):
            vertex.warnings.append(event)
        else:
            return None  # explanations are shown by whoever asked for them
        return vertex

    def _start(self, event: VertexStarted) -> Vertex | None:
        self.began = self.began or event.time
        if not event.name:
            return None
        known = self.vertices.get(event.vertex)
        if known is None:
            known = self.vertices[event.vertex] = Vertex(event)
        known.finished = 0.0  # a source is resolved, and later fetched
        return known


def size_text(size: int) -> str:
    """Bytes in decimal units with two places, as BuildKit shows them: `3.20kB`, `37B`."""
    if abs(size) < 1000:
        return f"{size}B"
    amount = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if abs(amount) < 1000:
            return f"{amount:.2f}{unit}"
    return f"{amount / 1000:.2f}PB"


def amount_text(part: VertexStatus) -> str:
    """How far a part is: `1.20MB / 3.40MB`, `1.20MB`, or nothing."""
    if part.total:
        return f"{size_text(part.current)} / {size_text(part.total)}"
    return size_text(part.current) if part.current else ""


def warning_text(warning: VertexWarning) -> str:
    """A warning on one line, as BuildKit's linter words it."""
    text = f"{warning.rule}: {warning.message}" if warning.rule else warning.message
    return f"{text} (line {warning.line})" if warning.line else text
