"""Containers in the place of a failed step of a build: where it failed, and with what it saw."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from tierce.errors import ContainerError
from tierce.linux.mounts import MountSpec
from tierce.oci.config import ContainerConfig
from tierce.runtime.bundle import BindMount
from tierce.store.failed_steps import BindFiles, CacheFiles

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.store import Store
    from tierce.store.failed_steps import MemoryFiles, StepMount, StepProcess


def config_of(process: StepProcess) -> ContainerConfig:
    """What an image would say of such a container: its command is a shell, not the step's own."""
    return ContainerConfig(
        user=process.user, env=process.env, cmd=process.shell, working_dir=process.cwd
    )


@contextmanager
def open_mounts(store: Store, process: StepProcess) -> Iterator[tuple[BindMount, ...]]:
    """The mounts of the step, for as long as the block runs; tmpfs are empty again.

    Raises ContainerError when a cache that is used by one at a time is in use, StoreError.
    """
    if not process.mounts:
        yield ()
        return
    with store.leases.ensure("mounts of a failed step"), ExitStack() as stack:
        yield tuple(_open(store, mount, stack) for mount in process.mounts)


def _open(store: Store, mount: StepMount, stack: ExitStack) -> BindMount:
    if isinstance(mount, BindFiles):
        return _bind(store, mount, stack)
    if isinstance(mount, CacheFiles):
        return _cache(store, mount, stack)
    return _memory(mount)


def _bind(store: Store, mount: BindFiles, stack: ExitStack) -> BindMount:
    snapshots = store.snapshots
    if mount.read_only and mount.snapshot is not None:
        root = snapshots.mounts(mount.snapshot, read_only=True)
    else:
        active = snapshots.prepare(mount.snapshot)
        stack.callback(snapshots.discard, active)
        root = snapshots.mounts(active, read_only=mount.read_only)
    return BindMount(mount.target, tuple(root), mount.source, read_only=mount.read_only)


def _cache(store: Store, mount: CacheFiles, stack: ExitStack) -> BindMount:
    # The locks are those of the steps that use the cache: see tierce.worker.mounts.
    name = mount.name
    if mount.sharing != "shared":
        held = stack.enter_context(store.locks.try_hold(f"cache-mount-use {name}"))
        number = 1
        while not held:
            if mount.sharing == "locked":
                raise ContainerError(
                    f"mount cache {name}: it is in use, and can be used by one at a time",
                    hint="wait for the build, or for the other container, that uses it",
                )
            number += 1
            name = f"{mount.name}#{number}"
            held = stack.enter_context(store.locks.try_hold(f"cache-mount-use {name}"))
    directory = store.cache_mounts.directory(name, mode=mount.mode, uid=mount.uid, gid=mount.gid)
    root = MountSpec("bind", os.fspath(directory), "", ("rbind",))
    return BindMount(mount.target, (root,), read_only=mount.read_only)


def _memory(mount: MemoryFiles) -> BindMount:
    size = (f"size={mount.size}",) if mount.size else ()
    root = MountSpec("tmpfs", "tmpfs", "", ("nosuid", *size))
    return BindMount(mount.target, (root,), read_only=mount.read_only)
