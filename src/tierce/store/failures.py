"""The boundary at which failures of the system become errors of the store."""

from __future__ import annotations

import errno
from contextlib import contextmanager

from tierce.errors import StoreError, StoreFull
from tierce.lean import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_HINT = "free space on its device, or run: tierce system prune"


def store_error(doing: str, error: OSError | sqlite3.Error) -> StoreError:
    """The error to raise for a failed system or database call; `doing` is "write blob sha256:…"."""
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return StoreFull(f"{doing}: no space left on the store's device", hint=_FULL_HINT)
        hint = ""
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "run as root, or choose a store of your own with --root or TIERCE_ROOT"
        elif error.errno == errno.EROFS:
            hint = "choose a store on a writable device with --root or TIERCE_ROOT"
        cause = os_cause(error)
        return StoreError(f"{doing}: {cause}", hint=hint)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or _is_disk_full(error):
        return StoreFull(f"{doing}: no space left on the store's device", hint=_FULL_HINT)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"{doing}: another process holds the database",
            hint="see which process uses the store (fuser -v tierce.db), and try again",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(
            f"{doing}: the database is damaged ({error})",
            hint="run: tierce system check",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return StoreError(
            f"{doing}: the database cannot be written ({error})",
            hint="run as root, or choose a store of your own with --root or TIERCE_ROOT",
        )
    return StoreError(f"{doing}: {error}")


def os_cause(error: OSError) -> str:
    """The cause in one phrase: "permission denied: /var/lib/tierce"."""
    cause = (error.strerror or str(error)).lower()
    return f"{cause}: {os_path(error)}" if error.filename else cause


def os_path(error: OSError) -> str:
    """The path that an error is about, or an empty string."""
    name = error.filename
    if isinstance(name, bytes):
        return name.decode(errors="replace")
    return "" if name is None else str(name)


@contextmanager
def reported(doing: str) -> Iterator[None]:
    """Turns OSError and sqlite3.Error inside the block into StoreError or StoreFull."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise store_error(doing, error) from error


def _is_disk_full(error: sqlite3.Error) -> bool:
    """A full disk shows as an I/O error where SQLite must grow the WAL's index by mmap.

    See sqlite.org/rescode.html: SQLITE_IOERR_SHMSIZE, and SQLITE_IOERR_WRITE on some systems.
    """
    extended = getattr(error, "sqlite_errorcode", 0)
    return extended in (sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE)
