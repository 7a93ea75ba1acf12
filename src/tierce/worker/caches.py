"""The cache mounts of a RUN step: which directory each is, and who may use it meanwhile."""

from __future__ import annotations

import os
from contextlib import ExitStack

from tierce.layer.apply import apply_layer
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import BindMount
from tierce.values import Value
from tierce.worker.files import gather, tree_of
from tierce.worker.results import FileSystem

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tierce.graph.ops import CacheMount
    from tierce.layer.entry import Entry
    from tierce.layer.view import Tree
    from tierce.store import Store
    from tierce.worker.results import Result

_SHORT_ID = 12


class Origin(Value):
    """What a new cache starts with: a part of another file system.

    Caches of one id are as many as there are origins; `name` tells them apart. `entry` is the
    directory, or None; `file` is the name of what is shown when that is a file.
    """

    name: str
    tree: Tree
    entry: Entry | None
    file: str = ""


class StepCaches:
    """The caches of one step; a context manager that lets others have them again.

    One for all that use it ("shared"), for one step at a time ("locked"), or one for each step
    ("private"). A step that mounts a cache twice has it once.
    """

    def __init__(self, store: Store, inputs: Sequence[Result], cancelled: threading.Event) -> None:
        self._store = store
        self._inputs = inputs
        self._cancelled = cancelled
        self._held = ExitStack()
        self._origins: dict[tuple[int, str], Origin] = {}
        self._private: dict[str, str] = {}

    def __enter__(self) -> StepCaches:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def lock(self, mounts: Sequence[CacheMount]) -> None:
        """Wait for those that are for one step at a time. Raises Cancelled.

        All steps take them in one order, so that no two wait for each other.
        """
        locked = {self.name(mount) for mount in mounts if mount.sharing == "locked"}
        for name in sorted(locked):
            self._held.enter_context(self._store.locks.hold_unless(self._cancelled, _use_of(name)))

    def open(self, mount: CacheMount) -> BindMount:
        """What is to be mounted, made if it is not there. Raises BuildError, StoreError."""
        origin = self._origin(mount)
        name = self.name(mount)
        if mount.sharing == "private":
            name = self._private_name(name)
        owner = origin.entry if origin is not None and origin.entry is not None else mount
        directory = self._store.cache_mounts.directory(
            name,
            mode=owner.mode,
            uid=owner.uid,
            gid=owner.gid,
            initialise=None if origin is None else self._filler(origin, mount.source),
        )
        root = MountSpec("bind", os.fspath(directory), "", ("rbind",))
        return BindMount(mount.target, (root,), self.source(mount), read_only=mount.read_only)

    def source(self, mount: CacheMount) -> str:
        """The path in a cache that is shown: all of it or, of a single file, that."""
        origin = self._origin(mount)
        return "/" if origin is None else f"/{origin.file}"

    def name(self, mount: CacheMount) -> str:
        """What a cache is called in the store, unless it is a further private one."""
        origin = self._origin(mount)
        return mount.id if origin is None else f"{mount.id}:{origin.name}"

    def _private_name(self, name: str) -> str:
        """The first of `name`, `name#2`, … that nobody else uses now; held until the end."""
        number = 1
        while name not in self._private:
            candidate = name if number == 1 else f"{name}#{number}"
            if self._held.enter_context(self._store.locks.try_hold(_use_of(candidate))):
                self._private[name] = candidate
            number += 1
        return self._private[name]

    def _origin(self, mount: CacheMount) -> Origin | None:
        """What a new cache starts with, when the mount says `from`."""
        if not mount.input:
            return None
        known = self._origins.get((mount.input, mount.source))
        if known is None:
            known = self._find_origin(self._inputs[mount.input], mount.source)
            self._origins[mount.input, mount.source] = known
        return known

    def _find_origin(self, result: Result, source: str) -> Origin:
        tree = tree_of(self._store, result)
        if not isinstance(result, FileSystem):
            result = gather(self._store, tree, source)
        name = "empty"
        if result.snapshot is not None:
            self._store.snapshots.finish([result.snapshot])
            chain_id = self._store.snapshots.get(result.snapshot).chain_id
            assert chain_id is not None
            name = chain_id.hex[:_SHORT_ID]
        resolved = tree.resolve(source)
        entry = tree.lookup(resolved) if resolved else None
        if entry is None or entry.kind == "dir":
            return Origin(f"{name}{source}", tree, entry)
        return Origin(f"{name}{source}", tree, None, resolved.rpartition("/")[2])

    def _filler(self, origin: Origin, source: str) -> Callable[[Path], object]:
        """Copies what a new cache starts with."""
        store = self._store

        def fill(directory: Path) -> None:
            gathered = gather(store, origin.tree, source)
            if gathered.snapshot is None:
                return
            [layer] = store.snapshots.chain(gathered.snapshot)
            assert layer.diff_id is not None
            with store.layers.open_tar(layer.diff_id) as stream:
                apply_layer(stream, os.fspath(directory), whiteouts="remove")

        return fill


def _use_of(name: str) -> str:
    """The lock that a step holds while it uses a cache that is not for all."""
    return f"cache-mount-use {name}"
