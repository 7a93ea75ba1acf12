"""Locks between processes and threads, by name.

Each is a file in `locks/`, locked with flock(2) and gone when nobody wants it. They are in the
store's root, not in its run directory: whoever shares a store must share its locks, also when
the environment gives them different run directories.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

from tierce.errors import Cancelled
from tierce.store.failures import reported, store_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

_NAME_LIMIT = 128
_POLL_SECONDS = 0.02


class Locks:
    """The locks of a store.

    Not reentrant: a thread that takes a lock twice waits for itself. Dropped by the kernel when
    the holder dies.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold the lock `key` while the block runs, waiting for whoever has it.

        A key is any text without NUL; long ones and those with "/" are hashed.
        """
        descriptor = self._acquire(key, wait=True)
        assert descriptor is not None
        try:
            yield
        finally:
            self._release(key, descriptor)

    @contextmanager
    def hold_unless(self, cancelled: Event, key: str) -> Iterator[None]:
        """As `hold`, but waits no longer when an event is set. Raises Cancelled then."""
        while (descriptor := self._acquire(key, wait=False)) is None:
            if cancelled.wait(_POLL_SECONDS):
                raise Cancelled(f"lock {key}: cancelled")
        try:
            yield
        finally:
            self._release(key, descriptor)

    @contextmanager
    def try_hold(self, key: str) -> Iterator[bool]:
        """As `hold`, but never waits: the block gets False when somebody else has the lock."""
        descriptor = self._acquire(key, wait=False)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                self._release(key, descriptor)

    def _acquire(self, key: str, *, wait: bool) -> int | None:
        path = self._path(key)
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise store_error(f"lock {key}", error) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                # The last holder may have removed the file while this one waited for it; a
                # lock on a removed file excludes nobody.
                if os.fstat(descriptor).st_nlink:
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _release(self, key: str, descriptor: int) -> None:
        try:
            with reported(f"unlock {key}"):
                os.unlink(self._path(key))
        finally:
            os.close(descriptor)

    def _path(self, key: str) -> str:
        name = key
        if "/" in key or len(key) > _NAME_LIMIT or key.startswith("."):
            import hashlib  # only for unusual names

            name = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
        return f"{self._directory}/{name}"
