"""Putting files and directories into a root file system for a while, where nothing can be mounted.

What a mount would cover is moved out of the way, and moved back in the end. The tree must be
nobody else's meanwhile but the step's, and on one file system with the place for what is moved.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading

from tierce.errors import Cancelled, ContainerError
from tierce.linux.rootfs import open_in_root, remove_in_directory
from tierce.runtime import stubs
from tierce.runtime.root import ContainerRoot
from tierce.store.snapshots.copy import copy_entry, copy_tree

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_POLL_SECONDS = 0.05


class PlainRoot(ContainerRoot):
    """A root that is a directory, and is not mounted."""

    def __init__(self, path: str) -> None:
        super().__init__(os.path.dirname(path), os.path.basename(path))
        self.path = path
        self._descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def stub_count(self) -> int:
        """How many stubs there are."""
        return len(self._stubs)

    def remove_stubs_after(self, count: int) -> None:
        """Removes the stubs that were made when there were so many already."""
        stubs.remove_stubs(self._descriptor, self._stubs[count:])
        del self._stubs[count:]


class _Place:
    """A name in an open directory, what it held before, and when that directory changed."""

    def __init__(self, parent: int, name: str, stubs_before: int) -> None:
        self.parent = parent
        self.name = name
        self.stubs_before = stubs_before
        self.aside = ""
        self.before = os.stat(parent)
        self.mtime_after = 0
        self.borrowed = -1
        """A directory whose content is here, and `here`, where that is."""
        self.here = -1


class Places:
    """What is put into one root; a context manager, at whose end all is as it was.

    A step may have done to the tree what it likes: everything goes by directories that were
    opened before it began, so that no link that it left leads anywhere.
    """

    def __init__(self, root: PlainRoot, aside: str, cancelled: threading.Event) -> None:
        """`aside` is a directory that is not there yet, beside the root."""
        self._root = root
        self._aside = aside
        self._cancelled = cancelled
        self._places: list[_Place] = []
        self._held: dict[tuple[int, int], int] = {}
        os.mkdir(aside, 0o700)
        self._aside_descriptor = os.open(aside, _DIRECTORY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while self._places:
                self._take_back(self._places.pop())
        finally:
            for descriptor in self._held.values():
                os.close(descriptor)
            os.close(self._aside_descriptor)
            os.rmdir(self._aside)

    def directory(self, target: str, mode: int) -> int:
        """An empty directory at a path; its descriptor, which belongs to this."""
        place = self._make_room(target, directory=True)
        os.mkdir(place.name, 0o700, dir_fd=place.parent)
        place.here = os.open(place.name, _DIRECTORY, dir_fd=place.parent)
        os.fchmod(place.here, mode)
        self._note(place)
        return place.here

    def file(
        self, target: str, content: bytes, mode: int = 0o644, owner: tuple[int, int] = (0, 0)
    ) -> None:
        """A file at a path."""
        place = self._make_room(target, directory=False)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(place.name, flags, 0o600, dir_fd=place.parent), "wb") as file:
            file.write(content)
            os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
        self._note(place)

    def copy(self, target: str, source: str) -> None:
        """A copy of a file or directory at a path; what becomes of it is lost."""
        status = os.lstat(source)
        place = self._make_room(target, directory=stat.S_ISDIR(status.st_mode))
        here = f"/proc/self/fd/{place.parent}/{place.name}"
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(here, 0o700)
            copy_tree(source, here)
        elif stat.S_ISSOCK(status.st_mode):
            # The socket itself, by another name: a copy would lead nowhere.
            os.link(source, here)
        else:
            copy_entry(source, here, status)
        self._note(place)

    def hold(self, sources: Sequence[str]) -> None:
        """Waits until nobody else has what is to be borrowed, of all of these. Raises Cancelled.

        All take them in one order, so that no two wait for each other.
        """
        identified = [(_identity(os.stat(source)), source) for source in sources]
        for identity, source in sorted(identified):
            if identity in self._held:
                raise ContainerError(
                    "isolate by chroot: a directory can be mounted at one place of a step only"
                )
            self._held[identity] = os.open(source, _DIRECTORY)
            self._lock(self._held[identity])

    def borrow(self, target: str, source: str) -> None:
        """The content of a directory that is held, at a path; in the end it is back."""
        status = os.stat(source)
        borrowed = self._held[_identity(status)]
        here = self.directory(target, 0o700)
        os.fchown(here, status.st_uid, status.st_gid)
        os.fchmod(here, stat.S_IMODE(status.st_mode))
        self._places[-1].borrowed = borrowed
        _move_content(borrowed, here)

    def _lock(self, directory: int) -> None:
        while True:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._cancelled.wait(_POLL_SECONDS):
                    raise Cancelled("step cancelled") from None

    def _make_room(self, target: str, *, directory: bool) -> _Place:
        real = self._root.resolve(target)
        above, name = os.path.split(real)
        if not name:
            raise ContainerError(f"mount at {target}: it is the root of the container")
        stubs_before = self._root.stub_count
        self._root.make_stub(real, directory=directory)
        found = self._root.status(real)
        if found is not None and stat.S_ISDIR(found.st_mode) != directory:
            kind = "not a directory" if directory else "is a directory"
            raise ContainerError(f"mount at {target}: {kind}")
        parent = open_in_root(self._root.descriptor, above, os.O_RDONLY | os.O_DIRECTORY)
        place = _Place(parent, name, stubs_before)
        place.aside = str(len(self._places))
        os.rename(name, place.aside, src_dir_fd=parent, dst_dir_fd=self._aside_descriptor)
        self._places.append(place)
        return place

    def _note(self, place: _Place) -> None:
        place.mtime_after = os.stat(place.parent).st_mtime_ns

    def _take_back(self, place: _Place) -> None:
        try:
            if place.borrowed >= 0:
                _move_content(place.here, place.borrowed)
            now = os.stat(place.parent)
            try:
                remove_in_directory(place.parent, place.name)
            except FileNotFoundError:  # the step has removed it
                pass
            self._restore(place)
            mtime = now.st_mtime_ns
            if mtime == place.mtime_after:
                mtime = place.before.st_mtime_ns
            os.utime(place.parent, ns=(place.before.st_atime_ns, mtime))
            # What was put into the same directory before then finds it as it has left it.
            self._root.remove_stubs_after(place.stubs_before)
        finally:
            for descriptor in (place.here, place.parent):
                if descriptor >= 0:
                    os.close(descriptor)

    def _restore(self, place: _Place) -> None:
        try:
            os.rename(
                place.aside, place.name, src_dir_fd=self._aside_descriptor, dst_dir_fd=place.parent
            )
        except FileNotFoundError:  # the step has removed the directory, and that with it
            remove_in_directory(self._aside_descriptor, place.aside)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _move_content(source: int, target: int) -> None:
    for name in os.listdir(source):
        try:
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
        except OSError as error:
            if error.errno != errno.EXDEV:  # as where a directory is in a lower layer of an overlay
                raise
            _copy_over(source, target, name)
            remove_in_directory(source, name)


def _copy_over(source: int, target: int, name: str) -> None:
    here, there = f"/proc/self/fd/{source}/{name}", f"/proc/self/fd/{target}/{name}"
    status = os.lstat(here)
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(there, 0o700)
        copy_tree(here, there)
    else:
        copy_entry(here, there, status)
