"""`--progress=tty`: a picture of the build on the terminal, drawn over and over again.

A thread of its own draws ten times a second, so that a slow terminal never slows the build. What
is above the picture on the terminal stays; the last one, with every step on it, stays too.
"""

from __future__ import annotations

import os
import threading
import time

from tierce.cli.progress.colours import colours_of
from tierce.cli.progress.frame import FEWEST_WINDOW_LINES, frame
from tierce.cli.progress.output import Output
from tierce.cli.progress.summary import write_failures, write_warnings
from tierce.cli.progress.trace import Trace
from tierce.cli.table import load_module
from tierce.solver.progress import VertexLog

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from tierce.cli.progress.screen import Screen
    from tierce.cli.progress.trace import Vertex
    from tierce.solver.progress import Event

FIRST_PICTURE_SECONDS, PICTURE_SECONDS = 0.05, 0.1
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ERASE_LINE, ERASE_BELOW = "\x1b[K", "\x1b[J"


class TtyRenderer:
    def __init__(self, stream: TextIO, environ: Mapping[str, str], *, debug: bool = False) -> None:
        self._output = Output(stream)
        self._colours = colours_of(environ)
        self._window_lines = window_lines(environ)
        self._trace = Trace()
        self._debug = debug
        self._screens: dict[str, Screen] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._drawer: threading.Thread | None = None
        self._drawn: list[int] = []  # the widths of the lines of the last picture
        self._closed = False
        self._output.write("".join(f"{problem}\n" for problem in self._colours.problems))

    def __call__(self, event: Event) -> None:
        with self._lock:
            vertex = self._trace.apply(event)
            if vertex is not None and isinstance(event, VertexLog):
                self._take_log(vertex, event)
            if self._drawer is None and not self._closed:
                self._drawer = threading.Thread(target=self._draw_on, daemon=True)
                self._drawer.start()

    def close(self, error: BaseException | None = None) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._closing.set()
        if self._drawer is not None:
            self._drawer.join()
        if self._trace.vertices:
            self._draw(is_final=True)
        write_failures(self._trace, error, self._output)
        write_warnings(self._trace, self._output, self._colours.warning, debug=self._debug)

    def _take_log(self, vertex: Vertex, event: VertexLog) -> None:
        assert vertex.log is not None
        screen = self._screens.get(vertex.digest)
        if screen is None:
            # Most builds of the day are cached and need none.
            screen = load_module("tierce.cli.progress.screen").Screen(self._window_lines, 80)
            self._screens[vertex.digest] = screen
        vertex.log.add(event.stream, event.data, event.time - vertex.started)
        screen.write(event.data.decode("utf-8", "replace"))

    def _draw_on(self) -> None:
        pause = FIRST_PICTURE_SECONDS
        while not self._closing.wait(pause):
            pause = PICTURE_SECONDS
            self._draw()

    def _draw(self, *, is_final: bool = False) -> None:
        width, height = self._size()
        with self._lock:
            lines = frame(
                self._trace,
                self._screens,
                self._colours,
                now=time.time(),
                width=width,
                height=height,
                window_lines=self._window_lines,
                is_final=is_final,
            )
        # A terminal that became narrower has broken the lines of the last picture in pieces.
        up = sum(max(1, -(-length // width)) for length in self._drawn)
        back = f"\x1b[{min(up, height - 1)}A\r" if up else ""
        text = f"{ERASE_LINE}\n".join(lines)
        self._drawn = [width - 1] * len(lines)
        self._output.write(f"{HIDE_CURSOR}{back}{text}\n{ERASE_BELOW}{SHOW_CURSOR}")

    def _size(self) -> tuple[int, int]:
        try:
            width, height = os.get_terminal_size(self._output.stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return (width, height) if width > 0 and height > 0 else (80, 24)


def window_lines(environ: Mapping[str, str]) -> int:
    """How many lines of a running step's output are shown."""
    text = environ.get("BUILDKIT_TTY_LOG_LINES", "")
    return int(text) if text.isdecimal() and int(text) else FEWEST_WINDOW_LINES


def make(stream: TextIO, environ: Mapping[str, str], debug: bool = False) -> TtyRenderer:
    return TtyRenderer(stream, environ, debug=debug)
