"""Reads layers back out of the directories of snapshots."""

from __future__ import annotations

import tierce.layer
from tierce.errors import LayerError, NotFound
from tierce.oci.digest import Digest
from tierce.store.failures import reported
from tierce.store.snapshots.base import LAYER, TREE, Measured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tierce.layer.entry import Entry, Item
    from tierce.layer.pipeline import Sink
    from tierce.store.database import Database
    from tierce.store.durability import Durability
    from tierce.store.leases import Leases
    from tierce.store.paths import Paths
    from tierce.store.snapshots.base import Snapshotter
    from tierce.store.trash import Trash


class SnapshotContents:
    """The content of layers that are unpacked, in whichever form."""

    def __init__(
        self,
        database: Database,
        paths: Paths,
        trash: Trash,
        leases: Leases,
        durability: Durability,
        by_form: Mapping[int, Snapshotter],
    ) -> None:
        self._database = database
        self._paths = paths
        self._trash = trash
        self._leases = leases
        self._durability = durability
        self._by_form = by_form

    def find(self, diff_id: Digest) -> int | None:
        """A snapshot whose directory gives this layer's tar, and may be trusted.

        It is protected by the current lease: there may be several, of which others are garbage.
        """
        rows = self._database.all(
            "SELECT id, boot FROM snapshots WHERE diff_id = ? AND forms AND original AND NOT active"
            " ORDER BY lease DESC, id",
            (str(diff_id),),
        )
        for number, boot in rows:
            if (
                self._leases.mark_snapshot(number)
                and self.trusted(number, diff_id, boot)
                and self._form(number)
            ):
                return int(number)
        return None

    def items(self, number: int) -> Iterator[Item]:
        """The layer of a snapshot, sorted. Raises NotFound without a directory to read it from."""
        form = self._form(number)
        if not form:
            raise NotFound("directory of snapshot", str(number))
        parents = self._parents(number) if form == TREE else []
        return self._by_form[form].changes(self._paths.snapshot(number), parents)

    def readable(self, number: int) -> bool:
        """Whether the layer can be read from a directory."""
        return self._form(number) != 0

    def entries(self, number: int) -> list[Entry]:
        """The layer's entries with the digests of all files. Raises as `measure`."""
        with reported(f"read snapshot {number}"):
            return tierce.layer.write_layer(self.items(number), None).entries

    def measure(self, number: int, sink: Sink | None = None) -> Measured:
        """Reads all of a layer; `sink` gets its tar. Raises NotFound, LayerError, StoreError."""
        with reported(f"read snapshot {number}"):
            written = tierce.layer.write_layer(self.items(number), sink, hash_files=False)
        size = sum(entry.size for entry in written.entries)
        return Measured(written.diff_id, written.size, size)

    def trusted(self, number: int, diff_id: Digest | None, boot: str | None) -> bool:
        """Whether the directories of a snapshot are what was written to them.

        When they were not known to be on disk as the machine went down, the layer is read and
        compared with its diff id. What does not match, or has none, is thrown away.
        """
        if not self._durability.doubtful(boot):
            return True
        if diff_id is not None and self._matches(number, diff_id):
            self._database.execute("UPDATE snapshots SET boot = NULL WHERE id = ?", (number,))
            return True
        self._database.execute(
            "UPDATE snapshots SET forms = 0, boot = NULL WHERE id = ?", (number,)
        )
        self._trash.throw(self._paths.snapshot(number))
        return False

    def _matches(self, number: int, diff_id: Digest) -> bool:
        try:
            return self.measure(number).diff_id == diff_id
        except (LayerError, NotFound):
            return False

    def _form(self, number: int) -> int:
        """The form to read a layer from, or 0: a tree tells nothing without the parent's."""
        row = self._database.one(
            "SELECT snapshots.forms, coalesce(parent.forms, ?), snapshots.parent FROM snapshots"
            " LEFT JOIN snapshots AS parent ON parent.id = snapshots.parent"
            " WHERE snapshots.id = ?",
            (TREE, number),
        )
        if row is None:
            return 0
        forms, parent_forms, _ = row
        if forms & LAYER:
            return LAYER
        return TREE if forms & TREE and parent_forms & TREE else 0

    def _parents(self, number: int) -> list[Path]:
        row = self._database.one("SELECT parent FROM snapshots WHERE id = ?", (number,))
        return [] if row is None or row[0] is None else [self._paths.snapshot(row[0])]
