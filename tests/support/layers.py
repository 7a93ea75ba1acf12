"""Layers and images to put into a store."""

from collections.abc import Mapping, Sequence

from tierce.layer.entry import Entry, sort_key
from tierce.layer.index import LayerIndex
from tierce.layer.writer import LayerResult, write_layer
from tierce.oci.config import ImageConfig
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from tierce.store import Store
from tierce.store.images import Image
from tierce.store.snapshots import Snapshot

MTIME_NS = 1_600_000_000_000_000_000


def put_layer(store: Store, files: Mapping[str, bytes | Entry]) -> LayerResult:
    """A layer of files by path, as a tar among the blobs; an Entry stands for anything else.

    Directories are entered for all parents, mode 755.
    """
    entries: dict[str, tuple[Entry, bytes | None]] = {}
    for path, content in files.items():
        parent = path.rpartition("/")[0]
        while parent:
            entries.setdefault(parent, (Entry(parent, "dir", 0o755, mtime_ns=MTIME_NS), None))
            parent = parent.rpartition("/")[0]
        if isinstance(content, Entry):
            entries[path] = (content, None)
        else:
            entry = Entry(path, "file", 0o644, size=len(content), mtime_ns=MTIME_NS)
            entries[path] = (entry, content)
    items = [entries[path] for path in sorted(entries, key=sort_key)]
    with store.blobs.writer(media_type=OCI_LAYER) as writer:
        layer = write_layer(items, writer.write_unhashed)
        writer.adopt(layer.diff_id, layer.size)
    store.layers.put_index(layer.diff_id, LayerIndex.of(layer.entries))
    return layer


def add_snapshot(
    store: Store, parent: Snapshot | None, files: Mapping[str, bytes | Entry]
) -> Snapshot:
    """A snapshot of such a layer."""
    layer = put_layer(store, files)
    size = sum(entry.size for entry in layer.entries)
    return store.snapshots.add_layer(
        None if parent is None else parent.id, layer.diff_id, size=size, tar_size=layer.size
    )


def put_image(
    store: Store,
    diff_ids: Sequence[Digest] = (),
    *,
    architecture: str = "amd64",
    author: str = "",
    created: str | None = None,
) -> Image:
    """An image of layers that are in the store; `author` makes it another one."""
    config = ImageConfig(
        architecture, "linux", author=author, created=created, diff_ids=tuple(diff_ids)
    ).encode()
    manifest = Manifest(
        OCI_MANIFEST,
        Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
        tuple(Descriptor(OCI_LAYER, each, store.layers.tar_size(each)) for each in diff_ids),
    )
    return store.images.put(manifest.encode(), config)
