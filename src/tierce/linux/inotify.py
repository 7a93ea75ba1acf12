"""Waiting until a file changes: inotify(7)."""

import os

from tierce.linux import libc

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_NONBLOCK = os.O_NONBLOCK
IN_CLOEXEC = os.O_CLOEXEC


def inotify_init1(flags: int = IN_CLOEXEC | IN_NONBLOCK) -> int:
    return libc.call("inotify_init1", flags)


def inotify_add_watch(descriptor: int, path: str, mask: int) -> int:
    return libc.call("inotify_add_watch", descriptor, path, mask, path=path)
