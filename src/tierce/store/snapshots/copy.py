"""Snapshots as whole trees, for where overlayfs is not to be had."""

from __future__ import annotations

import os
import stat

from tierce import layer
from tierce.linux.mounts import MountSpec
from tierce.store.snapshots.base import MERGED_NAME, TREE, TREE_NAME, WORK_NAME, LayerDirectories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from tierce.layer.entry import Entry, Item
    from tierce.layer.view import MergedView
    from tierce.store.snapshots.base import Place

_COPIED_NAME = "copied"
_CHUNK = 1 << 30


class CopySnapshotter:
    """Implements `Snapshotter`: each snapshot a copy of its parent, with its changes made."""

    name = "copy"
    form = TREE
    takes_images = False

    def __init__(self, empty: Path) -> None:
        """`empty` is an empty directory: what a snapshot without a parent is compared with."""
        self._empty = empty

    def prepare(self, directory: Path, parent: Place | None) -> None:
        _make_directories(directory)
        if parent is not None:
            copy_tree(str(parent.directory / TREE_NAME), str(directory / TREE_NAME))
            _remember_time(directory / _COPIED_NAME)

    def unpack(
        self,
        directory: Path,
        base: Path | None,
        tars: Iterable[BinaryIO],
        below: Callable[[str], Entry | None] | None,
    ) -> None:
        _make_directories(directory)
        if base is not None:
            copy_tree(str(base / TREE_NAME), str(directory / TREE_NAME))
        for tar in tars:
            layer.apply_layer(tar, str(directory / TREE_NAME), whiteouts="remove")

    def commit(self, directory: Path, below: Callable[[], MergedView] | None) -> None:
        """Nothing to do."""

    def reopen(self, directory: Path) -> None:
        """Nothing to do."""

    def mounts(self, top: Place, parents: Sequence[Place], *, read_only: bool) -> list[MountSpec]:
        options = ("bind", "ro") if read_only else ("bind",)
        return [MountSpec("bind", str(top.directory / TREE_NAME), "", options)]

    def changes(self, directory: Path, parents: Sequence[Path]) -> Iterator[Item]:
        lower = parents[0] / TREE_NAME if parents else self._empty
        copied_at_ns = _remembered_time(directory / _COPIED_NAME)
        return layer.tree_changes(str(lower), str(directory / TREE_NAME), copied_at_ns=copied_at_ns)

    def directories(self, directory: Path, parents: Sequence[Path]) -> LayerDirectories:
        return LayerDirectories(
            directory / MERGED_NAME, directory / TREE_NAME, directory / WORK_NAME, ()
        )


def copy_tree(source: str, target: str) -> None:
    """Copy all that is in a directory into an existing one, exactly: owners, permissions, times,
    attributes, hard links, devices; and the attributes of the directory itself.

    Neither may be written to by others meanwhile. Raises OSError.
    """
    links: dict[tuple[int, int], str] = {}
    directories = [(source, target)]
    pending = [(source, target)]
    while pending:
        here, there = pending.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                destination = f"{there}/{entry.name}"
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(destination, 0o700)
                    directories.append((entry.path, destination))
                    pending.append((entry.path, destination))
                    continue
                identity = (status.st_dev, status.st_ino)
                if identity in links:
                    os.link(links[identity], destination, follow_symlinks=False)
                    continue
                if status.st_nlink > 1:
                    links[identity] = destination
                copy_entry(entry.path, destination, status)
    # Their times change with their contents, and their permissions might forbid making these.
    for here, there in reversed(directories):
        _copy_attributes(here, there, os.lstat(here))


def copy_entry(source: str, target: str, status: os.stat_result) -> None:
    """Copy a file that is no directory, exactly; `status` is its own. Raises OSError."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        _copy_content(source, target)
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
    else:  # sockets too: a process may have left one, and mknod makes it
        os.mknod(target, mode, status.st_rdev)
    _copy_attributes(source, target, status)


def _copy_content(source: str, target: str) -> None:
    """By copy_file_range(2): the file system shares the blocks where it can."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while os.copy_file_range(reading, writing, _CHUNK):
                pass
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_attributes(source: str, target: str, status: os.stat_result) -> None:
    os.lchown(target, status.st_uid, status.st_gid)
    # After chown, which takes away setuid bits and file capabilities.
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source, follow_symlinks=False):
        value = os.getxattr(source, name, follow_symlinks=False)
        os.setxattr(target, name, value, follow_symlinks=False)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _remember_time(path: Path) -> None:
    """Keep this moment by the clock that gives files their times, as the file's content.

    Not as the file's own time: that is another one when somebody copies the store.
    """
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.fstat(file.fileno()).st_ctime_ns))


def _remembered_time(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _make_directories(directory: Path) -> None:
    # Another snapshotter may have its files there already.
    for path in (directory, directory / WORK_NAME, directory / MERGED_NAME):
        path.mkdir(mode=0o700, exist_ok=True)
    os.mkdir(directory / TREE_NAME)
    os.chmod(directory / TREE_NAME, 0o755)  # whatever the umask is
