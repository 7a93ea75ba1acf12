"""A limit on the bytes that all transfers together move in a second."""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from threading import Event

_BURST_SECONDS = 0.1


class Throttle:
    """Has whoever moves bytes wait until the limit allows them. Usable from all threads."""

    def __init__(self, bytes_per_second: int, cancelled: Event) -> None:
        self._rate = bytes_per_second
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def piece(self, size: int) -> int:
        """How many bytes to move at once, of `size` that are to be moved."""
        if not self._rate:
            return size
        return min(size, max(int(self._rate * _BURST_SECONDS), 1024))

    def moved(self, size: int) -> None:
        """Bytes were moved: wait for as long as the limit gives for them."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - _BURST_SECONDS) + size / self._rate
            delay = self._free_at - now
        if delay > 0:
            self._cancelled.wait(delay)
