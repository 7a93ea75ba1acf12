"""`--squash`: what a build added to its base, as one layer.

Steps stay cached as they are. Docker's classic builder did the same, and wrote the history so.
"""

from __future__ import annotations

import time

from tierce.export.history import timestamp
from tierce.export.image import Finished
from tierce.layer.merge import merge_layers
from tierce.oci.config import History
from tierce.oci.digest import Digest

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.export.image import Built
    from tierce.store import Store


def squash(store: Store, built: Built, finished: Finished, *, epoch: int | None = None) -> Finished:
    """An image with the same files as `finished`, in one layer upon those of the base.

    Its history has the entries of the other one, of which the new ones have no layer any more,
    and one for the layer, which is dated now, or at the `epoch` (seconds since 1970). An image
    without new layers stays as it is. Raises LayerError, StoreError.
    """
    inherited = len(built.config.diff_ids)
    new = finished.layers[inherited:]
    if not new:
        return finished
    parent = finished.layers[inherited - 1].id if inherited else None
    below = store.snapshots.view(parent)
    diff_ids = finished.config.diff_ids
    with store.leases.ensure("squash layers"):
        measured = store.layers.write(
            merge_layers((store.layers.items(each) for each in diff_ids[inherited:]), below)
        )
        layer = store.snapshots.add_layer(
            parent, measured.diff_id, size=measured.size, tar_size=measured.tar_size
        )
    created = timestamp(time.time() if epoch is None else epoch)
    comment = f"create new from {finished.image_id}"
    if built.base is not None:
        comment = f"merge {finished.image_id} to {store.images.get(built.base).config}"
    history = finished.config.history
    kept = history[: built.inherited_history]
    emptied = [entry.replace(empty_layer=True) for entry in history[built.inherited_history :]]
    config = finished.config.replace(
        created=created,
        diff_ids=(*diff_ids[:inherited], measured.diff_id),
        history=(*kept, *emptied, History(created, comment=comment)),
        build_cache="",  # it speaks of layers that are one now
    )
    raw = config.encode()
    return Finished(config, raw, Digest.of(raw), (*finished.layers[:inherited], layer))
