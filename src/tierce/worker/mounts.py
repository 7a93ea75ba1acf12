"""The mounts of a RUN step: what is put beside its root file system while it runs."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from tierce.errors import BuildError
from tierce.graph.ops import Bind, CacheMount, Secret, Tmpfs
from tierce.layer.apply import apply_layer
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import BindMount, TmpfsMount
from tierce.runtime.crun import SecretFile
from tierce.values import Value
from tierce.worker.files import gather, tree_of
from tierce.worker.results import FileSystem

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tierce.graph.ops import Mount, Ssh
    from tierce.layer.entry import Entry
    from tierce.layer.view import Tree
    from tierce.store import Store
    from tierce.worker.agents import Agents
    from tierce.worker.context import LocalTree
    from tierce.worker.credentials import Credentials
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


class StepMounts:
    """Opens the mounts of one step; a context manager that lets go of them again.

    What the runtime is to mount is then in `binds` and `secrets`, and what the process finds in
    its environment in `variables`, as "NAME=value".
    """

    def __init__(
        self,
        store: Store,
        inputs: Sequence[Result],
        credentials: Credentials,
        agents: Callable[[], Agents],
    ) -> None:
        """`agents` is called when the step wants one."""
        self._store = store
        self._inputs = inputs
        self._credentials = credentials
        self._agents = agents
        self._stack = ExitStack()
        self.binds: list[BindMount | TmpfsMount] = []
        self.secrets: list[SecretFile] = []
        self.variables: list[str] = []

    def __enter__(self) -> StepMounts:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, mounts: Sequence[Mount]) -> None:
        """Open them, in their order. Raises BuildError, StoreError."""
        for mount in mounts:
            if isinstance(mount, Bind):
                self.binds.append(self._bind(mount))
            elif isinstance(mount, CacheMount):
                self.binds.append(self._stack.enter_context(self._cache(mount)))
            elif isinstance(mount, Tmpfs):
                self.binds.append(TmpfsMount(mount.target, mount.size, mount.read_only))
            elif isinstance(mount, Secret):
                self._add_secret(mount)
            else:
                self._add_agent(mount)

    def files_of(self, mount: Bind) -> tuple[FileSystem, str]:
        """The file system that a bind mount shows, and the path in it. Raises BuildError."""
        result, source = self._inputs[mount.input], mount.source
        if not isinstance(result, FileSystem):
            result, source = self._gathered(result, source)
        return result, source

    def _bind(self, mount: Bind) -> BindMount:
        result, source = self.files_of(mount)
        root = self._stack.enter_context(self._mounted(result, read_only=mount.read_only))
        return BindMount(mount.target, tuple(root), source, read_only=mount.read_only)

    def _add_secret(self, mount: Secret) -> None:
        content = self._credentials.secret(mount.id)
        if content is None and mount.required:
            raise BuildError(
                f"secret {mount.id}: not found",
                hint=f"give it with --secret id={mount.id},src=FILE or --secret id={mount.id}",
            )
        if mount.env:
            # BuildKit sets the variable, empty, when there is no secret.
            value = os.fsdecode(content or b"")
            if "\0" in value:
                raise BuildError(f"secret {mount.id}: a variable cannot hold a NUL byte")
            self.variables.append(f"{mount.env}={value}")
        if mount.target and content is not None:
            self.secrets.append(SecretFile(mount.target, content, mount.mode, mount.uid, mount.gid))

    def _add_agent(self, mount: Ssh) -> None:
        relay = self._agents().relay(mount.id, mode=mount.mode, uid=mount.uid, gid=mount.gid)
        if relay is None:
            if not mount.required:
                return
            raise BuildError(
                f'no SSH key "{mount.id}" forwarded from the client',
                hint=f"give it with --ssh {mount.id}, or --ssh {mount.id}=SOCKET|KEY",
            )
        directory, _, name = self._stack.enter_context(relay).path.rpartition("/")
        root = MountSpec("bind", directory, "", ("rbind",))
        self.binds.append(BindMount(mount.target, (root,), f"/{name}", read_only=False))

    def _gathered(self, tree: LocalTree, source: str) -> tuple[FileSystem, str]:
        """A snapshot of a part of the build context, and where in it that part is."""
        resolved = tree.resolve(source)
        entry = tree.lookup(resolved)
        name = "" if entry is None or entry.kind == "dir" else resolved.rpartition("/")[2]
        return gather(self._store, tree, source), f"/{name}"

    @contextmanager
    def _mounted(self, result: FileSystem, *, read_only: bool) -> Iterator[Sequence[MountSpec]]:
        """The mounts of what a bind mount shows; a writable one writes to a layer that is lost."""
        snapshots = self._store.snapshots
        if read_only and result.snapshot is not None:
            yield snapshots.mounts(result.snapshot, read_only=True)
            return
        active = snapshots.prepare(result.snapshot)
        try:
            yield snapshots.mounts(active, read_only=read_only)
        finally:
            snapshots.discard(active)

    @contextmanager
    def _cache(self, mount: CacheMount) -> Iterator[BindMount]:
        """A cache mount: one for all, one at a time ("locked"), or one for each ("private")."""
        with ExitStack() as stack:
            origin = self._origin(mount)
            name = mount.id if origin is None else f"{mount.id}:{origin.name}"
            if mount.sharing == "locked":
                stack.enter_context(self._store.lock(f"cache-mount-use {name}"))
            elif mount.sharing == "private":
                name = self._free_cache(name, stack)
            owner = origin.entry if origin is not None and origin.entry is not None else mount
            directory = self._store.cache_mounts.directory(
                name,
                mode=owner.mode,
                uid=owner.uid,
                gid=owner.gid,
                initialise=None if origin is None else self._filler(origin, mount.source),
            )
            root = MountSpec("bind", os.fspath(directory), "", ("rbind",))
            source = "/" if origin is None else f"/{origin.file}"
            yield BindMount(mount.target, (root,), source, read_only=mount.read_only)

    def _free_cache(self, name: str, stack: ExitStack) -> str:
        """The first of `name`, `name#2`, … that nobody uses now; held until the stack closes."""
        number = 1
        while True:
            candidate = name if number == 1 else f"{name}#{number}"
            lock = f"cache-mount-use {candidate}"
            if stack.enter_context(self._store.locks.try_hold(lock)):
                return candidate
            number += 1

    def _origin(self, mount: CacheMount) -> Origin | None:
        """What a new cache starts with, when the mount says `from`."""
        if not mount.input:
            return None
        result = self._inputs[mount.input]
        tree = tree_of(self._store, result)
        if not isinstance(result, FileSystem):
            result = gather(self._store, tree, mount.source)
        name = "empty"
        if result.snapshot is not None:
            self._store.snapshots.finish([result.snapshot])
            chain_id = self._store.snapshots.get(result.snapshot).chain_id
            assert chain_id is not None
            name = chain_id.hex[:_SHORT_ID]
        resolved = tree.resolve(mount.source)
        entry = tree.lookup(resolved) if resolved else None
        if entry is None or entry.kind == "dir":
            return Origin(f"{name}{mount.source}", tree, entry)
        return Origin(f"{name}{mount.source}", tree, None, resolved.rpartition("/")[2])

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
