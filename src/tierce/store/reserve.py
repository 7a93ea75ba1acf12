"""Space kept aside, so that a full disk can be emptied.

To delete a row SQLite first writes to its log, which a full disk does not allow: nothing could
be pruned any more just when it must be. So the store holds on to a little space that it gives
back while somebody removes things.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RESERVED_BYTES = 1 << 20
"""Enough for the log of a transaction that touches 250 pages."""


class Reserve:
    """The file `reserve`, of a size that is all there is to it."""

    def __init__(self, path: str) -> None:
        self._path = path

    @contextmanager
    def released(self) -> Iterator[None]:
        """While the block runs, the space may be used, if there is little other.

        Kept again after it, if there is room by then.
        """
        if self._free() < RESERVED_BYTES:
            self.release()
        try:
            yield
        finally:
            self.keep()

    def release(self) -> bool:
        """Give the space back; says whether it was held."""
        held = os.path.exists(self._path)
        _unlink(self._path)
        return held

    def keep(self) -> None:
        """Take the space, unless it is held already or there is not much more than it."""
        if os.path.exists(self._path) or self._free() < 4 * RESERVED_BYTES:
            return
        temporary = f"{self._path}-{os.getpid()}"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVED_BYTES)
            finally:
                os.close(descriptor)
            os.rename(temporary, self._path)
        except OSError:
            _unlink(temporary)  # a quota, or a file system that cannot

    def _free(self) -> int:
        status = os.statvfs(os.path.dirname(self._path))
        return status.f_bavail * status.f_frsize


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # another process did, or the store is not ours: whoever writes will be told
