"""Whose turn it is to write to the database.

SQLite's busy handler polls, with pauses of up to 100 ms: beside a process that writes again and
again, others may not get a turn for seconds. So writers queue up here first, asleep in the
kernel, and find SQLite's own lock free.

Two byte locks of one file, like a turnstile: who waits for the second holds the first, so that
whoever has just written and wants to again must stand behind.
"""

from __future__ import annotations

import fcntl
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_FLOCK = "hhqqi4x"
_DOOR, _ROOM = 0, 1


def _lock(kind: int, byte: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)


_ENTER_DOOR = _lock(fcntl.F_WRLCK, _DOOR)
_LEAVE_DOOR = _lock(fcntl.F_UNLCK, _DOOR)
_ENTER_ROOM = _lock(fcntl.F_WRLCK, _ROOM)
_LEAVE_ROOM = _lock(fcntl.F_UNLCK, _ROOM)


class Turns:
    """One writer's place in the queue, each thread has its own; the block runs when it is its turn.

    Open file description locks (fcntl(2)): between threads as between processes, and gone with
    whoever dies. Methods raise OSError.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> None:
        # Opened by the first write: reading must be possible where nothing can be made.
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        descriptor = self._descriptor
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _ENTER_DOOR)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _ENTER_ROOM)
        finally:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _LEAVE_DOOR)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _LEAVE_ROOM)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
