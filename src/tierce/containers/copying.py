"""Copying files out of containers and into them: docker's rules for what becomes of names.

They are those of `cp` in docker's command line (go-archive, copy.go there). The container may be
changing its files meanwhile: see `filesystem`.
"""

from __future__ import annotations

import errno
import os
import stat

from tierce.archive.output import Sink
from tierce.containers.state import ContainerState
from tierce.errors import ContainerError
from tierce.layer.compression import open_decompressed
from tierce.layer.placing import items_of, place_items, place_tar
from tierce.layer.writer import write_layer
from tierce.linux.rootfs import open_in_root, resolve_in_root, stat_in_root
from tierce.runtime.user import read_file, resolve_user
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import IO, BinaryIO

    from tierce.layer.placing import Owners
    from tierce.store.containers import ContainerRow

_LINKS_MAX = 10
_OF_THE_KERNEL = ("dev", "proc", "sys")
"""What in the root of a container that runs is no files of its own, and endless."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Place(Value):
    """Where a copy goes: a directory, and the name in it; without one, the source keeps its own."""

    directory: str
    name: str = ""


class Target(Value):
    """A path that something is to be copied to, links followed, and what is there."""

    path: str
    exists: bool
    is_directory: bool


def place_of(target: Target, *, of_directory: bool) -> Place:
    """Where something goes that is to be copied to a target; `of_directory`: it is a directory.

    Raises ContainerError, in docker's words.
    """
    if target.is_directory:
        return Place(target.path)
    if target.exists and of_directory:
        raise _refusal("cannot copy directory")
    if not target.exists and not of_directory and _asserts_directory(target.path):
        raise _refusal("no such directory")
    directory, name = os.path.split(os.path.normpath(target.path))
    return Place(directory or "/", name)


def copy_out(
    root: int, row: ContainerRow, source: str, target: str | IO[bytes], *, follow: bool
) -> int:
    """Copy from the container with this root to a path of the host, or as a tar to a stream.

    Returns the bytes of the files. Raises ContainerError, LayerError, OSError.
    """
    path = _cleaned(source, "/")
    handle = _open_source(root, row, path, follow=follow)
    try:
        is_directory = stat.S_ISDIR(os.fstat(handle).st_mode)
        name = _base_name(path)
        bare = _OF_THE_KERNEL if os.path.samestat(os.fstat(handle), os.fstat(root)) else ()
        if not isinstance(target, str):
            output = Sink(target)
            size = write_layer(items_of(handle, name, bare), output.write, hash_files=False).size
            output.flush()
            return size
        place = place_of(_local_target(target), of_directory=is_directory)
        own = (os.geteuid(), os.getegid())
        directory = _open_local_directory(place.directory)
        try:
            items = items_of(handle, place.name or name, bare)
            return place_items(items, directory, lambda _uid, _gid: own)
        finally:
            os.close(directory)
    finally:
        os.close(handle)


def copy_in(
    root: int, row: ContainerRow, source: str | BinaryIO, target: str, *, follow: bool, chown: bool
) -> int:
    """Copy a path of the host, or what a tar has, to the container with this root.

    With `chown`, all of it gets the container's user as its owner, if it has one; else owners are
    kept. Returns the bytes of the files. Raises ContainerError, LayerError, OSError.
    """
    state = ContainerState.decode(row.state)
    owners = _owners(root, state) if chown and state.user else None
    found = _container_target(root, row, target)
    if not isinstance(source, str):
        if not found.is_directory:
            raise _refusal(f'destination "{row.name}:{target}" must be a directory')
        directory = _open_target(root, row, state, found.path)
        try:
            # Whoever takes the stream's bytes must not leave some of them in it for others.
            place_tar(open_decompressed(source), directory, owners)
        finally:
            os.close(directory)
        return 0
    path = _cleaned(source, os.getcwd())
    handle = _open_local(path, follow=follow)
    try:
        is_directory = stat.S_ISDIR(os.fstat(handle).st_mode)
        place = place_of(found, of_directory=is_directory)
        directory = _open_target(root, row, state, place.directory)
        try:
            return place_items(items_of(handle, place.name or _base_name(path)), directory, owners)
        finally:
            os.close(directory)
    finally:
        os.close(handle)


def _cleaned(path: str, start: str) -> str:
    """An absolute path, with `/.` or `/` at its end as it was given."""
    clean = "/" + os.path.normpath(os.path.join(start, path)).lstrip("/")
    if not _asserts_directory(path) or not path:
        return clean
    return f"{clean.rstrip('/')}/{'.' if os.path.basename(path) == '.' else ''}"


def _asserts_directory(path: str) -> bool:
    """Whether a path can only be one of a directory."""
    return os.path.basename(path) in {"", "."}


def _base_name(path: str) -> str:
    """The name that a copy has; empty where it is what is in a directory that is copied."""
    return "" if os.path.basename(path) == "." else os.path.basename(path.rstrip("/"))


def _open_source(root: int, row: ContainerRow, path: str, *, follow: bool) -> int:
    """Opens what is to be copied out of a container, as a path (O_PATH)."""
    flags = os.O_PATH
    if _asserts_directory(path):
        flags |= os.O_DIRECTORY
    elif not follow:
        flags |= os.O_NOFOLLOW
    try:
        return open_in_root(root, path, flags)
    except OSError as error:
        raise _no_file(row, path, error) from error


def _open_local(path: str, *, follow: bool) -> int:
    flags = os.O_PATH | os.O_CLOEXEC
    if _asserts_directory(path):
        flags |= os.O_DIRECTORY
    elif not follow:
        flags |= os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except OSError as error:
        raise _local(path, error) from error


def _open_local_directory(path: str) -> int:
    try:
        return os.open(path, _DIRECTORY)
    except OSError as error:
        raise _local(path, error) from error


def _local_target(target: str) -> Target:
    """A path of the host, through links that may lead nowhere."""
    path = _cleaned(target, os.getcwd())
    parent = os.path.dirname(os.path.normpath(path))
    if not os.path.exists(parent):
        raise _refusal(f'invalid output path: directory "{parent}" does not exist')
    try:
        for _ in range(_LINKS_MAX):
            if not os.path.islink(path):
                break
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        status = os.stat(path)
    except FileNotFoundError:
        return Target(path, exists=False, is_directory=False)
    except OSError as error:
        raise _local(path, error) from error
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise _refusal(
            f'invalid output path: "{path}" must be a directory or a regular file: got a device'
        )
    return Target(path, exists=True, is_directory=stat.S_ISDIR(status.st_mode))


def _container_target(root: int, row: ContainerRow, target: str) -> Target:
    try:
        path = resolve_in_root(root, target)
    except OSError as error:
        raise _no_file(row, target, error) from error
    status = stat_in_root(root, path)
    if status is None:
        # Docker takes a path without a word for one that says nothing, and not for the root.
        asserts = _asserts_directory(target)
        return Target(f"{path}/" if asserts else path, exists=False, is_directory=False)
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise _refusal(
            f'destination "{row.name}:{target}" must be a directory or a regular file: got a device'
        )
    return Target(path, exists=True, is_directory=stat.S_ISDIR(status.st_mode))


def _open_target(root: int, row: ContainerRow, state: ContainerState, path: str) -> int:
    """Opens a directory of the container to write to."""
    try:
        directory = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except NotADirectoryError as error:
        raise _refusal("extraction point is not a directory") from error
    except OSError as error:
        raise _no_file(row, path, error) from error
    mounts = [(target, read_only) for _, target, read_only, _ in state.binds]
    mounts += [(target, read_only) for _, target, read_only, _, _ in state.volumes]
    mounts += [(target, "ro" in options) for target, options in state.memory]
    above = [each for each in mounts if f"{path}/".startswith(f"{each[0]}/")]
    _, read_only = max(above, key=lambda each: len(each[0]), default=("", state.read_only))
    if read_only:
        os.close(directory)
        what = "mounted volume" if above else "container rootfs"
        raise _refusal(f"{what} is marked read-only")
    return directory


def _owners(root: int, state: ContainerState) -> Owners:
    identity = resolve_user(state.user, lambda path: read_file(root, path))
    return lambda _uid, _gid: (identity.uid, identity.gid)


def _no_file(row: ContainerRow, path: str, error: OSError) -> ContainerError:
    if error.errno == errno.ENOENT:
        return _refusal(f"Could not find the file {path} in container {row.name}")
    return _refusal(f"open {path} in container {row.name}: {(error.strerror or '').lower()}")


def _local(path: str, error: OSError) -> ContainerError:
    return _refusal(f"lstat {path}: {(error.strerror or '').lower()}")


def _refusal(message: str) -> ContainerError:
    return ContainerError(message, status=1)
