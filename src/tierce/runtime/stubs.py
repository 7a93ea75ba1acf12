"""What is made in a root only so that something can be mounted on it, and removed again.

In the foreground, whoever made it removes it by the mount that it was made through. What is
started in the background has nobody there in the end: then it is written down, and taken out of
the writable layer itself, which nobody uses any more.
"""

from __future__ import annotations

import errno
import os
import stat

from tierce.lean import json
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_ORIGIN = ("trusted.overlay.origin", "trusted.overlay.impure", "user.overlay.origin")
"""What the kernel writes on a directory that it copies up (overlayfs.rst, "Non-directories")."""

_OPAQUE = frozenset({"trusted.overlay.opaque", "user.overlay.opaque"})
"""What is on a directory that was removed and made again: nothing below is seen in it."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Stub(Value):
    """A file or directory that was made in the root only so that something is mounted on it.

    `path` is relative to the root and free of links. The times are in nanoseconds: those of the
    parent directory before and after. `whiteout`: the writable layer said that there is nothing.
    """

    path: str
    directory: bool
    atime_before: int
    mtime_before: int
    mtime_after: int
    whiteout: bool = False


NAME = "stubs"
"""Of the file in a container's directory."""


class Record(Value):
    """What was written down: stubs, and what directories were like that came up with them."""

    stubs: tuple[Stub, ...] = ()
    copies: tuple[tuple[str, tuple[object, ...]], ...] = ()


NOTHING = Record()


def write(path: str, made: Sequence[Stub], copies: Mapping[str, tuple[object, ...]]) -> None:
    """Writes stubs down in a file. Raises OSError."""
    fields = [[getattr(stub, name) for name in Stub._fields] for stub in made]
    kept = [[directory, _encoded(state)] for directory, state in copies.items()]
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump({"stubs": fields, "copies": kept}, file)


def read(path: str) -> Record:
    """What `write` wrote; nothing where there is no file. Raises OSError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            found = json.load(file)
    except FileNotFoundError:
        return NOTHING
    except ValueError:  # who wrote it was killed
        return NOTHING
    return Record(
        tuple(Stub(*fields) for fields in found["stubs"]),
        tuple((directory, _decoded(state)) for directory, state in found["copies"]),
    )


def hidden_in(upper: str, record: Record) -> tuple[set[str], set[str]]:
    """The stubs that are still nothing else in a writable layer, and those that hide something.

    The second are those in whose place the layer has said that there is nothing.
    """
    hidden: set[str] = set()
    deleted: set[str] = set()
    for stub in reversed(record.stubs):
        try:
            if not _is_bare(upper, stub, hidden):
                continue
        except OSError:  # it is gone, or something else
            continue
        (deleted if stub.whiteout else hidden).add(stub.path)
    return hidden, deleted


def remove_written(upper: str, path: str) -> None:
    """Takes out of a writable layer, which is not in use, the stubs in a file, and the file.

    Idempotent. Raises OSError for the file alone: what is no stub any more stays.
    """
    record = read(path)
    if record == NOTHING:
        return
    descriptor = os.open(upper, _DIRECTORY)
    try:
        remove_stubs(descriptor, record.stubs, in_layer=True)
    finally:
        os.close(descriptor)
    remove_copies(upper, dict(record.copies))
    os.unlink(path)


def remove_stubs(root: int, made: Iterable[Stub], *, in_layer: bool = False) -> None:
    """Removes the stubs that are still empty, as BuildKit does (executor/stubs.go there).

    The parent directory gets the times back that it had before; if the container has changed
    it since, those of that change. `root` is the file system, or the writable layer of it alone.
    """
    for stub in reversed(tuple(made)):
        try:
            _remove_stub(root, stub, in_layer)
        except OSError:  # not empty, or the container has put something else there
            continue


def remove_copies(upper: str, copies: Mapping[str, tuple[object, ...]]) -> None:
    """Takes directories out of the upper layer that stubs brought there, if they are unchanged.

    They would be in the layer of a step that has changed nothing.
    """
    descriptor = os.open(upper, _DIRECTORY)
    try:
        # The inner ones before those that they are in.
        for path in sorted(copies, reverse=True):
            try:
                _remove_copy(descriptor, path, copies[path])
            except OSError:  # there is something in it, or it is gone
                continue
    finally:
        os.close(descriptor)


def is_whiteout(path: str) -> bool:
    """Whether overlayfs says at a path of a layer that there is nothing."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _remove_stub(root: int, stub: Stub, in_layer: bool) -> None:
    """Raises OSError when it is no longer a stub."""
    directory, _, name = stub.path.rpartition("/")
    parent = _open_below(root, directory)
    try:
        now = os.stat(parent)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stub.directory:
            os.rmdir(name, dir_fd=parent)
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            os.unlink(name, dir_fd=parent)
        else:
            return
        if in_layer and stub.whiteout:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
        mtime = stub.mtime_before if now.st_mtime_ns == stub.mtime_after else now.st_mtime_ns
        os.utime(parent, ns=(stub.atime_before, mtime))
    finally:
        os.close(parent)


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
            unchanged = state_of(copy) == state
        finally:
            os.close(copy)
        if unchanged:
            os.rmdir(name, dir_fd=parent)
            os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(parent)


def state_of(directory: str | int) -> tuple[object, ...]:
    """All that a layer says of a directory, and what overlayfs notes there but for its origin."""
    status = os.stat(directory)
    noted = {
        name: os.getxattr(directory, name)
        for name in os.listxattr(directory)
        if name not in _ORIGIN
    }
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, noted


def _is_bare(upper: str, stub: Stub, hidden: set[str]) -> bool:
    """Whether there is nothing but the stub, and other stubs in it. Raises OSError."""
    directory, _, name = stub.path.rpartition("/")
    top = os.open(upper, _DIRECTORY)
    try:
        parent = _open_below(top, directory)
    finally:
        os.close(top)
    try:
        if not stub.directory:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            return stat.S_ISREG(status.st_mode) and status.st_size == 0
        inner = os.open(name, _DIRECTORY, dir_fd=parent)
    finally:
        os.close(parent)
    try:
        return hidden.issuperset(f"{stub.path}/{each}" for each in os.listdir(inner))
    finally:
        os.close(inner)


def _encoded(state: tuple[object, ...]) -> list[object]:
    *numbers, noted = state
    assert isinstance(noted, dict)
    return [*numbers, {name: value.hex() for name, value in noted.items()}]


def _decoded(state: list[object]) -> tuple[object, ...]:
    *numbers, noted = state
    assert isinstance(noted, dict)
    return (*numbers, {name: bytes.fromhex(value) for name, value in noted.items()})
