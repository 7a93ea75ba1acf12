"""The files of snapshots: unpacking, mounting, measuring, viewing."""

from __future__ import annotations

from contextlib import contextmanager

import tierce.layer
from tierce.linux.mounts import MNT_DETACH, UMOUNT_NOFOLLOW, mount_spec, umount2
from tierce.store.failures import reported
from tierce.store.parallel import in_parallel
from tierce.store.snapshots.base import FS_NAME, IMAGE_NAME, LAYER, TREE, TREE_NAME, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from tierce.layer.entry import Entry
    from tierce.layer.live import LiveLayer
    from tierce.layer.pipeline import Sink
    from tierce.layer.sources import IndexLayer, LayerSource
    from tierce.layer.view import MergedView, Tree
    from tierce.linux.mounts import MountSpec
    from tierce.oci.digest import Digest
    from tierce.store.database import Database
    from tierce.store.durability import Durability
    from tierce.store.layers import Layers
    from tierce.store.locks import Locks
    from tierce.store.paths import Paths
    from tierce.store.snapshots.base import LayerDirectories, Measured, Snapshot, Snapshotter
    from tierce.store.snapshots.contents import SnapshotContents
    from tierce.store.snapshots.images import LayerImages
    from tierce.store.trash import Trash


_UNPACKERS = 4
"""Layers that are unpacked at once: the disk and the processors take turns in each."""


