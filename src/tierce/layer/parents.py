"""The directories that a layer is being unpacked into.

Whoever makes files spends most of his time finding directories: the ones in use are kept open.
Making a file in a directory changes the directory's time, and a mode may forbid us to make it at
all; so a directory gets its final mode and times when it falls out of use. A layer of any size
is unpacked with a bounded number of directories in memory.
"""

import os
import stat
from collections.abc import Callable

from tierce.errors import CorruptLayer, UnsafeLayer
from tierce.layer.entry import Entry
from tierce.layer.host import is_overlay_whiteout
from tierce.linux.rootfs import open_in_root, remove_in_directory

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_AT_MOST = 64
WORKING_MODE = 0o700
CLOSED = -1


Identity = tuple[int, int]
"""Device and inode number."""


def identity_of(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


class Parent:
    """An open directory, and what it has to become when it is closed."""

    __slots__ = ("descriptor", "identity", "inherits", "mode", "mtime_ns", "owner", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.path = path
        self.identity = identity_of(status)
        self.owner = (status.st_uid, status.st_gid)
        self.descriptor = descriptor
        self.mtime_ns = status.st_mtime_ns
        self.mode = stat.S_IMODE(status.st_mode)
        self.inherits = bool(status.st_mode & stat.S_ISGID)
        """Whether files made in it do not get our group."""
        if status.st_mode & WORKING_MODE != WORKING_MODE and os.geteuid() != 0:
            os.fchmod(descriptor, WORKING_MODE)

    def close(self) -> None:
        try:
            os.fchmod(self.descriptor, self.mode)
            os.utime(self.descriptor, ns=(self.mtime_ns, self.mtime_ns))
        finally:
            os.close(self.descriptor)
            self.descriptor = CLOSED


class Parents:
    """Finds and makes the directories below `root_fd`; symlinks lead to places inside of it only.

    `implied` says what a directory is like that has no entry (yet), and `furnish` makes it so;
    its last argument is whether the directory replaces a whiteout. `gives_way` decides whether
    another file that is in the place of such a directory is to be replaced. No more than `limit`
    directories are implied, beyond it is UnsafeLayer.
    """

    def __init__(
        self,
        root_fd: int,
        implied: Callable[[str], Entry],
        furnish: Callable[[Parent, Entry, bool], None],
        gives_way: Callable[[str, os.stat_result], bool],
        limit: int,
    ) -> None:
        self._root_fd = root_fd
        self._implied = implied
        self._furnish = furnish
        self._gives_way = gives_way
        self._left = limit
        self._open: dict[str, Parent] = {}

    def get(self, path: str) -> Parent:
        """The directory `path`, made if it is missing. Good until the second `get` from here."""
        return self._open.get(path) or self._find(path)

    def make(self, entry: Entry) -> Parent:
        """The directory of an entry, made unless something is there; then FileExistsError."""
        above, _, name = entry.path.rpartition("/")
        os.mkdir(name, WORKING_MODE, dir_fd=self.get(above).descriptor)
        parent = self._enter(entry.path, name, self.get(above))
        self._furnish(parent, entry, False)
        return parent

    def clear(self, path: str) -> bool:
        """Remove what is at `path`, whatever it is; whether it was a whiteout of overlayfs."""
        above, _, name = path.rpartition("/")
        status = self.status(path)
        parent = self.get(above)
        if stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            # Open directories may be in it, or were reached through it.
            identity = parent.identity
            self.close()
            remove_in_directory(self.get(above).descriptor, name)
            self.close()
            again = self.existing(above)
            if again is None or again.identity != identity:
                raise CorruptLayer(
                    f"unpack layer entry {path}: it replaces a symbolic link that leads to it",
                    entry=path,
                )
        else:
            remove_in_directory(parent.descriptor, name)
        return is_overlay_whiteout(status)

    def existing(self, path: str) -> Parent | None:
        """The directory `path` if it is there, as `get`."""
        parent = self._open.get(path)
        if parent is None:
            try:
                parent = self._add(path, open_in_root(self._root_fd, path, _OPEN))
            except (FileNotFoundError, NotADirectoryError):
                return None
        return parent

    def status(self, path: str) -> os.stat_result:
        """The lstat of `path`, other than the root. Raises FileNotFoundError."""
        above, _, name = path.rpartition("/")
        return os.stat(name, dir_fd=self.get(above).descriptor, follow_symlinks=False)

    def pair(self, path: str, existing: str) -> tuple[Parent, Parent | None]:
        """Two directories for use together, of which one is not made."""
        parent = self.get(path)
        other = self.existing(existing)
        if parent.descriptor == CLOSED:
            # Either both are the same directory, or it was the one that had to make room.
            same = other is not None and other.identity == parent.identity
            parent = other if other is not None and same else self.get(path)
        return parent, other

    def close(self) -> None:
        """Close all directories; also wanted when one of them may have become something else."""
        while self._open:
            self._open.pop(next(reversed(self._open))).close()

    def _find(self, path: str) -> Parent:
        missing = []
        while (parent := self.existing(path)) is None:
            missing.append(path)
            path = path.rpartition("/")[0]
        for each in reversed(missing):
            parent = self._make_implied(parent, each)
        return parent

    def _make_implied(self, above: Parent, path: str) -> Parent:
        self._left -= 1
        if self._left < 0:
            raise UnsafeLayer(f"unpack layer entry {path}: too many directories", entry=path)
        name = path.rpartition("/")[2]
        over_whiteout = False
        try:
            os.mkdir(name, WORKING_MODE, dir_fd=above.descriptor)
        except FileExistsError:
            status = os.stat(name, dir_fd=above.descriptor, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return self.get(path)
            if stat.S_ISLNK(status.st_mode):
                # A dangling one; it has what it points to made, as mkdir -p has.
                target = os.readlink(name, dir_fd=above.descriptor)
                return self.get(target if target.startswith("/") else f"{above.path}/{target}")
            if not self._gives_way(path, status):
                raise CorruptLayer(
                    f"unpack layer entry {path}: something is inside, but it is not a directory",
                    entry=path,
                ) from None
            over_whiteout = self.clear(path)
            os.mkdir(name, WORKING_MODE, dir_fd=above.descriptor)
        parent = self._enter(path, name, above)
        self._furnish(parent, self._implied(path), over_whiteout)
        return parent

    def _enter(self, path: str, name: str, above: Parent) -> Parent:
        return self._add(path, os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=above.descriptor))

    def _add(self, path: str, descriptor: int) -> Parent:
        parent = Parent(path, descriptor)
        if any(other.identity == parent.identity for other in self._open.values()):
            # A symlink leads to a directory that is open: it must get its final mode and times
            # before they are taken for what they are.
            self.close()
            parent = Parent(path, descriptor)
        if len(self._open) >= _OPEN_AT_MOST:
            self._open.pop(next(iter(self._open))).close()
        self._open[path] = parent
        return parent

    def abandon(self) -> None:
        """Close all directories as they are; for a tree that will be removed."""
        for parent in self._open.values():
            os.close(parent.descriptor)
        self._open.clear()
