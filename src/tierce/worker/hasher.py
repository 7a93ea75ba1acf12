"""Hashes the layers of steps in the background, while the next step runs."""

from __future__ import annotations

import queue
import threading

from tierce.errors import TierceError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.store import Store


class Hasher:
    """One thread that computes diff ids, started by the first snapshot. Usable from all threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, snapshot: int) -> None:
        """Have a snapshot hashed, after those that were added before."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="hasher", daemon=True)
                self._thread.start()
        self._waiting.put(snapshot)

    def close(self) -> None:
        """Wait until everything is hashed. Idempotent."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def _serve(self) -> None:
        while (snapshot := self._waiting.get()) is not None:
            try:
                self._store.snapshots.finish([snapshot])
            except (TierceError, OSError):
                # The exporter asks for the same diff id, and is told why there is none.
                continue
