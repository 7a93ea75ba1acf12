"""Containers in the place of a failed step of a build: where it failed, and with what it saw."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from tierce.errors import ContainerError
from tierce.linux.mounts import MountSpec
from tierce.oci.config import ContainerConfig
from tierce.runtime.bundle import BindMount, TmpfsMount
from tierce.store.failed_steps import BindFiles, CacheFiles

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.store import Store
    from tierce.store.failed_steps import StepMount, StepProcess


def config_of(process: StepProcess) -> ContainerConfig:
    """What an image would say of such a container: its command is a shell, not the step's own."""
    return ContainerConfig(
        user=process.user, env=process.env, cmd=process.shell, working_dir=process.cwd
    )


@contextmanager
def open_mounts(store: Store, process: StepProcess) -> Iterator[tuple[BindMount | TmpfsMount, ...]]:
    """The mounts of the step, for as long as the block runs; tmpfs are empty again.

    Raises ContainerError when a cache that is used by one at a time is in use, StoreError.
    """
    if not process.mounts:
        yield ()
        return
    with store.leases.ensure("mounts of a failed step"), ExitStack() as stack:
        opened = _Mounts(store, stack)
        yield tuple([opened.open(mount) for mount in process.mounts])


class _Mounts:
    def __init__(self, store: Store, stack: ExitStack) -> None:
        self._store = store
        self._stack = stack
        self._caches: dict[str, str] = {}
        """The caches that are held, by the names that mounts have for them."""

    def open(self, mount: StepMount) -> BindMount | TmpfsMount:
        if isinstance(mount, BindFiles):
            return self._bind(mount)
        if isinstance(mount, CacheFiles):
            return self._cache(mount)
        return TmpfsMount(mount.target, mount.size, mount.read_only)

    def _bind(self, mount: BindFiles) -> BindMount:
        snapshots = self._store.snapshots
        if mount.read_only and mount.snapshot is not None:
            root = snapshots.mounts(mount.snapshot, read_only=True)
        else:
            active = snapshots.prepare(mount.snapshot)
            self._stack.callback(snapshots.discard, active)
            root = snapshots.mounts(active, read_only=mount.read_only)
        return BindMount(mount.target, tuple(root), mount.source, read_only=mount.read_only)

    def _cache(self, mount: CacheFiles) -> BindMount:
        name = mount.name
        if mount.sharing != "shared":
            name = self._caches.get(name) or self._hold(name, one=mount.sharing == "locked")
            self._caches[mount.name] = name
        directory = self._store.cache_mounts.directory(
            name, mode=mount.mode, uid=mount.uid, gid=mount.gid
        )
        root = MountSpec("bind", os.fspath(directory), "", ("rbind",))
        return BindMount(mount.target, (root,), mount.source, read_only=mount.read_only)

    def _hold(self, name: str, *, one: bool) -> str:
        """Hold a cache, or another like it unless there is but `one`; what that is called.

        The locks are those of the steps that use it: see `tierce.worker.caches`.
        """
        number, held = 1, name
        while not self._stack.enter_context(self._store.locks.try_hold(f"cache-mount-use {held}")):
            if one:
                raise ContainerError(
                    f"mount cache {name}: it is in use, and can be used by one at a time",
                    hint="wait for the build, or for the other container, that uses it",
                )
            number += 1
            held = f"{name}#{number}"
        return held
