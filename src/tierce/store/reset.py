"""Removing a store as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from tierce.errors import StoreError
from tierce.store.failures import reported
from tierce.store.trash import disk_usage, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tierce.store.paths import Paths

_OF_A_STORE = ("blobs", "snapshots", "leases")


def check_store(paths: Paths) -> None:
    """Refuses a directory that is no store, or another user's. Raises StoreError."""
    root = os.fspath(paths.root)
    try:
        names = set(os.listdir(root))
    except FileNotFoundError:
        raise StoreError(f"reset store {root}: there is none") from None
    except OSError as error:
        raise StoreError(f"reset store {root}: {error.strerror}") from error
    if not paths.exist() or not names.issuperset(_OF_A_STORE[:2]):
        raise StoreError(
            f"reset store {root}: it is not a store of tierce",
            hint="nothing was removed; --root or TIERCE_ROOT says where the store is",
        )


def remove_store(paths: Paths) -> tuple[int, list[str]]:
    """Removes a store in which nothing runs; the bytes that frees, and what else was there.

    What is not of a store stays, and the directory with it. The database goes last: until then
    the removal can be repeated. Raises StoreError.
    """
    check_store(paths)
    root = os.fspath(paths.root)
    with reported(f"reset store {root}"):
        size = disk_usage(root)
        # In it without XDG_RUNTIME_DIR, else beside those of other stores.
        remove_tree(paths.run)
        for path in paths.of_store():
            remove_tree(Path(path))
        for suffix in ("-wal", "-shm", ""):
            try:
                os.unlink(f"{paths.database}{suffix}")
            except FileNotFoundError:
                continue
        left = sorted(os.listdir(root))
        if not left:
            try:
                os.rmdir(root)
            except OSError:  # a mount point, or one that we may not remove
                pass
    return size, left
