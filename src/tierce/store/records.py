"""The build cache: which snapshot each step made, found by any of several keys.

What a key or a record's components mean is the solver's business; here they are text and bytes.
"""

from __future__ import annotations

import time

from tierce.errors import NotFound
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from tierce.store.database import Database
    from tierce.store.leases import Leases


class Record(Value):
    """The result of a step: `snapshot` is its number, None for the empty file system.

    `key` is the record's own; `name` is for people; times in seconds since the epoch; `uses`
    counts the times it was found. What went into the key may be large, and is read by itself:
    see `Records.components`.
    """

    id: int
    key: str
    snapshot: int | None
    name: str
    created: float
    last_used: float
    uses: int

    @property
    def origin(self) -> None:
        """Results of the store are here: there is nowhere to fetch them from."""


_COLUMNS = (
    "records.id, records.key, records.snapshot, records.name, records.created,"
    " records.last_used, records.uses"
)


class Records:
    """The cache records of a store.

    `use` protects the snapshot with a number, and says whether its files can still be had.
    """

    def __init__(self, database: Database, leases: Leases, use: Callable[[int], bool]) -> None:
        self._database = database
        self._leases = leases
        self._use = use

    def find(self, keys: Sequence[str]) -> Record | None:
        """The record of the first key that has one, or None.

        What is found is protected by the current lease, and its use is counted.
        """
        for key in keys:
            row = self._database.one(
                f"SELECT {_COLUMNS} FROM record_keys JOIN records ON records.id = record"
                " WHERE record_keys.key = ?",
                (key,),
            )
            if row is None:
                continue
            record = Record(*row)
            if record.snapshot is not None and not self._use(record.snapshot):
                self.remove(record.id)
                continue
            # gc may have taken it between the two statements; then there is nothing to update.
            if self._database.execute(
                "UPDATE records SET uses = uses + 1, last_used = ?, lease = max(lease, ?)"
                " WHERE id = ?",
                (time.time(), self._leases.current, record.id),
            ).rowcount:
                return record
        return None

    def has(self, key: str) -> bool:
        """Whether a key finds a record. Not counted as a use, and nothing is protected."""
        return self._database.one("SELECT 1 FROM record_keys WHERE key = ?", (key,)) is not None

    def add(
        self, keys: Sequence[str], snapshot: int | None, name: str, components: bytes = b""
    ) -> Record:
        """Remember a result under its own key, the first, and others that shall find it too.

        A key that found another record finds this one from now on; a record that no key finds
        any more is dropped. Raises NotFound for a snapshot that is not there.
        """
        now = time.time()
        with self._database.transaction():
            if snapshot is not None:
                exists = self._database.one("SELECT 1 FROM snapshots WHERE id = ?", (snapshot,))
                if exists is None:
                    raise NotFound("snapshot", str(snapshot))
            number = self._database.execute(
                "INSERT INTO records (key, snapshot, name, created, last_used, lease)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (keys[0], snapshot, name, now, now, self._leases.current),
            ).lastrowid
            assert number is not None
            if components:
                self._database.execute(
                    "INSERT INTO record_components (record, components) VALUES (?, ?)",
                    (number, components),
                )
            self._attach(keys, number)
        return Record(number, keys[0], snapshot, name, now, now, 0)

    def add_keys(self, number: int, keys: Sequence[str]) -> None:
        """Let more keys find a record. Raises NotFound."""
        with self._database.transaction():
            self.get(number)
            self._attach(keys, number)

    def get(self, number: int) -> Record:
        """The record with this number. Raises NotFound."""
        row = self._database.one(f"SELECT {_COLUMNS} FROM records WHERE id = ?", (number,))
        if row is None:
            raise NotFound("cache record", str(number))
        return Record(*row)

    def keys(self, number: int) -> Sequence[str]:
        """The keys that find a record, sorted."""
        rows = self._database.all(
            "SELECT key FROM record_keys WHERE record = ? ORDER BY key", (number,)
        )
        return [key for (key,) in rows]

    def newest(self) -> int:
        """The number of the newest record; every later one is higher."""
        row = self._database.one("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
        return 0 if row is None else int(row[0])

    def components(self, number: int) -> bytes:
        """What went into the key of a record, as it was given; nothing when nothing was."""
        row = self._database.one(
            "SELECT components FROM record_components WHERE record = ?", (number,)
        )
        return b"" if row is None else bytes(row[0])

    def nearest(self, prefix: str, limit: int = 8) -> Sequence[Record]:
        """Records that a key with this beginning finds, the most recently used first."""
        rows = self._database.all(
            f"SELECT DISTINCT {_COLUMNS} FROM record_keys JOIN records ON records.id = record"
            " WHERE record_keys.key >= ? AND record_keys.key < ?"
            " ORDER BY records.last_used DESC, records.id DESC LIMIT ?",
            (prefix, prefix + "\U0010ffff", limit),
        )
        return [Record(*row) for row in rows]

    def named(self, name: str, limit: int = 8) -> Sequence[Record]:
        """Records of steps with this name, the most recently used first."""
        return self._select("WHERE name = ? ORDER BY last_used DESC, id DESC LIMIT ?", name, limit)

    def list(self) -> Sequence[Record]:
        """All records, oldest first."""
        return self._select("ORDER BY id")

    def remove(self, number: int) -> bool:
        """Drop a record and its keys, not its snapshot; says whether it was there."""
        removed = self._database.execute("DELETE FROM records WHERE id = ?", (number,)).rowcount
        return bool(removed)

    def _select(self, condition: str, *parameters: Any) -> Sequence[Record]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM records {condition}", parameters)
        return [Record(*row) for row in rows]

    def _attach(self, keys: Sequence[str], number: int) -> None:
        for key in keys:
            old = self._database.one("SELECT record FROM record_keys WHERE key = ?", (key,))
            if old is not None and old[0] == number:
                continue
            self._database.execute(
                "INSERT OR REPLACE INTO record_keys (key, record) VALUES (?, ?)", (key, number)
            )
            if old is not None:
                self._database.execute(
                    "DELETE FROM records WHERE id = ?1"
                    " AND NOT EXISTS (SELECT 1 FROM record_keys WHERE record = ?1)",
                    old,
                )
