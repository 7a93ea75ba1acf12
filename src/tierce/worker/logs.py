"""The complete output of steps, kept in the store: what a terminal cuts off is in the file."""

from __future__ import annotations

import os
import threading
import time

from tierce.errors import StoreFull
from tierce.store.failures import reported

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from pathlib import Path

_TAIL_BYTES = 64 << 10


class StepLog:
    """The log file of one run of one step, made when the step first writes something."""

    def __init__(self, directory: Path, vertex: str) -> None:
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{vertex[7:19]}-{os.getpid()}.log"
        self.path = directory / name
        self._descriptor = -1
        self._end = b""
        self._lock = threading.Lock()

    def __enter__(self) -> StepLog:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def write(self, data: bytes) -> None:
        """Append output. Both streams of a process come here, in the order they were read.

        Raises StoreError; on a full disk what was written before is lost, too.
        """
        with self._lock:
            self._end = (self._end + data)[-_TAIL_BYTES:]
            try:
                with reported(f"write log {self.path}"):
                    self._append(data)
            except StoreFull:
                # The step fails; a store without a byte to spare would fail at everything.
                if self._descriptor >= 0:
                    os.ftruncate(self._descriptor, 0)
                raise

    def _append(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._descriptor = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def remove(self) -> None:
        """Take the file away, if there is one: it holds what must not be kept. Idempotent."""
        with reported(f"remove log {self.path}"):
            self.path.unlink(missing_ok=True)

    def tail(self) -> str:
        """The last of it, as text."""
        return self._end.decode("utf-8", "replace")
