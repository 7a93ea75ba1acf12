"""What unpacking does about entries that hide: marks for overlayfs, or removal.

A layer hides only what the layers beneath have, wherever in its tar the whiteout stands.
"""

import os
import stat

from tierce.layer.host import is_overlay_whiteout
from tierce.layer.parents import Identity, Parent, Parents, identity_of
from tierce.values import Protocol


class Whiteouts(Protocol):
    """How a layer that is being unpacked hides."""

    def hide(self, path: str) -> None:
        """Hide `path` of the layers beneath."""

    def hide_inside(self, path: str) -> None:
        """Hide what the layers beneath have inside the directory `path`."""

    def made(self, path: str) -> None:
        """Hear that this layer has `path`."""

    def made_directory(self, directory: Parent) -> None:
        """Hear that a directory was made, or made like an entry of this layer."""

    def replaced(self, parent: Parent) -> None:
        """Hear that a directory is where something was that hid what is beneath."""

    def gives_way(self, path: str, status: os.stat_result) -> bool:
        """Whether what is at `path` is not of this layer, and its entries may replace it."""


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

    def made_directory(self, directory: Parent) -> None:
        pass

    def replaced(self, parent: Parent) -> None:
        mark_opaque(parent.descriptor)

    def gives_way(self, path: str, status: os.stat_result) -> bool:
        return is_overlay_whiteout(status)


class Removal(Whiteouts):
    """For a layer that is unpacked onto the layers beneath.

    What this layer has is known by directory and name, not by path: symlinks give a file many
    paths.
    """

    def __init__(self, parents: Parents) -> None:
        self._parents = parents
        self._own: set[tuple[Identity, str]] = set()
        self._touched = {parents.get("").identity}
        """Directories with something of this layer in them, at any depth."""

    def hide(self, path: str) -> None:
        parent = self._parents.get(path.rpartition("/")[0])
        self._touch(parent, ".")
        try:
            if self._hide(parent, path):
                self.hide_inside(path)
        except FileNotFoundError:
            pass

    def hide_inside(self, path: str) -> None:
        directories = [path]
        while directories:
            path = directories.pop()
            for name in os.listdir(self._parents.get(path).descriptor):
                member = f"{path}/{name}" if path else name
                if self._hide(self._parents.get(path), member):
                    directories.append(member)

    def made(self, path: str) -> None:
        above, _, name = path.rpartition("/")
        parent = self._parents.get(above)
        self._own.add((parent.identity, name))
        self._touch(parent, ".")

    def made_directory(self, directory: Parent) -> None:
        if directory.path:
            above = identity_of(os.stat("..", dir_fd=directory.descriptor))
            self._own.add((above, directory.path.rpartition("/")[2]))
            self._touch(directory, "..")

    def _touch(self, directory: Parent, upwards: str) -> None:
        """Something of this layer is in a directory, so it is in those above too."""
        while True:
            identity = identity_of(os.stat(upwards, dir_fd=directory.descriptor))
            if identity in self._touched:
                return
            self._touched.add(identity)
            upwards += "/.."

    def replaced(self, parent: Parent) -> None:
        pass

    def gives_way(self, path: str, status: os.stat_result) -> bool:
        above, _, name = path.rpartition("/")
        return (self._parents.get(above).identity, name) not in self._own

    def _hide(self, parent: Parent, path: str) -> bool:
        """Remove what is at `path`, unless it is a directory to be looked into first."""
        name = path.rpartition("/")[2]
        status = os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False)
        directory = stat.S_ISDIR(status.st_mode)
        own = (parent.identity, name) in self._own
        if not own and not (directory and identity_of(status) in self._touched):
            self._parents.clear(path)
            return False
        return directory


def mark_opaque(directory: int) -> None:
    """Let overlayfs hide what lower layers have in an open directory.

    Without CAP_SYS_ADMIN in the initial user namespace the mark is in the user's attributes,
    where overlayfs looks if it is mounted with `userxattr`.
    """
    try:
        os.setxattr(directory, "trusted.overlay.opaque", b"y")
    except PermissionError:
        os.setxattr(directory, "user.overlay.opaque", b"y")
