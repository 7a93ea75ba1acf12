"""Directories that outlive builds: RUN --mount=type=cache."""

from __future__ import annotations

import os
import time

from tierce.lean.path import Path
from tierce.store.failures import reported
from tierce.store.trash import remove_tree
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.store.database import Database
    from tierce.store.leases import Leases
    from tierce.store.locks import Locks
    from tierce.store.paths import Paths


class CacheMount(Value):
    """A cache: `number` names its directory; times in seconds since the epoch."""

    number: int
    name: str
    created: float
    last_used: float


class CacheMounts:
    """The cache mounts of a store, by the `id` that RUN --mount says.

    Who may use one at the same time as others is the caller's to arrange, with a lock.
    """

    def __init__(self, database: Database, paths: Paths, leases: Leases, locks: Locks) -> None:
        self._database = database
        self._paths = paths
        self._leases = leases
        self._locks = locks

    def directory(
        self,
        name: str,
        *,
        mode: int = 0o755,
        uid: int = 0,
        gid: int = 0,
        initialise: Callable[[Path], object] | None = None,
    ) -> Path:
        """The directory of a cache, protected by the current lease.

        A new one has this mode and owner, and then what `initialise` puts into it; if that
        fails, there is no cache.
        """
        with self._locks.hold(f"cache-mount {name}"):
            number = self._use(name)
            if number is None:
                number = self._make(name, mode, uid, gid, initialise)
        return self._paths.cache_mount(number)

    def list(self) -> Sequence[CacheMount]:
        """All caches, the least recently used first."""
        rows = self._database.all(
            "SELECT id, name, created, last_used FROM cache_mounts WHERE ready ORDER BY last_used"
        )
        return [CacheMount(*row) for row in rows]

    def remove(self, name: str) -> bool:
        """Forget a cache; `gc.collect` frees its directory. Says whether it was there."""
        statement = "DELETE FROM cache_mounts WHERE name = ?"
        return bool(self._database.execute(statement, (name,)).rowcount)

    def _use(self, name: str) -> int | None:
        row = self._database.one("SELECT id FROM cache_mounts WHERE name = ? AND ready", (name,))
        if row is None or not self._paths.cache_mount(row[0]).is_dir():
            return None
        marked = self._database.execute(
            "UPDATE cache_mounts SET last_used = ?, uses = uses + 1, lease = max(lease, ?)"
            " WHERE id = ?",
            (time.time(), self._leases.current, row[0]),
        )
        return int(row[0]) if marked.rowcount else None

    def _make(
        self,
        name: str,
        mode: int,
        uid: int,
        gid: int,
        initialise: Callable[[Path], object] | None,
    ) -> int:
        now = time.time()
        with self._database.transaction():
            # What a killed process left half made is not used again; gc frees it.
            self.remove(name)
            number = self._database.execute(
                "INSERT INTO cache_mounts (name, created, last_used, lease) VALUES (?, ?, ?, ?)",
                (name, now, now, self._leases.current),
            ).lastrowid
        assert number is not None
        path = self._paths.cache_mount(number)
        try:
            with reported(f"make cache mount {name}"):
                os.mkdir(path, 0o700)
                os.chown(path, uid, gid)
                os.chmod(path, mode)
            if initialise is not None:
                initialise(path)
        except BaseException:
            self.remove(name)
            remove_tree(path)
            raise
        self._database.execute("UPDATE cache_mounts SET ready = 1 WHERE id = ?", (number,))
        return number
