"""Puts together what works on layers and on the files of snapshots."""

from __future__ import annotations

import threading

from tierce import store
from tierce.store.lazy import lazy
from tierce.store.snapshots.contents import SnapshotContents
from tierce.store.snapshots.files import SnapshotFiles
from tierce.store.snapshots.images import LayerImages
from tierce.store.snapshots.probe import choose_snapshotter, snapshotters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.store.blobs import Blobs
    from tierce.store.database import Database
    from tierce.store.durability import Durability
    from tierce.store.layers import Layers
    from tierce.store.leases import Leases
    from tierce.store.locks import Locks
    from tierce.store.paths import Paths
    from tierce.store.snapshots.base import Snapshotter
    from tierce.store.trash import Trash


class Parts:
    """What works on the layers of one store; `snapshotter` makes new directories."""

    def __init__(
        self,
        database: Database,
        paths: Paths,
        leases: Leases,
        locks: Locks,
        trash: Trash,
        durability: Durability,
        blobs: Blobs,
    ) -> None:
        self.snapshotter: Snapshotter = choose_snapshotter(paths)
        by_form = {each.form: each for each in snapshotters(paths).values()}
        self.contents = contents = SnapshotContents(
            database, paths, trash, leases, durability, by_form
        )
        self._make_layers: Callable[[], Layers] = lambda: store.Layers(
            database, paths, leases, locks, blobs, contents
        )
        self._making = threading.RLock()
        images = LayerImages(paths, durability, blobs, lambda: self.layers)
        self.files = SnapshotFiles(
            *(database, paths, locks, trash, durability, lambda: self.layers, contents, images),
            self.snapshotter,
        )

    @lazy
    def layers(self) -> Layers:
        """The layers, by their diff ids."""
        return self._make_layers()
