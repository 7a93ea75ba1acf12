"""Getting rid of files and trees: first out of the way, in one step, then for good."""

from __future__ import annotations

import os
import stat
from itertools import count

from tierce.linux.rootfs import remove_in_directory
from tierce.store.failures import reported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_names = count()


class Trash:
    """The directory `trash/`. Whoever empties it may be interrupted: the next one goes on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def throw(self, path: Path) -> bool:
        """Take a file or directory out of its place, atomically; says whether it was there."""
        name = f"{path.parent.name}-{path.name}-{os.getpid()}-{next(_names)}"
        with reported(f"remove {path}"):
            try:
                os.rename(path, self._directory / name)
            except FileNotFoundError:
                return False
        return True

    def empty(self) -> int:
        """Remove what was thrown, by this or another process; returns the bytes on disk freed.

        What cannot be removed stays, and is tried again the next time.
        """
        freed = 0
        with reported("empty trash"):
            names = os.listdir(self._directory)
        for name in names:
            path = self._directory / name
            try:
                size = disk_usage(path)
                remove_tree(path)
            except OSError:
                continue
            freed += size
        return freed


def remove_tree(path: Path) -> None:
    """Remove a file or a directory with all that is in it. Raises OSError; absent is fine.

    Layers may hold directories without permission for their owner, which stops an ordinary user.
    """
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        if os.geteuid():
            _make_removable(str(path))
        parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_in_directory(parent, path.name)
        finally:
            os.close(parent)
    except FileNotFoundError:
        pass  # another process empties the trash, too


def disk_usage(path: Path | str, seen: set[tuple[int, int]] | None = None) -> int:
    """Bytes that a file or tree takes on disk, as du(1) counts: blocks, hard links once."""
    if seen is None:
        seen = set()
    try:
        total = _blocks(os.lstat(path), seen)
        pending = [str(path)] if os.path.isdir(path) and not os.path.islink(path) else []
    except FileNotFoundError:
        return 0
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += _blocks(entry.stat(follow_symlinks=False), seen)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except FileNotFoundError:
            continue  # removed while we look
    return total


def _blocks(status: os.stat_result, seen: set[tuple[int, int]]) -> int:
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            return 0
        seen.add(identity)
    return status.st_blocks * 512


def _make_removable(root: str) -> None:
    for directory, _, _ in os.walk(root):
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if mode & 0o700 != 0o700:
                        os.chmod(entry.path, 0o700)
