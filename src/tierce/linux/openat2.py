"""openat2(2): opening a path of a foreign tree without being led out of it (Linux 5.6)."""

from __future__ import annotations

import struct

from tierce.linux import libc

SYS_OPENAT2 = 437

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10


def openat2(directory: int, path: str, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """Opens a path relative to a directory's descriptor; `resolve` restricts how it is followed.

    With RESOLVE_IN_ROOT the directory is the root: for absolute paths and links, and for `..`.
    """
    how = struct.pack("=QQQ", flags, mode, resolve)
    return libc.syscall(SYS_OPENAT2, directory, path, how, len(how), path=path)
