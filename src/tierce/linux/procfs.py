"""Mounting the file system of processes, proc(5)."""

from __future__ import annotations

import os

from tierce.linux import libc, mounts

_FSCONFIG_SET_FD = 5


def mount_proc(namespace: str, target: str) -> None:
    """Mounts a /proc of the processes of another namespace, which is a file in /proc/PID/ns.

    Only since Linux 6.17 (the option `pidns` of proc) can somebody do that who is not in the
    namespace. Raises OSError.
    """
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        context = mounts.fsopen("proc")
        try:
            libc.syscall(
                libc.SYS_FSCONFIG, context, _FSCONFIG_SET_FD, "pidns", None, descriptor, path=target
            )
            mounts.fsconfig_create(context)
            tree = mounts.fsmount(context)
        finally:
            os.close(context)
    finally:
        os.close(descriptor)
    try:
        mounts.move_mount(tree, "", mounts.AT_FDCWD, target, mounts.MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)
