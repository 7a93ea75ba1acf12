"""The root file system of a container, while it is mounted for the runtime.

Everything here runs in the launcher's thread, where the mounts are. There, /proc shows another
PID namespace, so that /proc/self/fd cannot be used.
"""

from __future__ import annotations

import errno
import os
import stat

from tierce.errors import ContainerError
from tierce.linux import mounts
from tierce.linux.mounts import MountSpec
from tierce.linux.rootfs import open_in_root, read_in_root, stat_in_root
from tierce.runtime import stubs
from tierce.runtime.stubs import Stub

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FILE_LIMIT = 10 << 20
"""Bytes of /etc/passwd and /etc/group that are read; the files come from whoever made the image."""

_MEMORY_LIMIT = 64 << 20
"""Bytes in a container's directory in memory, which holds its secrets."""

_LINK_LIMIT = 40
"""Symbolic links in one path, as in the kernel."""


class ContainerRoot:
    """A mounted root, and what is mounted beside it for its bind mounts."""

    def __init__(self, mount_points: str, name: str) -> None:
        """`mount_points` is a directory of the launcher, and `name` is unique in it."""
        self._prefix = f"{mount_points}/{name}"
        self.path = f"{self._prefix}-root"
        self._mounted: list[str] = []
        self._points: list[str] = []
        self._stubs: list[Stub] = []
        self._copied: dict[str, tuple[object, ...]] = {}
        self._descriptor = -1
        self._upper = ""

    @property
    def descriptor(self) -> int:
        """The root, opened as a path; -1 before it is there."""
        return self._descriptor

    def mount(self, specs: Sequence[MountSpec]) -> None:
        """Mounts the root. Raises ContainerError."""
        self._mount_all(specs, self.path)
        for spec in specs:
            for option in spec.options if spec.type == "overlay" else ():
                if option.startswith("upperdir="):
                    self._upper = option.removeprefix("upperdir=")
        self._descriptor = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def mount_source(self, specs: Sequence[MountSpec], source: str) -> tuple[str, bool]:
        """Mounts another tree for a bind mount, or a file or directory of it.

        Returns the path on the host, and whether it is a directory. Links in `source` do not
        lead out of the tree, even if a container changes it meanwhile. Raises ContainerError.
        """
        whole = f"{self._prefix}-{len(self._points)}"
        self._mount_all(specs, whole)
        if source.strip("/") in {"", "."}:
            return whole, True
        tree = os.open(whole, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            part = open_in_root(tree, source, os.O_PATH)
        except OSError as error:
            raise ContainerError(f"bind mount {source}: {error.strerror}") from error
        finally:
            os.close(tree)
        try:
            directory = stat.S_ISDIR(os.fstat(part).st_mode)
            flags = mounts.AT_EMPTY_PATH | mounts.AT_RECURSIVE | mounts.OPEN_TREE_CLONE
            clone = mounts.open_tree(part, "", flags | mounts.OPEN_TREE_CLOEXEC)
        finally:
            os.close(part)
        return self.attach(clone, directory=directory), directory

    def attach(self, clone: int, *, directory: bool) -> str:
        """Shows a mount that is nowhere yet, by its descriptor, which is closed; returns where."""
        try:
            point = self._new_point(f"{self._prefix}-{len(self._points)}", directory=directory)
            empty = mounts.MOVE_MOUNT_F_EMPTY_PATH
            mounts.move_mount(clone, "", mounts.AT_FDCWD, point, empty)
        finally:
            os.close(clone)
        self._mounted.append(point)
        return point

    def mount_memory(self) -> str:
        """A directory in memory, for what must not be on a disk; nobody else sees it."""
        point = f"{self._prefix}-private"
        options = ("nosuid", "nodev", "mode=700", f"size={_MEMORY_LIMIT}")
        try:
            # Linux 6.4; what is in memory could otherwise be on a disk in the end.
            self._mount_all([MountSpec("tmpfs", "tmpfs", "", (*options, "noswap"))], point)
        except ContainerError:
            self._mount_at(MountSpec("tmpfs", "tmpfs", "", options), point)
        return point

    def read(self, path: str) -> bytes | None:
        """The content of a regular file in the root, or None. Raises ContainerError."""
        content = read_in_root(self._descriptor, path, _FILE_LIMIT + 1)
        if content is not None and len(content) > _FILE_LIMIT:
            raise ContainerError(f"read {path} of the image: larger than {_FILE_LIMIT} bytes")
        return content

    def status(self, path: str) -> os.stat_result | None:
        """What stat(2) says in the container, following links; None where there is nothing."""
        return stat_in_root(self._descriptor, path)

    def make_directory(self, path: str, *, uid: int = 0, gid: int = 0) -> None:
        """Makes a directory and its parents where they are missing. Raises ContainerError."""
        status = self.status(path)
        if status is None:
            for part in self._missing(path):
                os.mkdir(part, 0o755, dir_fd=self._descriptor)
                os.chmod(part, 0o755, dir_fd=self._descriptor)
                os.chown(part, uid, gid, dir_fd=self._descriptor)
        elif not stat.S_ISDIR(status.st_mode):
            raise ContainerError(f"make directory {path}: not a directory")

    def make_stub(self, path: str, *, directory: bool, mode: int = 0o755) -> None:
        """Makes sure that there is something to mount on; `remove_stubs` takes it away again.

        What is made has the mode, and parents that are made have 0755.
        """
        if self.status(path) is not None:
            return
        missing = self._missing(path)
        for part in missing:
            parent = os.path.dirname(part) or "."
            before = os.stat(parent, dir_fd=self._descriptor)
            self._note_copies(parent)
            whiteout = bool(self._upper) and stubs.is_whiteout(f"{self._upper}/{part}")
            if directory or part != missing[-1]:
                os.mkdir(part, 0o755, dir_fd=self._descriptor)
            else:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                os.close(os.open(part, flags, 0o755, dir_fd=self._descriptor))
            os.chmod(part, mode if part == missing[-1] else 0o755, dir_fd=self._descriptor)
            after = os.stat(parent, dir_fd=self._descriptor)
            self._stubs.append(
                Stub(
                    part,
                    directory or part != missing[-1],
                    before.st_atime_ns,
                    before.st_mtime_ns,
                    after.st_mtime_ns,
                    whiteout,
                )
            )

    def remove_stubs(self) -> None:
        """Removes the stubs that are still empty, as BuildKit does (executor/stubs.go there).

        The parent directory gets the times back that it had before; if the container has changed
        it since, those of that change.
        """
        stubs.remove_stubs(self._descriptor, self._stubs)
        self._stubs = []

    def note_stubs(self, path: str) -> None:
        """Writes down what was made, for when nobody is there to remove it: see `stubs`."""
        stubs.write(path, self._stubs, self._copied)

    def close(self) -> None:
        """Unmounts everything. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        while self._mounted:
            point = self._mounted.pop()
            try:
                mounts.umount2(point, mounts.UMOUNT_NOFOLLOW)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                # Other containers of ours may just be copying the mounts of the namespace.
                mounts.umount2(point, mounts.UMOUNT_NOFOLLOW | mounts.MNT_DETACH)
                self._copied.clear()  # what is mounted must not change beneath
        self._remove_copies()
        while self._points:
            point = self._points.pop()
            try:
                os.rmdir(point)
            except NotADirectoryError:
                os.unlink(point)

    def _note_copies(self, directory: str) -> None:
        """Keeps in mind what directories are like that a stub will bring into the upper layer.

        That is the one it is made in, and those above.
        """
        if not self._upper or directory == ".":
            return
        parts = directory.split("/")
        for count in range(len(parts), 0, -1):
            path = "/".join(parts[:count])
            if os.path.lexists(f"{self._upper}/{path}"):
                return
            self._copied.setdefault(path, stubs.state_of(f"{self.path}/{path}"))

    def _remove_copies(self) -> None:
        """Takes directories out of the upper layer that stubs brought there, if they are unchanged.

        They would be in the layer of a step that has changed nothing.
        """
        if self._copied:
            stubs.remove_copies(self._upper, self._copied)
        self._copied.clear()

    def _mount_all(self, specs: Iterable[MountSpec], point: str) -> None:
        self._new_point(point, directory=True)
        for spec in specs:
            self._mount_at(spec, point)

    def _mount_at(self, spec: MountSpec, point: str) -> None:
        try:
            mounts.mount_spec(spec, point)
        except OSError as error:
            what = spec.source if spec.type == "bind" else spec.type
            raise ContainerError(f"mount {what}: {error.strerror}") from error
        self._mounted.append(point)

    def _new_point(self, point: str, *, directory: bool) -> str:
        if directory:
            os.mkdir(point, 0o755)
        else:
            os.close(os.open(point, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        self._points.append(point)
        return point

    def resolve(self, path: str) -> str:
        """The path with its links followed, none of them out of the root. Raises ContainerError.

        A link that leads nowhere is followed, too.
        """
        return "/" + "/".join(self._resolved(path))

    def _missing(self, path: str) -> list[str]:
        """The parts of a path that are to be made, relative to the root, links followed."""
        real = self._resolved(path)
        every = ["/".join(real[: count + 1]) for count in range(len(real))]
        return [part for part in every if not self._exists(part)]

    def _resolved(self, path: str) -> list[str]:
        waiting = path.split("/")[::-1]
        real: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                del real[-1:]
                continue
            try:
                target = os.readlink("/".join([*real, part]), dir_fd=self._descriptor)
            except OSError as error:
                if error.errno == errno.ENOTDIR:
                    raise ContainerError(
                        f"make {path} of the container: {error.strerror}"
                    ) from error
                real.append(part)
                continue
            links += 1
            if links > _LINK_LIMIT:
                raise ContainerError(f"make {path} of the container: too many symbolic links")
            if target.startswith("/"):
                real.clear()
            waiting += target.split("/")[::-1]
        return real

    def _exists(self, path: str) -> bool:
        try:
            os.stat(path, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True
