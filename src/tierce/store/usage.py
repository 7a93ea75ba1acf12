"""Where the bytes of a store are: `system df`.

Bytes on disk are counted as du(1) does, by blocks, a file with several names once; the parts
add up to what du says of the root. Sizes of images and records are those of their layers' files,
as in every listing: what two of them share counts in both.
"""

from __future__ import annotations

import os

from tierce.oci.digest import Digest
from tierce.store.images import Image
from tierce.store.trash import disk_usage
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tierce.store.store import Store


class Part(Value):
    """One line of `df`: how many there are, how many are in use; bytes on disk.

    `reclaimable` is what removing those that are not in use would free.
    """

    total: int
    active: int
    size: int
    reclaimable: int


class ImageUsage(Value):
    """`size` in bytes of its layers' files; `shared` of those that other images have too.

    `unique` is the rest, `containers` how many use it.
    """

    image: Image
    size: int
    shared: int
    unique: int
    containers: int


class Usage(Value):
    """The parts, and `other`: database, logs, reports, trash, and what has no row."""

    images: Part
    containers: Part
    volumes: Part
    build_cache: Part
    cache_mounts: Part
    other: int
    size: int
    """All together: what `du` says of the root, in bytes."""


def disk_usage_of(store: Store) -> Usage:
    """Walks the whole store. Raises StoreError."""
    items = Measurements(store)
    total = items.measure()
    images = items.images()
    containers = items.containers()
    volumes = items.volumes()
    cache = items.build_cache()
    mounts = items.cache_mounts()
    known = images.size + containers.size + volumes.size + cache.size + mounts.size
    return Usage(images, containers, volumes, cache, mounts, total - known, total)


def image_usage(store: Store) -> Sequence[ImageUsage]:
    """Every image with what it shares, in the order of `Images.list`."""
    images = store.images.list()
    layers = {image.config: _layers_of(store, image) for image in images}
    owners: dict[str, int] = {}
    for chain in layers.values():
        for diff_id, _ in chain:
            owners[diff_id] = owners.get(diff_id, 0) + 1
    using = dict(store.database.all("SELECT image, count(*) FROM containers GROUP BY image"))
    result = []
    for image in images:
        shared = sum(size for diff_id, size in layers[image.config] if owners[diff_id] > 1)
        count = using.get(str(image.config), 0)
        result.append(ImageUsage(image, image.size, shared, image.size - shared, count))
    return result


