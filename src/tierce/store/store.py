"""A store: everything on disk, behind one object."""

from __future__ import annotations

import os
import threading

from tierce import store
from tierce.errors import StoreError
from tierce.store.database import Database
from tierce.store.failures import reported
from tierce.store.lazy import lazy
from tierce.store.paths import SYSTEM_RUN, Paths, default_root, default_run, is_privileged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tierce.store.blobs import Blobs
    from tierce.store.cache_mounts import CacheMounts
    from tierce.store.catalog import Catalog
    from tierce.store.containers import ContainerRows
    from tierce.store.durability import Durability
    from tierce.store.failed_steps import FailedSteps
    from tierce.store.gc import Collector, Freed
    from tierce.store.images import Images
    from tierce.store.layers import Layers
    from tierce.store.leases import Leases
    from tierce.store.locks import Locks
    from tierce.store.records import Records
    from tierce.store.snapshots.parts import Parts
    from tierce.store.snapshots.snapshots import Snapshots
    from tierce.store.transfers import Transfers
    from tierce.store.trash import Trash
    from tierce.store.volumes import Volumes


UNUSABLE = ":,\\"
"""Characters that separate paths and options of an overlay mount."""


class Store:
    """An open store. Its parts may be used from several threads; close it when they are done.

    Processes that share a store need not know of each other. Each part is made by its first use,
    and its module loaded: most commands need few of them.
    """

    def __init__(self, paths: Paths, database: Database) -> None:
        self.paths = paths
        self.database = database
        self._making = threading.RLock()
        self._closing: list[Callable[[], None]] = [database.close]

    @classmethod
    def open(cls, root: Path | str | None = None, run: Path | str | None = None) -> Self:
        """Open the store at `root`, making it if there is none.

        By default the root is $TIERCE_ROOT, /var/lib/tierce for root, else below $XDG_DATA_HOME;
        `run` follows from it. Raises StoreError: StoreVersion for a store of a newer tierce,
        which is left as it is, StoreFull without space to make one.
        """
        privileged = is_privileged(os.environ)
        chosen = os.fspath(root or default_root(os.environ, privileged=privileged))
        if not os.path.isabs(chosen):
            chosen = os.path.join(os.getcwd(), chosen)
        for character in UNUSABLE:
            if character in chosen:
                raise StoreError(
                    f"open store {chosen}: its path must not contain {character!r}",
                    hint="overlayfs takes the character for a separator; choose another --root",
                )
        with reported(f"open store {chosen}"):
            if not (paths := Paths(chosen, chosen)).exist():
                paths.create()
            networks = SYSTEM_RUN if privileged else ""
            run = run or default_run(chosen, os.environ, privileged=privileged)
            paths = Paths(chosen, run, networks)
            if not paths.run_exist():
                paths.create_run()
            return cls(paths, Database.open(paths.database, paths.turns, paths.reserve))

    @lazy
    def catalog(self) -> Catalog:
        """The images and their names, to look up."""
        return store.Catalog(self.database)

    @lazy
    def images(self) -> Images:
        """The images and their names, to look up and to change."""
        return store.Images(self.database, self.blobs, self.leases)

    @lazy
    def blobs(self) -> Blobs:
        """Content by its digest."""
        return store.Blobs(self.database, self.paths, self.leases, self.durability)

    @lazy
    def snapshots(self) -> Snapshots:
        """File systems made of layers."""
        return store.Snapshots(
            self.database, self.leases, self.durability, self.blobs, lambda: self.parts.files
        )

    @lazy
    def parts(self) -> Parts:
        """What works on layers and files."""
        return store.Parts(
            self.database,
            self.paths,
            self.leases,
            self.locks,
            self.trash,
            self.durability,
            self.blobs,
        )

    @lazy
    def layers(self) -> Layers:
        """The layers, by their diff ids."""
        return self.parts.layers

    @lazy
    def records(self) -> Records:
        """The build cache."""
        return store.Records(self.database, self.leases, self.snapshots.use)

    @lazy
    def containers(self) -> ContainerRows:
        """The containers."""
        return store.ContainerRows(self.database)

    @lazy
    def volumes(self) -> Volumes:
        """The volumes of containers."""
        return store.Volumes(self.database, self.paths, self.locks, self.trash)

    @lazy
    def failed_steps(self) -> FailedSteps:
        """The steps of builds that failed."""
        return store.FailedSteps(self.database, self.leases)

    def has_failed_steps(self) -> bool:
        """Whether a failed step is kept: asked by each build, most of which find none."""
        return self.database.one("SELECT 1 FROM failed_steps LIMIT 1") is not None

    @lazy
    def cache_mounts(self) -> CacheMounts:
        """The directories of RUN --mount=type=cache."""
        return store.CacheMounts(self.database, self.paths, self.leases, self.locks)

    @lazy
    def leases(self) -> Leases:
        """Who works on what, so that it is not collected meanwhile."""
        leases = store.Leases(self.database, self.paths.leases, self._sweep)
        self._closing.append(leases.close)
        return leases

    @lazy
    def durability(self) -> Durability:
        """What may be trusted after a power cut."""
        return store.Durability(self.database, self.paths)

    @lazy
    def locks(self) -> Locks:
        """Locks by name."""
        return store.Locks(self.paths.locks)

    @lazy
    def transfers(self) -> Transfers:
        """What was transferred in part."""
        return store.Transfers(self.paths.transfers, self.locks)

    @lazy
    def trash(self) -> Trash:
        """Where things go on their way out."""
        return store.Trash(self.paths.trash)

    def collect(self) -> Freed:
        """Remove what nothing refers to and nobody works on; see `gc`."""
        return self._collector().collect()

    def stray_files(self) -> Sequence[Path]:
        """Files that nothing refers to, as they are left by killed processes."""
        with self.database.transaction():
            return self._collector().strays()

    def close(self) -> None:
        """Close the store; what it gave out must not be used any more. Idempotent.

        SQLite then writes its log back, which waits for the disk; a process that is about to end
        may leave that to the next one and not close at all.
        """
        for close in self._closing:
            close()

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Hold the lock `key`, across threads and processes, while the block runs."""
        return self.locks.hold(key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _sweep(self, dead: Sequence[int]) -> None:
        self._collector().sweep(dead)

    def _collector(self) -> Collector:
        return store.Collector(self.database, self.paths, self.leases, self.trash)
