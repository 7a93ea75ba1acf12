"""A directory that somebody may be changing while it is read: the files of a container that runs.

Who writes to it may put links in the place of directories at any moment. So every file is opened
by descriptors that do not leave the directory, and none is opened for reading before it is seen
to be a regular file. What vanishes meanwhile was never there.
"""

from __future__ import annotations

import errno
import os
import stat

from tierce.layer.entry import Content, Entry, OpenFile, keeps_xattr
from tierce.layer.host import OPAQUE_XATTRS, host_entry, is_overlay_whiteout, unreadable
from tierce.layer.sources import Found
from tierce.linux.rootfs import open_in_root

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator
    from typing import Self

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})
_WHITEOUT = Found(None)


class LiveLayer:
    """The layer in the directory `path`, as a `LayerSource`. Close it, or use it in a `with`.

    With `overlay_whiteouts` the marks of overlayfs are understood. The paths in `hidden` are not
    seen; of those in `deleted`, too, nothing is seen of what is beneath. Raises LayerError for
    what cannot be read.
    """

    def __init__(
        self,
        path: str,
        *,
        overlay_whiteouts: bool = True,
        hidden: Collection[str] = (),
        deleted: Collection[str] = (),
    ) -> None:
        self.path = path
        self.overlay = overlay_whiteouts
        self._hidden = hidden
        self._deleted = deleted
        try:
            self._root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable("", error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def find(self, path: str) -> Found | None:
        """What this layer says about `path`; None if it says nothing."""
        if path in self._deleted:
            return _WHITEOUT
        handle = -1 if path in self._hidden else self._open(path)
        if handle < 0:
            return None
        try:
            if self.overlay and is_overlay_whiteout(os.fstat(handle)):
                return _WHITEOUT
            found = describe(path, handle)
            if found is not None and found.opaque and not self.overlay:
                return found._replace(opaque=False)
            return found
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise unreadable(path, error) from error
        finally:
            os.close(handle)

    def names(self, path: str) -> list[str]:
        """The names in the directory `path`, sorted, also of whiteouts."""
        handle = self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if handle < 0:
            return []
        try:
            names = os.listdir(handle)
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            os.close(handle)
        prefix = f"{path}/" if path else ""
        return sorted(name for name in names if prefix + name not in self._hidden)

    def walk(self, path: str, bare: Collection[str] = ()) -> Iterator[tuple[Entry, Hashable]]:
        """Everything below the directory `path`, sorted, with its inode; no whiteouts.

        Directories whose paths are in `bare` come without what is in them.
        """
        pending = [(path, self.names(path)[::-1])]
        while pending:
            directory, names = pending[-1]
            if not names:
                pending.pop()
                continue
            name = names.pop()
            inner = f"{directory}/{name}" if directory else name
            found = self.find(inner)
            if found is None or found.entry is None:
                continue
            yield found.entry, found.inode
            if found.directory and inner not in bare:
                pending.append((inner, self.names(inner)[::-1]))

    def content(self, entry: Entry) -> Content:
        """Where the bytes of a "file" are, for who knows that nobody changes them."""
        return Content(f"{self.path}/{entry.path}", 0, entry.size)

    def open(self, path: str) -> int:
        """A descriptor to read a regular file by, or -1 when there is none any more."""
        handle = self._open(path)
        if handle < 0:
            return -1
        try:
            return read_handle(handle)
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            os.close(handle)

    def items(self, entries: Iterator[Entry]) -> Iterator[tuple[Entry, OpenFile | None]]:
        """The entries, all of this layer, with their content; files that are gone are left out."""
        for entry in entries:
            if entry.kind != "file" or not entry.size:
                yield entry, None
                continue
            descriptor = self.open(entry.path)
            if descriptor < 0:
                continue
            try:
                yield entry, OpenFile(descriptor, entry.size)
            finally:
                os.close(descriptor)

    def _open(self, path: str, flags: int = os.O_PATH | os.O_NOFOLLOW) -> int:
        """A descriptor, or -1 where there is nothing."""
        try:
            return open_in_root(self._root, path, flags)
        except OSError as error:
            if error.errno in _GONE:
                return -1
            raise unreadable(path, error) from error


def describe(path: str, handle: int) -> Found | None:
    """What an open file (O_PATH) is, as the entry `path`; None for a socket. Raises OSError."""
    status = os.fstat(handle)
    if stat.S_ISLNK(status.st_mode):
        return Found(_symlink(path, handle, status), inode=_inode(status))
    host = f"/proc/self/fd/{handle}"
    # The attributes of what the descriptor is of: a link in /proc is not what they are of.
    names = _attributes(host)
    entry = host_entry(path, host, status, [])
    if entry is None:
        return None
    if names:
        entry = entry._replace(xattrs=_values(host, names))
    if entry.kind == "dir":
        return Found(entry, directory=True, opaque=_is_opaque(host, names))
    return Found(entry, inode=_inode(status))


def read_handle(handle: int) -> int:
    """A descriptor to read by of an open file (O_PATH), -1 unless that is regular. Raises OSError.

    Nothing else is opened: to open a device may do something.
    """
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return -1
    return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)


def _attributes(host: str) -> list[str]:
    try:
        return os.listxattr(host)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def _values(host: str, names: list[str]) -> tuple[tuple[str, bytes], ...]:
    """Those of the extended attributes that belong to a layer, sorted."""
    return tuple((name, os.getxattr(host, name)) for name in sorted(filter(keeps_xattr, names)))


def _symlink(path: str, handle: int, status: os.stat_result) -> Entry:
    return Entry(
        path,
        "symlink",
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        0,
        status.st_mtime_ns,
        os.readlink("", dir_fd=handle),
    )


def _is_opaque(host: str, names: list[str]) -> bool:
    return any(name in names and os.getxattr(host, name) == b"y" for name in OPAQUE_XATTRS)


def _inode(status: os.stat_result) -> Hashable:
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        return (status.st_dev, status.st_ino)
    return None
