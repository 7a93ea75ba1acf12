"""What may be trusted after a power cut.

Waiting for the disk costs seconds where a layer is large, and most layers are used within the
same boot, where the kernel's page cache is the truth. So only small blobs (manifests, configs)
are fsynced. Anything larger is written without waiting and its row keeps the boot id of that
moment. While the machine runs, that is as good as on disk. A row with another boot id says: this
may be what the disk had time for. Then it is verified before it is used, a blob by its digest,
a snapshot by its diff id, and the boot id is dropped when it proved sound: it was read from disk.
What cannot be verified, or fails, is treated as lost.

`settle` forestalls this: one syncfs(2) makes durable all that was written before it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tierce.store.database import Database
    from tierce.store.paths import Paths

SYNC_LIMIT = 1 << 20
"""Blobs of fewer bytes are fsynced when they are written."""


class Durability:
    """Knows this boot, and which rows are of another one."""

    def __init__(self, database: Database, paths: Paths) -> None:
        self._database = database
        self._paths = paths
        self._boot = ""

    @property
    def boot(self) -> str:
        """The kernel's id of this boot."""
        if not self._boot:
            with open("/proc/sys/kernel/random/boot_id", "rb") as file:
                self._boot = file.read().decode().strip()
        return self._boot

    def doubtful(self, boot: str | None) -> bool:
        """Whether a row with this boot id needs to be verified before it is used."""
        return boot is not None and boot != self.boot

    def settle(self) -> int:
        """Make durable all that was written in this boot; returns how many rows it was.

        Raises OSError when the disk cannot take it: then nothing is marked.
        """
        blobs = self._written("blobs", "digest")
        snapshots = self._written("snapshots", "id")
        if not blobs and not snapshots:
            return 0
        _syncfs(self._paths.root)
        with self._database.transaction():
            self._database.execute_many("UPDATE blobs SET boot = NULL WHERE digest = ?", blobs)
            self._database.execute_many("UPDATE snapshots SET boot = NULL WHERE id = ?", snapshots)
        return len(blobs) + len(snapshots)

    def _written(self, table: str, column: str) -> list[tuple[object, ...]]:
        # Named one by one: a row that appears during the sync is not covered by it.
        return self._database.all(f"SELECT {column} FROM {table} WHERE boot = ?", (self.boot,))


def _syncfs(path: Path) -> None:
    import ctypes  # 3 ms that only prune and check pay

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)
