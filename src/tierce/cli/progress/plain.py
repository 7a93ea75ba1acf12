"""`--progress=plain`: lines, each after the number of its step.

Steps run in parallel, but a reader can follow only one: the output of one step is shown as it
comes, that of others is held back until the first ends or has had its time. What has ended is
shown at once. Everything is shown sooner or later.
"""

from __future__ import annotations

import threading
import time

from tierce.cli.progress.colours import colours_of
from tierce.cli.progress.output import Output
from tierce.cli.progress.summary import write_failures, write_warnings
from tierce.cli.progress.trace import Trace, Vertex, amount_text, warning_text
from tierce.solver.progress import VertexLog, VertexStatus

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from tierce.solver.progress import Event

# A step stays in view this long though others have something to say, and no longer than that.
SHORTEST_TURN, LONGEST_TURN = 5.0, 10.0
# A part that goes on is shown again after that time or that share of its size.
PART_SECONDS, PART_SHARE = 5.0, 0.05
LINES_OF_A_FAILURE = 10


class Step:
    """What of a vertex has been shown, and what is still to be."""

    def __init__(self, vertex: Vertex) -> None:
        self.vertex = vertex
        self.number = 0
        self.lines: list[tuple[str, bool]] = []  # text, and whether it goes on with a line
        self.parts: dict[str, VertexStatus] = {}
        self.shown_parts: dict[str, tuple[float, int]] = {}  # when, and how far it was
        self.shown_warnings = 0
        self.has_news = True
        self.has_ended = False

    @property
    def weight(self) -> int:
        return len(self.lines) + len(self.parts) + self.has_news


