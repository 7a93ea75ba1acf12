"""Shows transfers of several layers at once, a line for each, as docker does on a terminal."""

from __future__ import annotations

import shutil
import threading
import time

from tierce.cli.format.units import human_size

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Self, TextIO

_EVERY_SECONDS = 0.1
_BAR = 50
_WIDE = 110
"""Columns from which docker shows the bar."""


class TransferLines:
    """Lines that are written over as the transfers go on; the last state stays.

    May be told of progress by several threads. Use as a context manager.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._guard = threading.Lock()
        self._lines: dict[str, tuple[str, int, int]] = {}
        self._written = 0
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._draw()

    def show(self, name: str, action: str, current: int = 0, total: int = -1) -> None:
        """One transfer has come so far; sizes in bytes. Without a total there is no bar."""
        with self._guard:
            self._lines[name] = action, current, total
            now = time.monotonic()
            if now >= self._next:
                self._draw()
                self._next = now + _EVERY_SECONDS

    def _draw(self) -> None:
        columns, rows = shutil.get_terminal_size()
        # What has scrolled out of the terminal cannot be reached any more.
        shown = list(self._lines.items())[-max(rows - 1, 1) :]
        up = f"\x1b[{self._written}A" if self._written else ""
        text = "".join(f"\x1b[2K{_line(name, *state, columns)}\n" for name, state in shown)
        self._written = len(shown)
        self._stream.write(up + text)
        self._stream.flush()


def _line(name: str, action: str, current: int, total: int, columns: int) -> str:
    if total < 0:
        return f"{name}: {action}"[: max(columns - 1, 1)]
    figures = f"{human_size(current):>8}/{human_size(total)}"
    bar = ""
    if columns > _WIDE:
        done = min(_BAR * current // total if total else _BAR, _BAR)
        bar = f"[{'=' * done}>{' ' * (_BAR - done)}] "
    return f"{name}: {action} {bar}{figures}"[: max(columns - 1, 1)]
