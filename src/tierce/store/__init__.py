"""Everything on disk: images, layers, snapshots, build cache, and the locks around them.

The names are imported when they are first used (PEP 562): an open store makes its parts one by
one, as they are needed, and a command pays only for those that it uses.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tierce.store.blobs import Blobs
    from tierce.store.cache_mounts import CacheMounts
    from tierce.store.catalog import Catalog
    from tierce.store.containers import ContainerRows
    from tierce.store.durability import Durability
    from tierce.store.failed_steps import FailedSteps
    from tierce.store.gc import Collector
    from tierce.store.images import Images
    from tierce.store.layers import Layers
    from tierce.store.leases import Leases
    from tierce.store.locks import Locks
    from tierce.store.prune import prune_images
    from tierce.store.records import Records
    from tierce.store.snapshots.parts import Parts
    from tierce.store.snapshots.snapshots import Snapshots
    from tierce.store.store import Store
    from tierce.store.transfers import Transfers
    from tierce.store.trash import Trash
    from tierce.store.volume_contents import fill_directory
    from tierce.store.volumes import Volumes

__all__ = [
    "Blobs",
    "CacheMounts",
    "Catalog",
    "Collector",
    "ContainerRows",
    "Durability",
    "FailedSteps",
    "Images",
    "Layers",
    "Leases",
    "Locks",
    "Parts",
    "Records",
    "Snapshots",
    "Store",
    "Transfers",
    "Trash",
    "Volumes",
    "fill_directory",
    "prune_images",
]

_HOMES = {
    "Blobs": "blobs",
    "CacheMounts": "cache_mounts",
    "Catalog": "catalog",
    "Collector": "gc",
    "ContainerRows": "containers",
    "Durability": "durability",
    "FailedSteps": "failed_steps",
    "Images": "images",
    "Layers": "layers",
    "Leases": "leases",
    "Locks": "locks",
    "Parts": "snapshots.parts",
    "Records": "records",
    "Snapshots": "snapshots.snapshots",
    "Store": "store",
    "Transfers": "transfers",
    "Trash": "trash",
    "Volumes": "volumes",
    "fill_directory": "volume_contents",
    "prune_images": "prune",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{_HOMES[name]}", fromlist=("",)), name)
