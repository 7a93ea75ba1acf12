"""Open files in a root file system that somebody else filled, without being led out of it.

Inside the root, symlinks mean what they mean to a process that is chrooted there: absolute ones
and ".." start and stop at the root. openat2(2) resolves so in the kernel; before Linux 5.6, or
where a seccomp filter does not know the call, the path is walked here component by component.
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from tierce.linux import libc

SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10

_OPEN_HOW = struct.Struct("QQQ")  # flags, mode, resolve
_ATTEMPTS = 32
_LINKS_MAX = 40  # as path_resolution(7)
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def openat2(dir_fd: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2). Raises OSError; ENOSYS where the kernel lacks it."""
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    return libc.syscall(SYS_OPENAT2, dir_fd, path, how, len(how), path=path)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` in the directory `root_fd` as if that were "/".

    Flags are those of open(2); with O_NOFOLLOW the last component is not followed. The descriptor
    is close-on-exec. Raises OSError as open(2) does.
    """
    relative = path.lstrip("/") or "."
    for _ in range(_ATTEMPTS):
        try:
            return openat2(root_fd, relative, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
        except OSError as error:
            if error.errno in {errno.ENOSYS, errno.EPERM}:
                # EPERM may come from a seccomp filter or from the file: the walk will tell.
                return walk_in_root(root_fd, relative, flags, mode)
            if error.errno != errno.EAGAIN:  # something was renamed while ".." was resolved
                raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def stat_in_root(root_fd: int, path: str) -> os.stat_result | None:
    """What stat(2) says of a path in a root, links followed; None where there is nothing."""
    try:
        descriptor = open_in_root(root_fd, path, os.O_PATH)
    except OSError:
        return None
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def read_in_root(root_fd: int, path: str, limit: int) -> bytes | None:
    """The first `limit` bytes of a regular file in a root; None for what is none, or absent.

    A device is not opened, not even by a race: opening one may do something.
    """
    try:
        found = open_in_root(root_fd, path, os.O_PATH)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return None
        try:
            descriptor = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # /proc is of a PID namespace that we are not in
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
            descriptor = open_in_root(root_fd, path, flags)
        with open(descriptor, "rb") as file:
            same = os.path.samestat(os.fstat(descriptor), os.fstat(found))
            return file.read(limit) if same else None
    except OSError:
        return None
    finally:
        os.close(found)


def resolve_in_root(root_fd: int, path: str) -> str:
    """A path with all links in it followed, as realpath(3) in the root; missing parts stay.

    It begins with a slash, and says what was so at the time. Raises OSError.
    """
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
        target = _link_in_root(root_fd, "/".join([*real, part]))
        if target is None:
            real.append(part)
            continue
        links += 1
        if links > _LINKS_MAX:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            real.clear()
        waiting += target.split("/")[::-1]
    return "/" + "/".join(real)


def _link_in_root(root_fd: int, path: str) -> str | None:
    """What a symlink says; None for anything else, or nothing."""
    try:
        handle = open_in_root(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if stat.S_ISLNK(os.fstat(handle).st_mode):
            return os.readlink("", dir_fd=handle)
        return None
    finally:
        os.close(handle)


def walk_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """What `open_in_root` does, without openat2.

    Nothing is held still between the steps, but each step opens one name in an open directory
    and follows nothing: however the tree changes meanwhile, it cannot lead outside.
    """
    return _Walk(root_fd, path).open(flags, mode)


class _Walk:
    """Walks down a path; the descriptors of all directories on the way stay open for ".."."""

    def __init__(self, root_fd: int, path: str) -> None:
        self._path = path
        self._rest = path.split("/")
        self._rest.reverse()
        self._links = 0
        self._trail = [os.open(".", _DIRECTORY, dir_fd=root_fd)]

    def open(self, flags: int, mode: int) -> int:
        exclusive = flags & (os.O_CREAT | os.O_EXCL) == os.O_CREAT | os.O_EXCL
        follow = not flags & os.O_NOFOLLOW and not exclusive
        try:
            while True:
                while len(self._rest) > 1:
                    self._step(self._rest.pop())
                name = self._rest.pop()
                if name in {"", ".", ".."}:
                    self._step(name)
                    name = "."
                if not follow or not self._follow(name):
                    return os.open(
                        name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self._trail[-1]
                    )
        finally:
            self._close()

    def _step(self, name: str) -> None:
        if name in {"", "."}:
            return
        if name == "..":
            if len(self._trail) > 1:
                os.close(self._trail.pop())
            return
        parent = self._trail[-1]
        try:
            self._trail.append(os.open(name, _DIRECTORY, dir_fd=parent))
        except OSError:
            if not self._follow(name):
                raise

    def _follow(self, name: str) -> bool:
        """Put the target of a symlink in its place; whether it is one."""
        try:
            target = os.readlink(name, dir_fd=self._trail[-1])
        except OSError:
            return False
        self._links += 1
        if self._links > _LINKS_MAX:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path)
        if target.startswith("/"):
            while len(self._trail) > 1:
                os.close(self._trail.pop())
        self._rest += reversed(target.split("/"))
        return True

    def _close(self) -> None:
        for descriptor in self._trail:
            os.close(descriptor)


def remove_in_directory(dir_fd: int, name: str) -> None:
    """Remove a file, or a directory with all that is in it, following no symlink.

    For trees of any depth: neither the stack nor the number of open files grows with it. Raises
    OSError, EXDEV if a directory is moved out of the tree meanwhile.
    """
    if not stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=dir_fd)
        return
    current = _open_to_empty(dir_fd, name)
    above: list[tuple[str, tuple[int, int]]] = []  # (name in it, identity of the directory)
    try:
        while True:
            inner = _unlink_files(current)
            if inner is not None:
                above.append((inner, _identity(current)))
                deeper = _open_to_empty(current, inner)
                os.close(current)
                current = deeper
            elif above:
                inner, identity = above.pop()
                parent = os.open("..", _READ_DIRECTORY, dir_fd=current)
                os.close(current)
                current = parent
                if _identity(current) != identity:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
                os.rmdir(inner, dir_fd=current)
            else:
                break
    finally:
        os.close(current)
    os.rmdir(name, dir_fd=dir_fd)


def _unlink_files(directory: int) -> str | None:
    """Empty a directory up to the first directory in it; its name."""
    with os.scandir(directory) as members:
        for member in members:
            if member.is_dir(follow_symlinks=False):
                return member.name
            os.unlink(member.name, dir_fd=directory)
    return None


def _open_to_empty(dir_fd: int, name: str) -> int:
    """A descriptor of a directory that its owner can read and change."""
    handle = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    try:
        if os.fstat(handle).st_mode & 0o700 != 0o700 and os.geteuid() != 0:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", _READ_DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)


def _identity(directory: int) -> tuple[int, int]:
    status = os.fstat(directory)
    return status.st_dev, status.st_ino
