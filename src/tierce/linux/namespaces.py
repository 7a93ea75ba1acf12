"""Namespaces: unshare(2), setns(2)."""

from tierce.linux import libc, mounts

CLONE_FS = 0x200
CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000


def unshare(flags: int) -> None:
    """Moves the calling *thread* (for CLONE_NEWPID: its future children) to new namespaces.

    CLONE_NEWNS gives the thread a root and working directory of its own as well. CLONE_NEWUSER
    needs a process with a single thread.
    """
    libc.call("unshare", flags)


def setns(descriptor: int, flags: int) -> None:
    """Moves the calling *thread* (for CLONE_NEWPID: its future children) to another namespace.

    `descriptor` is of a file in /proc/PID/ns, and `flags` says which kind it is of. CLONE_NEWUSER
    needs a process with a single thread, CLONE_NEWNS one that shares its working directory with
    nobody.
    """
    libc.call("setns", descriptor, flags)


def make_private(target: str = "/") -> None:
    """No mount made at or below `target` shows up elsewhere, or the other way round."""
    mounts.mount(None, target, None, mounts.MS_REC | mounts.MS_PRIVATE)
