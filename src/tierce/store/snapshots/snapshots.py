"""The snapshots of a store: which there are, and what each stands on."""

from __future__ import annotations

import time
from contextlib import contextmanager

from tierce.errors import NotFound, StoreError
from tierce.oci.config import chain_ids
from tierce.oci.digest import Digest
from tierce.store.snapshots.base import Active, LayerDirectories, Measured, Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from tierce.layer.entry import Entry
    from tierce.layer.live import LiveLayer
    from tierce.layer.pipeline import Sink
    from tierce.layer.view import Tree
    from tierce.linux.mounts import MountSpec
    from tierce.store.blobs import Blobs
    from tierce.store.database import Database
    from tierce.store.durability import Durability
    from tierce.store.leases import Leases
    from tierce.store.snapshots.files import SnapshotFiles

_COLUMNS = "id, parent, diff_id, chain_id, forms, size, tar_size, created"
_CHAIN = f"""
    WITH RECURSIVE chain AS (
        SELECT {_COLUMNS}, boot, 0 AS depth FROM snapshots WHERE id = ? AND NOT active
        UNION ALL
        SELECT {", ".join("snapshots." + column for column in _COLUMNS.split(", "))},
            snapshots.boot, depth + 1
        FROM snapshots JOIN chain ON snapshots.id = chain.parent
    )
"""