class PlainRenderer:
    def __init__(self, stream: TextIO, environ: Mapping[str, str], *, debug: bool = False) -> None:
        self._output = Output(stream)
        self._trace = Trace()
        self._debug = debug
        self._steps: dict[str, Step] = {}
        self._current: Step | None = None
        self._current_since = 0.0
        self._current_lines = 0
        self._line_is_open = False
        self._count = 0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False
        self._warning_colour = colours_of(environ).warning if stream.isatty() else ""

    def __call__(self, event: Event) -> None:
        with self._lock:
            vertex = self._trace.apply(event)
            if vertex is None:
                return
            step = self._steps.get(vertex.digest)
            if step is None:
                step = self._steps[vertex.digest] = Step(vertex)
            step.has_news = True
            if isinstance(event, VertexLog):
                assert vertex.log is not None
                seconds = event.time - vertex.started
                step.lines += vertex.log.add(event.stream, event.data, seconds)
            elif isinstance(event, VertexStatus):
                step.parts[event.id] = event
            self._show(step)

    def close(self, error: BaseException | None = None) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            out: list[str] = []
            for step in self._steps.values():
                if step.has_news and step is not self._current:
                    self._turn_to(step, out)
                    self._write_news(step, out)
            out.append("\n" if self._line_is_open else "")
            self._output.write("".join(out))
            write_failures(self._trace, error, self._output, LINES_OF_A_FAILURE)
            write_warnings(self._trace, self._output, self._warning_colour, debug=self._debug)

    # All of these are called with the lock held.

    def _show(self, step: Step) -> None:
        """Write what there is to say about a step, if it is its turn."""
        out: list[str] = []
        if step.vertex.is_finished or self._may_speak(step) or self._turn_is_over():
            self._turn_to(step, out)
            self._write_news(step, out)
            if step.vertex.is_finished:
                # It stays the current one, for a warning that comes late, until another speaks.
                following = self._most_talkative()
                if following is not None:
                    self._turn_to(following, out)
                    self._write_news(following, out)
        elif self._timer is None:
            self._start_timer()
        self._output.write("".join(out))

    def _may_speak(self, step: Step) -> bool:
        current = self._current
        return current is None or current is step or current.vertex.is_finished

    def _most_talkative(self) -> Step | None:
        waiting = [
            step
            for step in self._steps.values()
            if step.has_news and not step.vertex.is_finished and step is not self._current
        ]
        return max(waiting, key=lambda step: step.weight, default=None)

    def _turn_is_over(self) -> bool:
        """Whether the current step had its time: the more it says, the more of it."""
        waiting = sum(step.weight for step in self._steps.values() if step is not self._current)
        share = waiting / (waiting + self._current_lines or 1)
        turn = min(SHORTEST_TURN / share if share else LONGEST_TURN, LONGEST_TURN)
        return time.monotonic() - self._current_since >= turn

    def _turn_to(self, step: Step, out: list[str]) -> None:
        """Make a step the current one, with a headline."""
        if step is self._current:
            return
        if self._current is not None and not self._current.vertex.is_finished:
            out.append("\n" if self._line_is_open else "")
            out.append(f"#{self._current.number} ...\n")
        out.append("\n" if self._count else "")
        if not step.number:
            self._count += 1
            step.number = self._count
        out.append(f"#{step.number} {step.vertex.name}\n")
        self._line_is_open = False
        self._current = step
        self._current_since = time.monotonic()
        self._current_lines = 0

    def _write_news(self, step: Step, out: list[str]) -> None:
        vertex, prefix = step.vertex, f"#{step.number} "
        step.has_news = False
        for part in step.parts.values():
            self._write_part(step, part, out)
        step.parts.clear()
        for warning in vertex.warnings[step.shown_warnings :]:
            self._end_line(out)
            out.append(f"{prefix}WARN: {warning_text(warning)}\n")
        step.shown_warnings = len(vertex.warnings)
        self._write_lines(step, out)
        if vertex.is_finished and not step.has_ended:
            step.has_ended = True
            self._end_line(out)
            out.append(prefix + ending(vertex))

    def _write_lines(self, step: Step, out: list[str]) -> None:
        for text, goes_on in step.lines:
            if goes_on and self._line_is_open:
                out.append(text)
            else:
                self._end_line(out)
                out.append(f"#{step.number} {text}")
            self._line_is_open = True
        self._current_lines += len(step.lines)
        log = step.vertex.log
        if step.lines and not (log is not None and log.is_open):
            self._end_line(out)
        step.lines.clear()

    def _write_part(self, step: Step, part: VertexStatus, out: list[str]) -> None:
        now = part.finished or time.time()
        if part.id in step.shown_parts and not part.finished:
            when, current = step.shown_parts[part.id]
            advanced = part.total and (part.current - current) / part.total >= PART_SHARE
            if not advanced and now - when < PART_SECONDS:
                return
        step.shown_parts[part.id] = (now, part.current)
        text = f"#{step.number} {part.id} {amount_text(part)}".rstrip()
        if now - part.started > 0.01:
            text += f" {now - part.started:.1f}s"
        self._end_line(out)
        out.append(f"{text} done\n" if part.finished else f"{text}\n")

    def _end_line(self, out: list[str]) -> None:
        """Begin a line of its own, if the last one has no end yet."""
        if self._line_is_open:
            out.append("\n")
            self._line_is_open = False

    def _start_timer(self) -> None:
        self._timer = threading.Timer(SHORTEST_TURN, self._tick)
        self._timer.daemon = True
        self._timer.start()

    def _tick(self) -> None:
        """Give a waiting step its turn though no event asks for it."""
        with self._lock:
            self._timer = None
            if self._closed:
                return
            step = self._most_talkative()
            if step is not None:
                self._show(step)


def ending(vertex: Vertex) -> str:
    if vertex.canceled:
        return "CANCELED\n"
    if vertex.error:
        return f"ERROR: {vertex.error}\n"
    return "CACHED\n" if vertex.cached else f"DONE {vertex.seconds(vertex.finished):.1f}s\n"


def make(stream: TextIO, environ: Mapping[str, str], debug: bool = False) -> PlainRenderer:
    return PlainRenderer(stream, environ, debug=debug)
