"""The mounts of a RUN step: what is put beside its root file system while it runs."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager

from tierce.errors import BuildError
from tierce.graph.ops import Bind, CacheMount, Secret, Tmpfs
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import BindMount, TmpfsMount
from tierce.runtime.container import SecretFile
from tierce.worker.caches import StepCaches
from tierce.worker.files import gather
from tierce.worker.results import FileSystem

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tierce.graph.ops import Mount, Ssh
    from tierce.store import Store
    from tierce.worker.agents import Agents
    from tierce.worker.context import LocalTree
    from tierce.worker.credentials import Credentials
    from tierce.worker.results import Result


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
        cancelled: threading.Event | None = None,
    ) -> None:
        """`agents` is called when the step wants one."""
        self._store = store
        self._inputs = inputs
        self._credentials = credentials
        self._agents = agents
        self._stack = ExitStack()
        self._caches = self._stack.enter_context(
            StepCaches(store, inputs, cancelled or threading.Event())
        )
        self.binds: list[BindMount | TmpfsMount] = []
        self.secrets: list[SecretFile] = []
        self.variables: list[str] = []

    def __enter__(self) -> StepMounts:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, mounts: Sequence[Mount]) -> None:
        """Open them, in their order. Raises BuildError, StoreError, Cancelled."""
        self._caches.lock([mount for mount in mounts if isinstance(mount, CacheMount)])
        for mount in mounts:
            if isinstance(mount, Bind):
                self.binds.append(self._bind(mount))
            elif isinstance(mount, CacheMount):
                self.binds.append(self._caches.open(mount))
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

    def cache_of(self, mount: CacheMount) -> tuple[str, str]:
        """What a cache is called in the store, and the path in it. Raises BuildError."""
        return self._caches.name(mount), self._caches.source(mount)

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
