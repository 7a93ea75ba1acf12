"""The locks of a build: across processes, and given up when the build is cancelled."""

from __future__ import annotations

from contextlib import contextmanager

from tierce.errors import Cancelled

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from tierce.store import Store

_POLL_SECONDS = 0.02


class BuildLocks:
    """See `tierce.solver.types.Locker`."""

    def __init__(self, store: Store, cancelled: Event) -> None:
        self._store = store
        self._cancelled = cancelled

    @contextmanager
    def __call__(self, key: str) -> Iterator[None]:
        """Hold a lock; raises Cancelled when the build is cancelled while it waits."""
        while True:
            with self._store.locks.try_hold(key) as held:
                if held:
                    yield
                    return
            if self._cancelled.wait(_POLL_SECONDS):
                raise Cancelled("build: cancelled")
