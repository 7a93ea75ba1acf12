"""Writing the log of a container in the foreground, in the form that `logs` describes."""

from __future__ import annotations

import os
import time

from tierce.containers.logfiles import LogFiles, LogLimits
from tierce.errors import StoreError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Self


_NANO = 1_000_000_000


class LogWriter:
    """A log that is written to; a file of it is made when something comes. Context manager.

    Without a directory, what comes is forgotten.
    """

    def __init__(self, directory: str, limits: LogLimits) -> None:
        self._files = LogFiles(directory)
        self._limits = limits
        self._wanted = bool(directory)
        self._file = -1
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def stdout(self, data: bytes) -> None:
        self._write(b"stdout", data)

    def stderr(self, data: bytes) -> None:
        self._write(b"stderr", data)

    def _write(self, stream: bytes, data: bytes) -> None:
        if not self._wanted or not self._open():
            return
        seconds, rest = divmod(time.time_ns(), _NANO)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        head = f"{stamp}.{rest:09}+00:00 ".encode() + stream
        *whole, part = data.split(b"\n")
        text = b"".join([b"%s F %s\n" % (head, line) for line in whole])
        if part:
            text += b"%s P %s\n" % (head, part)
        self._size += len(text)
        try:
            while text:
                text = text[os.write(self._file, text) :]
        except OSError as error:
            raise StoreError(f"write log {self._files.current}: {error.strerror}") from error

    def _open(self) -> bool:
        """Sees to it that a file with room is open; False when the log has been removed."""
        if self._file >= 0 and self._limits.size_bytes and self._size >= self._limits.size_bytes:
            self._close()
            try:
                self._files.move_on(self._limits)
            except FileNotFoundError:
                return False
        if self._file >= 0:
            return True
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._file = os.open(self._files.current, flags, 0o600)
        except FileNotFoundError:  # removed by force; the container still may write to us
            return False
        self._size = os.fstat(self._file).st_size
        return True

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
