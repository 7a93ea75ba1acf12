"""The file system of a container as it sees it itself: with its volumes, running or not.

Of one that runs, this is the root of its process. One that does not is mounted for the moment, in
a mount namespace that nobody else sees. Either way there is a descriptor of the root, and whatever
is opened by it with `open_in_root` is inside, also if the container moves links about meanwhile.
"""

from __future__ import annotations

import os

from tierce.containers.create import bind_mount
from tierce.containers.following import Running
from tierce.containers.mounts import mounts_of
from tierce.containers.state import ContainerState
from tierce.containers.sweep import clear_points, find, lock_name
from tierce.errors import ContainerError, NotFound
from tierce.linux import mounts
from tierce.linux.rootfs import open_in_root
from tierce.runtime.bundle import BindMount
from tierce.runtime.detached import in_private_mounts
from tierce.runtime.root import ContainerRoot

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from tierce.store import Store
    from tierce.store.containers import ContainerRow

    Result = TypeVar("Result")

_NAME = "c"


def in_root(store: Store, row: ContainerRow, function: Callable[[int], Result]) -> Result:
    """Calls a function with a descriptor (O_PATH) of a container's root; returns what it returns.

    A container that does not run is not started meanwhile. Raises what the function raises,
    NotFound when the container is gone, ContainerError, RuntimeUnavailable, StoreError.
    """
    if row.running:
        root = _root_of_process(store, row)
        if root >= 0:
            try:
                return function(root)
            finally:
                os.close(root)
    with store.locks.hold(lock_name(row.id)):
        found = find(store, row.id)
        if found is None:
            raise NotFound("container", row.name)
        if not found.running:
            return in_private_mounts(lambda: _mounted(store, found, function))
    return in_root(store, found, function)


def _root_of_process(store: Store, row: ContainerRow) -> int:
    """The root of a container's process 1, or -1 when that has ended."""
    with Running(store, row) as running:
        pid = running.pid
        if not pid:
            return -1
        try:
            root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return -1
        except PermissionError as error:
            raise ContainerError(
                f"open files of container {row.name}: {error.strerror}",
                hint="its process belongs to another user",
            ) from error
        if running.pid != pid:  # the number may be that of another process by now
            os.close(root)
            return -1
        return root


def _mounted(store: Store, row: ContainerRow, function: Callable[[int], Result]) -> Result:
    """Mounts the files of a container that does not run, for the call."""
    if row.snapshot is None:
        raise ContainerError(f"open files of container {row.name}: it has none of its own")
    active = store.snapshots.get_active(row.snapshot)
    store.snapshots.reopen(active)
    clear_points(store, row.id)
    directory = f"{store.paths.mounts}/{row.id}"
    os.mkdir(directory, 0o700)
    root = ContainerRoot(directory, _NAME)
    places: list[str] = []
    try:
        root.mount(store.snapshots.mounts(active))
        for mount in _binds(store, ContainerState.decode(row.state)):
            _bind(root, mount)
            places.append(mount.target)
        return function(root.descriptor)
    finally:
        for target in reversed(places):
            _unmount(root, target)
        root.remove_stubs()
        root.close()
        store.snapshots.reopen(active)
        os.rmdir(directory)


def _binds(store: Store, state: ContainerState) -> Sequence[BindMount]:
    """What is mounted in a container but in memory, the parents before what is below them."""
    found = [bind_mount(*bind) for bind in state.binds]
    found += [mount for mount in mounts_of(store, state) if isinstance(mount, BindMount)]
    return sorted(found, key=lambda mount: mount.target.count("/"))


def _bind(root: ContainerRoot, mount: BindMount) -> None:
    source, directory = root.mount_source(mount.root, mount.source)
    root.make_stub(mount.target, directory=directory)
    try:
        if mount.read_only:
            flags = mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY
            mounts.mount(None, source, None, flags)
        flags = mounts.OPEN_TREE_CLONE | mounts.AT_RECURSIVE | mounts.OPEN_TREE_CLOEXEC
        tree = mounts.open_tree(mounts.AT_FDCWD, source, flags)
        try:
            place = open_in_root(root.descriptor, mount.target, os.O_PATH)
            try:
                both = mounts.MOVE_MOUNT_F_EMPTY_PATH | mounts.MOVE_MOUNT_T_EMPTY_PATH
                mounts.move_mount(tree, "", place, "", both)
            finally:
                os.close(place)
        finally:
            os.close(tree)
    except OSError as error:
        raise ContainerError(f"mount {mount.target}: {error.strerror}") from error


def _unmount(root: ContainerRoot, target: str) -> None:
    place = open_in_root(root.descriptor, target, os.O_PATH)
    try:
        mounts.umount2(f"/proc/self/fd/{place}", mounts.MNT_DETACH)
    finally:
        os.close(place)
