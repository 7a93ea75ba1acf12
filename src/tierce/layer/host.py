"""Entries of the host's files."""

from __future__ import annotations

import os
import stat
from errno import ENODATA, ENOTSUP

from tierce.errors import LayerError
from tierce.layer.entry import Entry, keeps_xattr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
"""By file type; sockets are no part of a layer (nothing could listen on them)."""

OPAQUE_XATTRS = ("trusted.overlay.opaque", "user.overlay.opaque")


def host_entry(
    path: str, host_path: str, status: os.stat_result, names: list[str] | None = None
) -> Entry | None:
    """The entry `path` for the file at `host_path` with this lstat; None for a socket.

    `names` are those of its extended attributes, if they are known already. Raises OSError.
    """
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    if names is None:
        names = list_xattrs(host_path)
    device = (0, 0)
    if kind in {"char", "block"}:
        device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    return Entry(
        path,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_size if kind == "file" else 0,
        status.st_mtime_ns,
        os.readlink(host_path) if kind == "symlink" else "",
        device,
        read_xattrs(host_path, names) if names else (),
    )


def root_entry(host_path: str) -> Entry:
    """The root of a tree, which is at `host_path`. Raises OSError."""
    entry = host_entry("", host_path, os.lstat(host_path))
    assert entry is not None
    return entry


def list_xattrs(host_path: str) -> list[str]:
    """The names of a file's own extended attributes; none where it cannot have any."""
    try:
        return os.listxattr(host_path, follow_symlinks=False)
    except OSError as error:
        if error.errno == ENOTSUP:
            return []
        raise


def read_xattrs(host_path: str, names: list[str]) -> tuple[tuple[str, bytes], ...]:
    """Those of the named attributes that belong to a layer, sorted."""
    return tuple(
        (name, os.getxattr(host_path, name, follow_symlinks=False))
        for name in sorted(filter(keeps_xattr, names))
    )


def is_overlay_whiteout(status: os.stat_result) -> bool:
    """Whether overlayfs means "deleted" by this file (kernel, overlayfs.rst, "whiteouts")."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_overlay_opaque(host_path: str) -> bool:
    """Whether overlayfs hides what lower layers have in this directory.

    Only the value "y" says so: "x" marks a directory that may hold whiteouts as attributes.
    """
    for name in OPAQUE_XATTRS:
        try:
            if os.getxattr(host_path, name, follow_symlinks=False) == b"y":
                return True
        except OSError as error:
            if error.errno not in {ENODATA, ENOTSUP}:
                raise
    return False


def walk_directory(root: str) -> Iterator[tuple[str, os.DirEntry[str], os.stat_result]]:
    """Everything below `root`, sorted by `sort_key`: its path, where it is, and its lstat.

    Raises LayerError for what cannot be read. Trees of any depth that paths can reach.
    """
    prefixes = [""]
    pending = [_listed("", root)]
    while pending:
        if not pending[-1]:
            pending.pop()
            prefixes.pop()
            continue
        member = pending[-1].pop()
        path = prefixes[-1] + member.name
        try:
            status = member.stat(follow_symlinks=False)
        except OSError as error:
            raise unreadable(path, error) from error
        yield path, member, status
        if stat.S_ISDIR(status.st_mode):
            pending.append(_listed(path, member.path))
            prefixes.append(f"{path}/")


def _listed(path: str, directory: str) -> list[os.DirEntry[str]]:
    """The members of a directory, the first one last."""
    try:
        with os.scandir(directory) as members:
            return sorted(members, key=_name, reverse=True)
    except OSError as error:
        raise unreadable(path, error) from error


def _name(member: os.DirEntry[str]) -> str:
    return member.name


def unreadable(path: str, error: OSError) -> LayerError:
    return LayerError(f"read layer entry {path or '/'}: {error.strerror}", entry=path)
