"""Everything on disk: images, layers, snapshots, build cache, and the locks around them."""

from tierce.store.store import Store

__all__ = ["Store"]
