"""What changed in a file system, as the items of a layer.

Two sources: the upper directory of an overlay mount, where the kernel has put everything that
changed, and two plain trees of which one began as a copy of the other. Either way the items are
sorted, a file's first path is the "file" and its further ones are hard links, and the root
itself is left out, as in the layers of every other builder.
"""

import os
import stat
from collections.abc import Iterator

from tierce.errors import LayerError
from tierce.layer.entry import Content, Entry, Item
from tierce.layer.host import (
    host_entry,
    is_overlay_whiteout,
    list_xattrs,
    read_xattrs,
    unreadable,
    walk_directory,
)

_OVERLAY_PREFIXES = ("trusted.overlay.", "user.overlay.")
_CHUNK = 1 << 20


def overlay_changes(upper: str) -> Iterator[Item]:
    """The changes in the upper directory `upper` of an overlay that is not written to.

    Raises LayerError for what cannot be read, and for forms of overlayfs that stand for content
    in other layers (`redirect_dir` and `metacopy` must have been off).
    """
    first_names: dict[tuple[int, int], str] = {}
    for path, member, status in walk_directory(upper):
        if is_overlay_whiteout(status):
            yield Entry(path, "whiteout", 0), None
            continue
        try:
            names = list_xattrs(member.path)
            opaque = False
            for name in names:
                if name.startswith(_OVERLAY_PREFIXES):
                    opaque |= _is_opaque(path, member.path, name)
            item = _item(path, member.path, status, names, first_names)
        except OSError as error:
            raise unreadable(path, error) from error
        if item is not None:
            yield item
        if opaque:
            yield Entry(path, "opaque", 0), None


def tree_changes(lower: str, upper: str, *, copied_at_ns: int | None = None) -> Iterator[Item]:
    """The changes that turn the tree `lower` into the tree `upper`, neither being written to.

    Files alike in all but their content are compared byte by byte. `copied_at_ns` saves that: if
    `upper` began as a copy of `lower` (with times and hard links), it is the ctime of a file that
    was made in the same file system right after; no later change can have an earlier ctime.
    Raises LayerError for what cannot be read.
    """
    return _TreeDiff(copied_at_ns).run(lower, upper)


class _Frame:
    """A directory whose members are being compared."""

    def __init__(self, prefix: str, lower: str | None, upper: str, item: Item | None) -> None:
        self.prefix = prefix
        self.item = item
        """Itself, if it has not changed: it becomes part of the layer if something inside has."""
        self.old = _members(lower) if lower is not None else {}
        self.new = _members(upper)
        self.names = sorted(self.old.keys() | self.new.keys(), reverse=True)


class _TreeDiff:
    def __init__(self, copied_at_ns: int | None) -> None:
        self._copied_at_ns = copied_at_ns
        self._first_names: dict[tuple[int, int], str] = {}

    def run(self, lower: str, upper: str) -> Iterator[Item]:
        frames = []
        try:
            frames.append(_Frame("", lower, upper, None))
            while frames:
                frame = frames[-1]
                if not frame.names:
                    frames.pop()
                    continue
                name = frame.names.pop()
                path = frame.prefix + name
                old, new = frame.old.get(name), frame.new.get(name)
                changed = old is None or new is None or self._differs(old, new)
                item: Item | None
                if new is None:
                    item = Entry(path, "whiteout", 0), None
                elif changed or new.is_directory:
                    item = _item(path, new.path, new.status, None, self._first_names)
                if changed and item is not None:
                    yield from _unwritten(frames)
                    yield item
                if new is not None and new.is_directory:
                    below = old.path if old is not None and old.is_directory else None
                    frames.append(_Frame(f"{path}/", below, new.path, None if changed else item))
        except OSError as error:
            raise unreadable(path if frames else "", error) from error

    def _differs(self, old: "_Member", new: "_Member") -> bool:
        # As with `drop_unchanged`, neither further names of a file count, nor a directory's time.
        was, now = old.status, new.status
        if (was.st_mode, was.st_uid, was.st_gid, was.st_rdev) != (
            now.st_mode, now.st_uid, now.st_gid, now.st_rdev,
        ):  # fmt: skip
            return True
        if not new.is_directory and (was.st_size, was.st_mtime_ns) != (
            now.st_size, now.st_mtime_ns,
        ):  # fmt: skip
            return True
        if (was.st_dev, was.st_ino) == (now.st_dev, now.st_ino):
            return False
        if self._copied_at_ns is not None and now.st_ctime_ns < self._copied_at_ns:
            return False
        if stat.S_ISLNK(now.st_mode):
            return os.readlink(old.path) != os.readlink(new.path)
        if _xattrs(old.path) != _xattrs(new.path):
            return True
        return stat.S_ISREG(now.st_mode) and not _same_content(old.path, new.path)


class _Member:
    """A file in a directory, sockets aside."""

    __slots__ = ("is_directory", "path", "status")

    def __init__(self, path: str, status: os.stat_result) -> None:
        self.path = path
        self.status = status
        self.is_directory = stat.S_ISDIR(status.st_mode)


def _members(directory: str) -> dict[str, _Member]:
    with os.scandir(directory) as members:
        listed = [(each, each.stat(follow_symlinks=False)) for each in members]
    return {
        each.name: _Member(each.path, status)
        for each, status in listed
        if not stat.S_ISSOCK(status.st_mode)
    }


def _unwritten(frames: list[_Frame]) -> Iterator[Item]:
    """The directories above a change, as in an overlay's upper directory."""
    for frame in frames:
        if frame.item is not None:
            yield frame.item
            frame.item = None


def _item(
    path: str,
    host_path: str,
    status: os.stat_result,
    xattr_names: list[str] | None,
    first_names: dict[tuple[int, int], str],
) -> Item | None:
    """The item of a file; None for a socket."""
    entry = host_entry(path, host_path, status, xattr_names)
    if entry is None:
        return None
    if status.st_nlink > 1 and entry.kind != "dir":
        first = first_names.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            return entry._replace(kind="hardlink", link=first, size=0, device=(0, 0)), None
    return entry, Content(host_path, 0, entry.size) if entry.size else None


def _is_opaque(path: str, host_path: str, xattr: str) -> bool:
    """What an attribute of overlayfs on a file in an upper directory says."""
    name = xattr.split(".", 2)[2]
    if name in {"redirect", "metacopy"}:
        raise LayerError(
            f"read layer entry {path}: its content is in another layer (overlayfs {name})",
            entry=path,
            hint="overlayfs must be mounted with redirect_dir=off and metacopy=off",
        )
    return name == "opaque" and os.getxattr(host_path, xattr, follow_symlinks=False) == b"y"


def _xattrs(host_path: str) -> tuple[tuple[str, bytes], ...]:
    return read_xattrs(host_path, list_xattrs(host_path))


def _same_content(one: str, other: str) -> bool:
    with open(one, "rb", buffering=0) as left, open(other, "rb", buffering=0) as right:
        while True:
            data = left.read(_CHUNK)
            if data != right.read(_CHUNK):
                return False
            if not data:
                return True
