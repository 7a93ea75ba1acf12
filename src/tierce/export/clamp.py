"""Layers of a reproducible build: no file in them is later than SOURCE_DATE_EPOCH.

The cache knows nothing of the epoch, so that a new one (each commit has another) runs no step
again. Layers that have later times are written once more, with these times cut off.
"""

from __future__ import annotations

from tierce.layer.entry import Content
from tierce.layer.index import LayerIndex
from tierce.layer.writer import write_layer
from tierce.oci.media_types import OCI_LAYER

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tierce.layer.entry import Item
    from tierce.oci.digest import Digest
    from tierce.store import Store
    from tierce.store.snapshots import Snapshot

_NANOSECONDS = 1_000_000_000


def clamp_layers(
    store: Store, chain: Sequence[Snapshot], inherited: int, epoch: int
) -> list[Snapshot]:
    """The snapshots of an image, bottom first, whose new layers have no time after the epoch.

    The first `inherited` layers came with the base image and stay as they are. All have their
    diff id. Idempotent. Raises StoreError, LayerError.
    """
    clamped: list[Snapshot] = list(chain[:inherited])
    changed = False
    for layer in chain[inherited:]:
        assert layer.diff_id is not None
        index = store.layers.index(layer.diff_id)
        late = any(entry.mtime_ns // _NANOSECONDS > epoch for entry in index)
        if not late and not changed:
            clamped.append(layer)
            continue
        changed = True
        diff_id, tar_size = layer.diff_id, layer.tar_size
        if late:
            diff_id, tar_size = _rewrite(store, layer.diff_id, index, epoch)
        else:
            # The layer stands on another parent now, where no directory has its files.
            store.layers.ensure_tar(diff_id)
        parent = clamped[-1].id if clamped else None
        clamped.append(
            store.snapshots.add_layer(parent, diff_id, size=layer.size, tar_size=tar_size)
        )
    return clamped


def _rewrite(store: Store, diff_id: Digest, index: LayerIndex, epoch: int) -> tuple[Digest, int]:
    """A layer again, with times cut off at the epoch: its diff id and the size of its tar."""
    tar = str(store.layers.ensure_tar(diff_id))
    with store.blobs.writer(media_type=OCI_LAYER) as writer:
        items = _items(tar, index)
        written = write_layer(items, writer.write_unhashed, clamp_mtime=epoch)
        writer.adopt(written.diff_id, written.size)
    store.layers.put_index(written.diff_id, LayerIndex.of(written.entries))
    return written.diff_id, written.size


def _items(tar: str, index: LayerIndex) -> Iterator[Item]:
    """What a layer holds, with contents in its tar."""
    for entry in index:
        content: Content | None = None
        if entry.kind == "file":
            content = Content(tar, entry.offset, entry.size)
        yield entry, content