class SnapshotFiles:
    """What `Snapshots` does to files. Chains have the lowest layer first, paths the topmost."""

    def __init__(
        self,
        database: Database,
        paths: Paths,
        locks: Locks,
        trash: Trash,
        durability: Durability,
        layers: Callable[[], Layers],
        contents: SnapshotContents,
        images: LayerImages,
        snapshotter: Snapshotter,
    ) -> None:
        self._database = database
        self._paths = paths
        self._locks = locks
        self._trash = trash
        self._durability = durability
        self._layers = layers
        self._contents = contents
        self._images = images
        self._snapshotter = snapshotter

    def has_tar(self, diff_id: Digest) -> bool:
        """Whether a layer can be had as a tar."""
        return self._layers().has(diff_id)

    def trusted(self, layer: Snapshot, boot: str | None) -> bool:
        """Whether a directory is what was written to it; see `SnapshotContents.trusted`."""
        return self._contents.trusted(layer.id, layer.diff_id, boot)

    def prepare(self, number: int, parent: Snapshot | None) -> None:
        place = None if parent is None else self._place(parent)
        with reported(f"prepare snapshot {number}"):
            self._snapshotter.prepare(self._paths.snapshot(number), place)

    def commit(self, number: int, parents: Sequence[Snapshot]) -> tuple[int, str]:
        """The form of what was written, and the boot during which it was."""

        def below() -> MergedView:
            return tierce.layer.MergedView([self._ready_source(layer) for layer in parents])

        with reported(f"commit snapshot {number}"):
            self._snapshotter.commit(self._paths.snapshot(number), below if parents else None)
        return self._snapshotter.form, self._durability.boot

    def reopen(self, number: int) -> None:
        """Nobody has this prepared snapshot mounted, and it can be mounted again."""
        with reported(f"reopen snapshot {number}"):
            self._snapshotter.reopen(self._paths.snapshot(number))

    def remove(self, number: int) -> None:
        if self._trash.throw(self._paths.snapshot(number)):
            self._trash.empty()

    def measure(self, numbers: Sequence[int], look: Callable[[int], Sink | None]) -> list[Measured]:
        return in_parallel(lambda number: self._contents.measure(number, look(number)), numbers)

    def clamp(self, layer: Snapshot, epoch: int) -> Measured | None:
        """The layer written again as a tar with no time after `epoch`; None if it has none."""
        assert layer.diff_id is not None
        return self._layers().clamp(layer.diff_id, epoch)

    def unpack(self, chain: Sequence[Snapshot]) -> None:
        """Have all layers in directories."""
        missing = self._not_unpacked(chain)
        if self._snapshotter.form == LAYER:
            in_parallel(self._unpack_layer, missing, workers=_UNPACKERS)
        elif missing and missing[-1][-1].id == chain[-1].id:
            self._unpack_tree(chain)

    def make_ready(self, chain: Sequence[Snapshot]) -> None:
        """Have all layers where they can be mounted from: in directories, or in images."""
        if self._snapshotter.takes_images:
            in_parallel(self._ready_layer, self._not_unpacked(chain), workers=_UNPACKERS)
        else:
            self.unpack(chain)

    def mounts(
        self, active: int | None, layers: Sequence[Snapshot], *, read_only: bool
    ) -> list[MountSpec]:
        """What to mount to see layers, the topmost first, and what is being written upon them."""
        places = [self._place(layer) for layer in layers]
        if active is not None:
            places.insert(0, Place(self._paths.snapshot(active)))
        return self._snapshotter.mounts(places[0], places[1:], read_only=read_only)

    @contextmanager
    def mounted(self, specs: Sequence[MountSpec], target: Path) -> Iterator[None]:
        done = 0
        try:
            for spec in specs:
                place = f"{target}/{spec.target}" if spec.target else str(target)
                with reported(f"mount snapshot at {place}"):
                    mount_spec(spec, place)
                done += 1
            yield
        finally:
            for spec in reversed(specs[:done]):
                place = f"{target}/{spec.target}" if spec.target else str(target)
                with reported(f"unmount snapshot from {place}"):
                    _unmount(place)

    def directories(self, numbers: Sequence[int]) -> LayerDirectories:
        top, *parents = self._directories(numbers)
        return self._snapshotter.directories(top, parents)

    def writable(self, number: int) -> str:
        """The directory with the files of a writable layer."""
        name = FS_NAME if self._snapshotter.form == LAYER else TREE_NAME
        return str(self._paths.snapshot(number) / name)

    def live(self, number: int, hidden: Collection[str], deleted: Collection[str]) -> LiveLayer:
        """The files of a writable layer, while somebody may be writing to them."""
        return tierce.layer.LiveLayer(
            self.writable(number),
            overlay_whiteouts=self._snapshotter.form == LAYER,
            hidden=hidden,
            deleted=deleted,
        )

    def view(
        self,
        chain: Sequence[Snapshot],
        *,
        upon: LiveLayer | None = None,
        beneath: Sequence[Entry] = (),
    ) -> Tree:
        sources: list[LayerSource] = []
        if upon is not None and not upon.overlay:
            chain = ()  # it has all that is beneath
        for place in range(len(chain) - 1, -1, -1):
            layer = chain[place]
            forms = self._forms(layer.id)
            if layer.diff_id is not None and self._layers().indexed(layer.diff_id):
                sources.append(self._index_layer(layer.diff_id, chain[: place + 1]))
            elif forms & LAYER:
                sources.append(
                    tierce.layer.DirectoryLayer(str(self._paths.snapshot(layer.id) / FS_NAME))
                )
            elif forms & TREE:
                # It has all that is beneath.
                tree = str(self._paths.snapshot(layer.id) / TREE_NAME)
                sources.append(tierce.layer.DirectoryLayer(tree, overlay_whiteouts=False))
                break
            elif layer.diff_id is not None:
                sources.append(self._index_layer(layer.diff_id, chain[: place + 1]))
        if beneath:
            index = tierce.layer.LayerIndex.of(beneath)
            sources.append(tierce.layer.IndexLayer(index, ""))
        sources.reverse()
        if upon is not None:
            sources.append(upon)
        return tierce.layer.MergedView(sources)

    def _index_layer(self, diff_id: Digest, chain: Sequence[Snapshot] = ()) -> IndexLayer:
        """A layer by its index; with all that it stands on, it is unpacked if it must be."""
        return tierce.layer.IndexLayer(
            lambda: self._layers().index(diff_id),
            lambda: str(self._layers().ensure_tar(diff_id)),
            (lambda: self._unpacked_path(chain)) if chain else None,
        )

    def _unpacked_path(self, chain: Sequence[Snapshot]) -> str:
        """The directory with the files of the topmost of some layers, unpacked for this."""
        self.unpack(chain)
        name = FS_NAME if self._snapshotter.form == LAYER else TREE_NAME
        return str(self._paths.snapshot(chain[-1].id) / name)

    def _not_unpacked(self, chain: Sequence[Snapshot]) -> list[Sequence[Snapshot]]:
        """Each layer that has no directory of the snapshotter's form, with what it stands on."""
        form = self._snapshotter.form
        return [
            chain[: place + 1]
            for place, layer in enumerate(chain)
            if not self._forms(layer.id) & form
        ]

    def _unpack_layer(self, chain: Sequence[Snapshot]) -> None:
        *parents, layer = chain
        with self._locks.hold(f"snapshot {layer.id}"):
            if not self._forms(layer.id) & LAYER:
                self._unpack_alone(layer, self._below(parents, self._unpack_layer))

    def _ready_layer(self, chain: Sequence[Snapshot]) -> None:
        *parents, layer = chain
        if self._images.find(layer.id, layer.diff_id) is not None:
            return
        with self._locks.hold(f"snapshot {layer.id}"):
            if self._forms(layer.id) & LAYER or self._images.find(layer.id, layer.diff_id):
                return
            assert layer.diff_id is not None
            below = self._below(parents, self._ready_layer)
            made = self._images.worthwhile(layer.diff_id) and self._images.make(
                layer.id, layer.diff_id, below
            )
            if not made:
                self._unpack_alone(layer, below)

    def _unpack_alone(self, layer: Snapshot, below: _Below | None) -> None:
        assert layer.diff_id is not None
        with self._layers().open_tar(layer.diff_id) as tar:
            self._unpack(layer.id, None, [tar], below)

    def _below(
        self, parents: Sequence[Snapshot], have: Callable[[Sequence[Snapshot]], None]
    ) -> _Below | None:
        """What the ancestors of a layer have, once `have` was called for each that needs it.

        A layer's lock is held while those beneath are waited for, never the other way round.
        """

        def view() -> Tree:
            for each in self._not_unpacked(parents):
                have(each)
            return tierce.layer.MergedView([self._ready_source(layer) for layer in parents])

        def root() -> Entry:
            have(parents)
            return self._root_of(parents[-1])

        return _Below(view, root) if parents else None

    def _root_of(self, layer: Snapshot) -> Entry:
        place = self._place(layer)
        with reported(f"read snapshot {layer.id}"):
            if place.image is not None:
                return tierce.layer.read_root(place.image.file)
            return tierce.layer.root_entry(str(place.directory / FS_NAME))

    def _ready_source(self, layer: Snapshot) -> LayerSource:
        """A layer to look into that is in a directory or in an image, which has an index."""
        if self._forms(layer.id) & LAYER:
            return tierce.layer.DirectoryLayer(str(self._paths.snapshot(layer.id) / FS_NAME))
        assert layer.diff_id is not None
        return self._index_layer(layer.diff_id)

    def _unpack_tree(self, chain: Sequence[Snapshot]) -> None:
        top = chain[-1]
        with self._locks.hold(f"snapshot {top.id}"):
            if self._forms(top.id) & TREE:
                return
            base = None
            above = list(chain)
            for place in range(len(chain) - 2, -1, -1):
                if self._forms(chain[place].id) & TREE:
                    base = self._paths.snapshot(chain[place].id)
                    above = above[place + 1 :]
                    break
            self._unpack(top.id, base, self._tars(above), None)

    def _tars(self, layers: Sequence[Snapshot]) -> Iterator[BinaryIO]:
        for layer in layers:
            assert layer.diff_id is not None
            with self._layers().open_tar(layer.diff_id) as tar:
                yield tar

    def _unpack(
        self,
        number: int,
        base: Path | None,
        tars: Iterable[BinaryIO],
        below: Callable[[str], Entry | None] | None,
    ) -> None:
        directory = self._paths.snapshot(number)
        self._clear(number)  # what a killed process has left half done
        try:
            with reported(f"unpack snapshot {number}"):
                self._snapshotter.unpack(directory, base, tars, below)
        except BaseException:
            self._clear(number)
            self._trash.empty()
            raise
        self._database.execute(
            "UPDATE snapshots SET forms = forms | ?, boot = ? WHERE id = ?",
            (self._snapshotter.form, self._durability.boot, number),
        )

    def _clear(self, number: int) -> None:
        """Throws away the directory of this snapshotter's form.

        That of another one stays, and so does an image, which may be about to be mounted.
        """
        directory = self._paths.snapshot(number)
        if self._forms(number) or (directory / IMAGE_NAME).exists():
            directory /= FS_NAME if self._snapshotter.form == LAYER else TREE_NAME
        self._trash.throw(directory)

    def _forms(self, number: int) -> int:
        row = self._database.one("SELECT forms FROM snapshots WHERE id = ?", (number,))
        return 0 if row is None else int(row[0])

    def _directories(self, numbers: Sequence[int]) -> list[Path]:
        return [self._paths.snapshot(number) for number in numbers]

    def _place(self, layer: Snapshot) -> Place:
        image = None
        if not self._forms(layer.id) & self._snapshotter.form:
            image = self._images.find(layer.id, layer.diff_id)
        return Place(self._paths.snapshot(layer.id), image)


class _Below:
    """What the ancestors of a layer that is being unpacked have at a path.

    Waits for them to be unpacked or mountable, so that no index is made for this alone; the
    root, which most layers have no entry for, is asked of the nearest one.
    """

    def __init__(self, view: Callable[[], Tree], root: Callable[[], Entry]) -> None:
        self._view = view
        self._root = root
        self._tree: Tree | None = None

    def __call__(self, path: str) -> Entry | None:
        if not path:
            return self._root()
        if self._tree is None:
            self._tree = self._view()
        return self._tree.lookup(path)


def _unmount(target: str) -> None:
    try:
        umount2(target, UMOUNT_NOFOLLOW)
    except OSError:
        # Somebody has a file open in it; it goes when they are done.
        umount2(target, UMOUNT_NOFOLLOW | MNT_DETACH)