class Snapshots:
    """The snapshots of a store.

    A snapshot that is made, found or committed is protected by the current lease, and so is all
    that it stands on.
    """

    def __init__(
        self,
        database: Database,
        leases: Leases,
        durability: Durability,
        blobs: Blobs,
        files: Callable[[], SnapshotFiles],
    ) -> None:
        self._database = database
        self._leases = leases
        self._durability = durability
        self._blobs = blobs
        self._files = files
        self._usable: set[int] = set()

    # Which there are

    def get(self, number: int) -> Snapshot:
        """The committed snapshot with this number. Raises NotFound."""
        row = self._database.one(
            f"SELECT {_COLUMNS} FROM snapshots WHERE id = ? AND NOT active", (number,)
        )
        if row is None:
            raise NotFound("snapshot", str(number))
        return _snapshot(row)

    def chain(self, number: int) -> Sequence[Snapshot]:
        """A snapshot and all it stands on, the lowest first. Raises NotFound."""
        rows = self._database.all(f"{_CHAIN} SELECT * FROM chain ORDER BY depth DESC", (number,))
        if not rows:
            raise NotFound("snapshot", str(number))
        return [_snapshot(row) for row in rows]

    def list(self) -> Sequence[Snapshot]:
        """All committed snapshots, oldest first."""
        rows = self._database.all(f"SELECT {_COLUMNS} FROM snapshots WHERE NOT active ORDER BY id")
        return [_snapshot(row) for row in rows]

    def exists(self, number: int) -> bool:
        """Whether the snapshot is here, and the files of all its layers can be had.

        What was not known to be on disk when the machine went down is verified now, once.
        """
        if number in self._usable:
            return True
        rows = self._database.all(f"{_CHAIN} SELECT * FROM chain ORDER BY depth DESC", (number,))
        if not rows:
            return False
        for row in rows:
            layer, boot = _snapshot(row), row[8]
            if layer.id not in self._usable and not self._can_be_had(layer, boot):
                return False
            self._usable.add(layer.id)
        return True

    def use(self, number: int) -> bool:
        """As `exists`, and protects the snapshot by the current lease."""
        return self._leases.mark_snapshot(number) and self.exists(number)

    def forget(self) -> None:
        """Look again, from now on, whether files are here."""
        self._usable.clear()

    # Making and finding

    def add_layer(
        self,
        parent: int | None,
        diff_id: Digest,
        *,
        size: int,
        tar_size: int,
        created: float | None = None,
    ) -> Snapshot:
        """A snapshot of a layer, whose tar is a blob here, upon a parent. Nothing is unpacked.

        `created` is when the layer was made, in seconds since 1970, by default now.
        Idempotent: the same layer upon the same parent is the same snapshot. Raises NotFound.
        """
        with self._database.transaction():
            row = self._database.one(
                f"SELECT {_COLUMNS} FROM snapshots"
                " WHERE parent IS ? AND diff_id = ? AND NOT active ORDER BY id LIMIT 1",
                (parent, str(diff_id)),
            )
            if row is not None:
                self._leases.mark_snapshot(row[0])
                return _snapshot(row)
            chain_id: Digest | None = diff_id
            if parent is not None:
                below = self.get(parent).chain_id
                chain_id = None if below is None else chain_ids((below, diff_id))[-1]
            number = self._insert(parent, diff_id, chain_id, size, tar_size, created)
        return self.get(number)

    def for_layers(self, diff_ids: Sequence[Digest]) -> Snapshot | None:
        """The snapshot of an image's layers, bottom first; None for no layers.

        Raises NotFound for a layer whose content is not here.
        """
        if not diff_ids:
            return None
        chain = chain_ids(list(diff_ids))
        top = self._by_chain_id(chain[-1])
        if top is not None and self.use(top.id):
            return top
        parent: int | None = None
        snapshot = None
        # The rows are made under one lease, not in one transaction: verifying takes time.
        with self._leases.ensure("find layers"):
            for diff_id, chain_id in zip(diff_ids, chain):
                snapshot = self._by_chain_id(chain_id)
                if snapshot is None or not self.use(snapshot.id):
                    size, tar_size = self._layer_sizes(diff_id)
                    snapshot = self.add_layer(parent, diff_id, size=size, tar_size=tar_size)
                    if not self.exists(snapshot.id):
                        raise NotFound("layer", str(diff_id))
                parent = snapshot.id
        return snapshot

    # Writing

    def prepare(self, parent: int | None) -> Active:
        """A writable layer upon a snapshot (None: upon nothing), made ready to be mounted.

        It is swept when its lease ends, unless it was committed or a container has it.
        Raises NotFound, StoreError, StoreFull, LayerError.
        """
        layer = None if parent is None else self._ready(parent)[0]
        with self._database.transaction():
            number = self._database.execute(
                "INSERT INTO snapshots (parent, active, created, lease) VALUES (?, 1, ?, ?)",
                (parent, time.time(), self._leases.current),
            ).lastrowid
            assert number is not None
        active = Active(number, parent)
        try:
            self._files().prepare(number, layer)
        except BaseException:
            self.discard(active)
            raise
        return active

    def commit(self, active: Active) -> Snapshot:
        """Make what was written a snapshot. Nobody may write to it any more, nor have it mounted.

        Its diff id is computed when something needs it, by `finish`. Raises NotFound, LayerError,
        StoreError.
        """
        parent = self.get_active(active.id).parent
        chain = () if parent is None else self.chain(parent)
        form, boot = self._files().commit(active.id, chain)
        committed = self._database.execute(
            "UPDATE snapshots SET active = 0, forms = ?, original = 1, boot = ?, created = ?,"
            " lease = max(lease, ?) WHERE id = ? AND active",
            (form, boot, time.time(), self._leases.current, active.id),
        )
        if not committed.rowcount:
            raise NotFound("active snapshot", str(active.id))
        return self.get(active.id)

    def discard(self, active: Active) -> None:
        """Throw away a writable layer with what was written to it. Idempotent."""
        # The files go first: they may be what fills the disk, so that no row can be deleted.
        self._files().remove(active.id)
        self._database.execute("DELETE FROM snapshots WHERE id = ? AND active", (active.id,))

    def get_active(self, number: int) -> Active:
        """The writable layer with this number. Raises NotFound."""
        row = self._database.one("SELECT parent FROM snapshots WHERE id = ? AND active", (number,))
        if row is None:
            raise NotFound("active snapshot", str(number))
        return Active(number, row[0])

    def finish(
        self,
        numbers: Sequence[int],
        look: Callable[[int], Sink | None] = lambda number: None,
    ) -> None:
        """Compute the diff ids that are missing in these snapshots and in all they stand on.

        Reads the layers, several at once; `look` may give a sink for the tar of one, by its
        number (see `write_layer`). Raises NotFound, LayerError, StoreError.
        """
        layers: dict[int, Snapshot] = {}
        for number in numbers:
            for layer in self.chain(number):
                layers[layer.id] = layer
        missing = [layer for layer in layers.values() if layer.diff_id is None]
        measured = self._files().measure([layer.id for layer in missing], look)
        with self._database.transaction():
            for layer, found in zip(missing, measured):
                self._database.execute(
                    "UPDATE snapshots SET diff_id = ?, tar_size = ?, size = ? WHERE id = ?",
                    (str(found.diff_id), found.tar_size, found.size, layer.id),
                )
            self._complete_chain_ids()

    def set_tar_size(self, diff_id: Digest, size: int) -> None:
        """Remember the bytes of a layer's plain tar, where they were not known. Idempotent."""
        self._database.execute(
            "UPDATE snapshots SET tar_size = ? WHERE diff_id = ? AND tar_size = 0",
            (size, str(diff_id)),
        )

    def clamp(self, chain: Sequence[Snapshot], inherited: int, epoch: int) -> Sequence[Snapshot]:
        """A chain (lowest first, diff ids known) in which no file is newer than `epoch`.

        The first `inherited` layers stay as they are; so do others that have nothing newer. The
        rest are written again, once: the same snapshots come back the next time. `epoch` is in
        seconds since 1970. Raises LayerError, StoreError, StoreFull.
        """
        result = list(chain[:inherited])
        for layer in chain[inherited:]:
            parent = result[-1].id if result else None
            result.append(self._clamp_layer(layer, parent, epoch))
        return result

    # Looking

    def unpack(self, number: int) -> None:
        """Have the files of a snapshot and of all it stands on in directories.

        Layers that are not unpacked yet are unpacked at the same time, each once whatever other
        threads and processes do. Raises NotFound, LayerError, StoreError, StoreFull.
        """
        self._unpacked(number)

    def mounts(self, snapshot: int | Active, *, read_only: bool = False) -> Sequence[MountSpec]:
        """What to mount to see the file system; the first target is the root.

        Nothing is mounted here, so that the caller can do it in a mount namespace that ends
        with it. Whatever protects the snapshot must do so until all is unmounted: files of layers
        may be read from their tars. Writing is for an Active. Raises NotFound, LayerError,
        StoreError.
        """
        if isinstance(snapshot, Active):
            parent = self.get_active(snapshot.id).parent
            layers: Sequence[Snapshot] = [] if parent is None else self._ready(parent)
            return self._files().mounts(snapshot.id, layers, read_only=read_only)
        if not read_only:
            raise StoreError(f"mount snapshot {snapshot}: only an active one can be written to")
        return self._files().mounts(None, self._ready(snapshot), read_only=True)

    @contextmanager
    def mounted(
        self, snapshot: int | Active, target: Path, *, read_only: bool = False
    ) -> Iterator[Path]:
        """Mount the file system at `target`, in the caller's mount namespace, for the block."""
        with self._files().mounted(self.mounts(snapshot, read_only=read_only), target):
            yield target

    def reopen(self, active: Active) -> None:
        """Have a writable layer mounted that was mounted before; nobody has it mounted now."""
        self._files().reopen(active.id)

    def directories(self, snapshot: int | Active) -> LayerDirectories:
        """The directories with the files of each layer, unpacked for this. Raises as `unpack`."""
        opened = []
        parent: int | None
        if isinstance(snapshot, Active):
            opened.append(snapshot.id)
            parent = self.get_active(snapshot.id).parent
        else:
            parent = snapshot
        if parent is not None:
            opened += [layer.id for layer in self._unpacked(parent)]
        return self._files().directories(opened)

    def view(
        self,
        number: int | None,
        *,
        upon: LiveLayer | None = None,
        beneath: Sequence[Entry] = (),
    ) -> Tree:
        """The file system without unpacking it; None is the empty one. Raises NotFound.

        `upon` it may be a layer that is being written, and `beneath` it entries of empty files.
        """
        if number is None:
            return self._files().view([], upon=upon, beneath=beneath)
        self._check_usable(number)
        return self._files().view(self.chain(number), upon=upon, beneath=beneath)

    def writable(self, active: Active) -> str:
        """The directory with the files of a writable layer."""
        return self._files().writable(active.id)

    def live(
        self, active: Active, *, hidden: Collection[str] = (), deleted: Collection[str] = ()
    ) -> LiveLayer:
        """The files of a writable layer while somebody may be writing; see `LiveLayer`.

        Raises LayerError.
        """
        return self._files().live(active.id, hidden, deleted)

    def _clamp_layer(self, layer: Snapshot, parent: int | None, epoch: int) -> Snapshot:
        row = self._database.one(
            "SELECT result FROM clamped WHERE snapshot = ? AND parent IS ? AND epoch = ?",
            (layer.id, parent, epoch),
        )
        if row is not None and self.use(row[0]):
            return self.get(row[0])
        with self._leases.ensure("clamp times"):
            rewritten = self._files().clamp(layer, epoch)
            if rewritten is None:
                if parent == layer.parent:
                    return layer
                assert layer.diff_id is not None
                rewritten = Measured(layer.diff_id, layer.tar_size, layer.size)
            snapshot = self.add_layer(
                parent, rewritten.diff_id, size=rewritten.size, tar_size=rewritten.tar_size
            )
            self._database.execute(
                "INSERT INTO clamped (snapshot, parent, epoch, result) VALUES (?, ?, ?, ?)",
                (layer.id, parent, epoch, snapshot.id),
            )
        return snapshot

    def _unpacked(self, number: int) -> Sequence[Snapshot]:
        """A snapshot and its ancestors, unpacked; the topmost first."""
        with self._leases.ensure("unpack snapshot"):
            self._check_usable(number)
            chain = self.chain(number)
            self._files().unpack(chain)
        return chain[::-1]

    def _ready(self, number: int) -> Sequence[Snapshot]:
        """A snapshot and its ancestors, ready to be mounted; the topmost first."""
        with self._leases.ensure("prepare layers"):
            self._check_usable(number)
            chain = self.chain(number)
            self._files().make_ready(chain)
        return chain[::-1]

    def _check_usable(self, number: int) -> None:
        if not self.use(number):
            self.get(number)
            raise StoreError(
                f"open snapshot {number}: files of its layers are lost",
                hint="run: tierce system check",
            )

    def _can_be_had(self, layer: Snapshot, boot: str | None) -> bool:
        # What works on files is loaded only where it must be asked.
        if layer.unpacked and (
            not self._durability.doubtful(boot) or self._files().trusted(layer, boot)
        ):
            return True
        if layer.diff_id is None:
            return False
        found = self._blobs.find_layer(layer.diff_id) is not None
        return found or self._files().has_tar(layer.diff_id)

    def _by_chain_id(self, chain_id: Digest) -> Snapshot | None:
        """The snapshot with this chain id, an unpacked one if there are several."""
        # SQLite takes a millisecond to get ready for its first sorting of a process.
        found = map(
            _snapshot,
            self._database.all(
                f"SELECT {_COLUMNS} FROM snapshots WHERE chain_id = ? AND NOT active",
                (str(chain_id),),
            ),
        )
        return min(found, key=lambda each: (not each.unpacked, each.id), default=None)

    def _insert(
        self,
        parent: int | None,
        diff_id: Digest,
        chain_id: Digest | None,
        size: int,
        tar_size: int,
        created: float | None,
    ) -> int:
        number = self._database.execute(
            "INSERT INTO snapshots (parent, diff_id, chain_id, size, tar_size, created, lease)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                parent,
                str(diff_id),
                None if chain_id is None else str(chain_id),
                size,
                tar_size,
                time.time() if created is None else created,
                self._leases.current,
            ),
        ).lastrowid
        assert number is not None
        return number

    def _layer_sizes(self, diff_id: Digest) -> tuple[int, int]:
        """Bytes of files and of the tar, as far as they are known without reading the layer."""
        row = self._database.one(
            "SELECT size, tar_size FROM snapshots WHERE diff_id = ? AND tar_size > 0 LIMIT 1",
            (str(diff_id),),
        )
        if row is not None:
            return row[0], row[1]
        blob = self._blobs.find(diff_id)
        return (0, 0) if blob is None else (blob.size, blob.size)

    def _complete_chain_ids(self) -> None:
        """Gives every snapshot its chain id whose own diff id and parent's chain id are known."""
        while rows := self._database.all(
            "SELECT child.id, child.diff_id, parent.chain_id FROM snapshots AS child"
            " LEFT JOIN snapshots AS parent ON parent.id = child.parent"
            " WHERE child.chain_id IS NULL AND child.diff_id IS NOT NULL"
            " AND (child.parent IS NULL OR parent.chain_id IS NOT NULL)"
        ):
            for number, diff_id, below in rows:
                links = [Digest.parse(link) for link in (below, diff_id) if link is not None]
                self._database.execute(
                    "UPDATE snapshots SET chain_id = ? WHERE id = ?",
                    (str(chain_ids(links)[-1]), number),
                )


def _snapshot(row: tuple[Any, ...]) -> Snapshot:
    number, parent, diff_id, chain_id, forms, size, tar_size, created = row[:8]
    return Snapshot(
        number,
        parent,
        None if diff_id is None else Digest.parse(diff_id),
        None if chain_id is None else Digest.parse(chain_id),
        bool(forms),
        size,
        tar_size,
        created,
    )
