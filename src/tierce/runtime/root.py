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
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FILE_LIMIT = 10 << 20
"""Bytes of /etc/passwd and /etc/group that are read; the files come from whoever made the image."""

_ORIGIN = ("trusted.overlay.origin", "trusted.overlay.impure", "user.overlay.origin")
"""What the kernel writes on a directory that it copies up (overlayfs.rst, "Non-directories")."""

_OPAQUE = frozenset({"trusted.overlay.opaque", "user.overlay.opaque"})
"""What is on a directory that was removed and made again: nothing below is seen in it."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_MEMORY_LIMIT = 64 << 20
"""Bytes in a container's directory in memory, which holds its secrets."""

_LINK_LIMIT = 40
"""Symbolic links in one path, as in the kernel."""


class Stub(Value):
    """A file or directory that was made in the root only so that something is mounted on it.

    `path` is relative to the root and free of links. The times are in nanoseconds: those of the
    parent directory before and after.
    """

    path: str
    directory: bool
    atime_before: int
    mtime_before: int
    mtime_after: int


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
                )
            )

    def remove_stubs(self) -> None:
        """Removes the stubs that are still empty, as BuildKit does (executor/stubs.go there).

        The parent directory gets the times back that it had before; if the container has changed
        it since, those of that change.
        """
        while self._stubs:
            stub = self._stubs.pop()
            try:
                self._remove_stub(stub)
            except OSError:  # not empty, or the container has put something else there
                continue

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

    def _remove_stub(self, stub: Stub) -> None:
        """Raises OSError when it is no longer a stub."""
        directory, _, name = stub.path.rpartition("/")
        parent = _open_below(self._descriptor, directory)
        try:
            now = os.stat(parent)
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stub.directory:
                os.rmdir(name, dir_fd=parent)
            elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
                os.unlink(name, dir_fd=parent)
            else:
                return
            mtime = stub.mtime_before if now.st_mtime_ns == stub.mtime_after else now.st_mtime_ns
            os.utime(parent, ns=(stub.atime_before, mtime))
        finally:
            os.close(parent)

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
            self._copied.setdefault(path, _state(f"{self.path}/{path}"))

    def _remove_copies(self) -> None:
        """Takes directories out of the upper layer that stubs brought there, if they are unchanged.

        They would be in the layer of a step that has changed nothing.
        """
        if not self._copied:
            return
        upper = os.open(self._upper, _DIRECTORY)
        try:
            # The inner ones before those that they are in.
            for path in sorted(self._copied, reverse=True):
                try:
                    _remove_copy(upper, path, self._copied[path])
                except OSError:  # there is something in it, or it is gone
                    continue
        finally:
            os.close(upper)
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


def _open_below(directory: int, path: str, *, merged: bool = False) -> int:
    """Opens a directory below another one, by way of directories alone.

    The container may have put links where stubs were made. With `merged`, a directory in which
    nothing is seen of lower layers is refused, too. Raises OSError.
    """
    current = os.dup(directory)
    for part in path.split("/") if path else ():
        try:
            inner = os.open(part, _DIRECTORY, dir_fd=current)
        finally:
            os.close(current)
        current = inner
        if merged and not _OPAQUE.isdisjoint(os.listxattr(current)):
            os.close(current)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
    # Those that are only a path cannot be written to, nor have their times set.
    try:
        return os.open(".", _DIRECTORY, dir_fd=current)
    finally:
        os.close(current)


def _remove_copy(upper: int, path: str, state: tuple[object, ...]) -> None:
    """Removes a directory of the upper layer if it has this state, and is empty. Raises OSError."""
    directory, _, name = path.rpartition("/")
    parent = _open_below(upper, directory, merged=True)
    try:
        before = os.stat(parent)
        copy = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            unchanged = _state(copy) == state
        finally:
            os.close(copy)
        if unchanged:
            os.rmdir(name, dir_fd=parent)
            os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(parent)


def _state(directory: str | int) -> tuple[object, ...]:
    """All that a layer says of a directory, and what overlayfs notes there but for its origin."""
    status = os.stat(directory)
    noted = {
        name: os.getxattr(directory, name)
        for name in os.listxattr(directory)
        if name not in _ORIGIN
    }
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, noted