class Measurements:
    """The things on disk that have an owner, and their bytes, once they are measured."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store.database
        self._paths = store.paths
        self._sizes: dict[str, int] = {}

    def measure(self) -> int:
        """Measures everything once; returns the bytes of the whole root."""
        seen: set[tuple[int, int]] = set()
        total = 0
        paths = self._paths
        single = (
            paths.blobs,
            paths.indexes,
            paths.snapshots,
            paths.containers,
            paths.volumes,
            paths.cache_mounts,
            paths.contexts,
            paths.repositories,
        )
        for top in (paths.root, *single, *_children(paths.blobs), *_children(paths.indexes)):
            if top in {paths.repositories, paths.volumes} and not os.path.lexists(top):
                continue  # in a store that has never had any
            total += os.lstat(top).st_blocks * 512
            for child in _children(top):
                if child in single or child.parent in (paths.blobs, paths.indexes):
                    continue
                size = disk_usage(child, seen)
                self._sizes[str(child)] = size
                total += size
        return total

    def images(self) -> Part:
        rows = self._database.all("SELECT config, manifest FROM images")
        used = {config for (config,) in self._database.all("SELECT DISTINCT image FROM containers")}
        everything = self._owned_by_images("SELECT manifest FROM images")
        in_use = self._owned_by_images(
            "SELECT manifest FROM images WHERE config IN (SELECT image FROM containers)"
        )
        configs = {config for config, _ in rows}
        size = self.sum(everything)
        return Part(len(configs), len(configs & used), size, size - self.sum(in_use))

    def containers(self) -> Part:
        rows = self._database.all("SELECT id, snapshot, running FROM containers")
        size = free = 0
        for identifier, snapshot, running in rows:
            paths = {str(self._paths.container(identifier))}
            if snapshot is not None:
                paths.add(str(self._paths.snapshot(snapshot)))
            size += self.sum(paths)
            free += 0 if running else self.sum(paths)
        return Part(len(rows), sum(row[2] for row in rows), size, free)

    def volumes(self) -> Part:
        used = self._store.volumes.used()
        names = [volume.name for volume in self._store.volumes.list()]
        paths = {name: str(self._paths.volume(name)) for name in names}
        free = {path for name, path in paths.items() if name not in used}
        size = self.sum(set(paths.values()))
        return Part(len(paths), len(paths) - len(free), size, self.sum(free))

    def build_cache(self) -> Part:
        oldest = self._store.leases.oldest_living() or 1 << 62
        everything = self.layer_paths() - self.shared_paths()
        everything |= {str(path) for path in _children(self._paths.contexts)}
        everything |= {str(path) for path in _children(self._paths.repositories)}
        row = self._database.one(
            "SELECT count(*), coalesce(sum(lease >= ?), 0) FROM records", (oldest,)
        )
        total, active = row if row is not None else (0, 0)
        size = self.sum(everything)
        return Part(total, active, size, 0 if active else size)

    def cache_mounts(self) -> Part:
        oldest = self._store.leases.oldest_living() or 1 << 62
        rows = self._database.all("SELECT id, lease >= ? FROM cache_mounts", (oldest,))
        paths = {str(self._paths.cache_mount(number)): active for number, active in rows}
        free = self.sum({path for path, active in paths.items() if not active})
        return Part(len(rows), sum(paths.values()), self.sum(set(paths)), free)

    def shared_paths(self) -> set[str]:
        """What images and containers have."""
        taken = self._owned_by_images("SELECT manifest FROM images")
        return taken | {
            str(self._paths.snapshot(number))
            for (number,) in self._database.all(
                "SELECT snapshot FROM containers WHERE snapshot IS NOT NULL"
            )
        }

    def paths_of(self, snapshot: int, diff_id: Digest | None) -> set[str]:
        """What there may be of a layer: its directories, its tar in any compression, its index."""
        paths = {str(self._paths.snapshot(snapshot))}
        if diff_id is not None:
            blobs = {diff_id, *self._store.blobs.by_diff_id(diff_id)}
            paths |= {str(self._paths.blob(digest)) for digest in blobs}
            paths.add(str(self._paths.index(diff_id)))
        return paths

    def _owned_by_images(self, manifests: str) -> set[str]:
        """Paths of blobs, indexes and snapshots that these images need."""
        digests = self._database.all(
            f"WITH chosen AS ({manifests}),"
            " layers AS (SELECT digest, diff_id FROM image_layers WHERE manifest IN chosen)"
            " SELECT manifest FROM images WHERE manifest IN chosen"
            " UNION SELECT config FROM images WHERE manifest IN chosen"
            " UNION SELECT digest FROM layers UNION SELECT diff_id FROM layers"
            " UNION SELECT digest FROM blobs WHERE diff_id IN (SELECT diff_id FROM layers)"
            " UNION SELECT image_index FROM index_manifests WHERE manifest IN chosen"
        )
        paths = set()
        for (text,) in digests:
            digest = Digest.parse(text)
            paths |= {str(self._paths.blob(digest)), str(self._paths.index(digest))}
        numbers = self._database.all(
            f"WITH RECURSIVE chosen AS ({manifests}), chain AS ("
            " SELECT snapshots.id, parent FROM snapshots JOIN images USING (chain_id)"
            " WHERE manifest IN chosen UNION SELECT snapshots.id, snapshots.parent"
            " FROM snapshots JOIN chain ON snapshots.id = chain.parent) SELECT id FROM chain"
        )
        return paths | {str(self._paths.snapshot(number)) for (number,) in numbers}

    def layer_paths(self) -> set[str]:
        """Paths of all layers that have a row: those of no image are build cache."""
        numbers = self._database.all("SELECT id FROM snapshots")
        paths = {str(self._paths.snapshot(number)) for (number,) in numbers}
        for row in self._database.all(
            "SELECT digest FROM blobs UNION SELECT diff_id FROM snapshots"
            " WHERE diff_id IS NOT NULL UNION SELECT diff_id FROM blobs WHERE diff_id IS NOT NULL"
        ):
            digest = Digest.parse(row[0])
            paths |= {str(self._paths.blob(digest)), str(self._paths.index(digest))}
        return paths

    def sum(self, paths: set[str]) -> int:
        """Bytes on disk of these paths, as they were measured."""
        return sum([self._sizes.get(path, 0) for path in paths])


def _layers_of(store: Store, image: Image) -> list[tuple[str, int]]:
    """Diff id and bytes of the files of each layer."""
    rows = store.database.all(
        "SELECT diff_id, coalesce("
        " (SELECT max(size) FROM snapshots WHERE snapshots.diff_id = image_layers.diff_id),"
        " (SELECT size FROM blobs WHERE blobs.digest = image_layers.digest), 0)"
        " FROM image_layers WHERE manifest = ? ORDER BY position",
        (str(image.manifest),),
    )
    return [(diff_id, size) for diff_id, size in rows]


def _children(directory: Path) -> list[Path]:
    try:
        return [directory / name for name in sorted(os.listdir(directory))]
    except (FileNotFoundError, NotADirectoryError):
        return []
