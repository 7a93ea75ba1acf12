"""What an ordinary user does before anything else: become root in a user namespace of its own.

All that works on one store is in one namespace, so that each can signal, enter and clear up what
another one has started. Nothing has to keep it: it lives as long as a command or a container's
process is in it, and the next command joins it by way of one of these, or makes another like it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

from tierce.errors import StoreError
from tierce.linux import userns
from tierce.store.paths import NAMESPACE_VARIABLE, Paths, default_root, default_run

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD = "namespace"
"""In the run directory: which namespace the last command was in, and the lock on that."""

_RECORD_BYTES = 63


def enter(root: str = "") -> None:
    """Enters the user namespace of a store, by default the usual one, unless this is root.

    For a process with one thread, before anything of the store is open. Idempotent. Raises
    RuntimeUnavailable where none can be made, and StoreError for a directory of somebody else.
    """
    if os.geteuid() == 0:
        return
    chosen = root or default_root(os.environ, privileged=False)
    uid, gid = os.geteuid(), os.getegid()
    with _record(chosen) as record:
        if not _join(record):
            userns.enter(userns.ranges_of(uid, gid))
        os.environ[NAMESPACE_VARIABLE] = f"{uid}:{gid}"
        device, inode = userns.identity_of("/proc/self/ns/user")
        # Always as long, so that there is no moment without: who comes next has to find it.
        os.pwrite(record, f"{device} {inode}".ljust(_RECORD_BYTES).encode(), 0)


@contextmanager
def _record(root: str) -> Iterator[int]:
    """The record of a store, locked: two commands must not make a namespace each."""
    try:
        os.makedirs(root, 0o711, exist_ok=True)
        run = default_run(os.path.abspath(root), os.environ, privileged=False)
        Paths(root, run).create_run()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        record = os.open(f"{run}/{_RECORD}", flags, 0o600)
    except OSError as error:
        raise StoreError(
            f"open store {root}: {error.strerror}: {error.filename}",
            hint="is it another user's? choose one of your own: --root, or TIERCE_ROOT",
        ) from error
    try:
        fcntl.flock(record, fcntl.LOCK_EX)
        yield record
    finally:
        os.close(record)


def _join(record: int) -> bool:
    """Joins the namespace that the record tells of, if somebody is still in it."""
    words = os.pread(record, _RECORD_BYTES, 0).split()
    if len(words) != 2:
        return False
    for namespace in userns.members((int(words[0]), int(words[1])), os.geteuid()):
        try:
            userns.join(namespace)
        except OSError:  # it has no other process, and that has ended
            continue
        finally:
            os.close(namespace)
        return True
    return False
