"""What unpacking does about entries that hide: marks for overlayfs, or removal.

A layer hides only what the layers beneath have, wherever in its tar the whiteout stands.
"""

import os
import stat
from typing import Protocol

from tierce.layer.parents import Parents


class Whiteouts(Protocol):
    """How a layer that is being unpacked hides."""

    def hide(self, path: str) -> None:
        """Hide `path` of the layers beneath."""
        ...

    def hide_inside(self, path: str) -> None:
        """Hide what the layers beneath have inside the directory `path`."""
        ...

    def made(self, path: str) -> None:
        """Hear that this layer has `path`."""
        ...


class OverlayMarks(Whiteouts):
    """For a layer that is unpacked alone, to be mounted by overlayfs (kernel, overlayfs.rst)."""

    def __init__(self, parents: Parents) -> None:
        self._parents = parents

    def hide(self, path: str) -> None:
        above, _, name = path.rpartition("/")
        parent = self._parents.get(above)
        try:
            # 0/0 is the one device that needs no privilege (since Linux 5.8).
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent.descriptor)
        except FileExistsError:
            # This layer has something there itself.
            if stat.S_ISDIR(self._parents.status(path).st_mode):
                mark_opaque(self._parents.get(path).descriptor)

    def hide_inside(self, path: str) -> None:
        mark_opaque(self._parents.get(path).descriptor)

    def made(self, path: str) -> None:
        pass


class Removal(Whiteouts):
    """For a layer that is unpacked onto the layers beneath."""

    def __init__(self, parents: Parents) -> None:
        self._parents = parents
        self._own = {""}
        """The paths of this layer, and the directories they are in."""

    def hide(self, path: str) -> None:
        if path in self._own:
            self.hide_inside(path)
        elif self._status(path) is not None:
            self._parents.clear(path)

    def hide_inside(self, path: str) -> None:
        directories = [path]
        while directories:
            directory = directories.pop()
            status = self._status(directory)
            if status is None or not stat.S_ISDIR(status.st_mode):
                continue
            for name in os.listdir(self._parents.get(directory).descriptor):
                member = f"{directory}/{name}" if directory else name
                if member in self._own:
                    directories.append(member)
                else:
                    self.hide(member)

    def made(self, path: str) -> None:
        own = self._own
        while path not in own:
            own.add(path)
            path = path.rpartition("/")[0]

    def _status(self, path: str) -> os.stat_result | None:
        above = path.rpartition("/")[0]
        if self._parents.existing(above) is None:
            return None
        try:
            return self._parents.status(path)
        except FileNotFoundError:
            return None


def mark_opaque(directory: int) -> None:
    """Let overlayfs hide what lower layers have in an open directory.

    Without CAP_SYS_ADMIN in the initial user namespace the mark is in the user's attributes,
    where overlayfs looks if it is mounted with `userxattr`.
    """
    try:
        os.setxattr(directory, "trusted.overlay.opaque", b"y")
    except PermissionError:
        os.setxattr(directory, "user.overlay.opaque", b"y")
