"""Layers as tar streams: written, read, indexed, viewed merged, unpacked, and diffed.

The names are imported when they are first used (PEP 562): who mounts what is unpacked already
works on no layer, and need not load what does, which takes 10 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tierce.layer.apply import apply_layer
    from tierce.layer.diff import overlay_changes, tree_changes
    from tierce.layer.entry import Entry, keeps_xattr
    from tierce.layer.erofs import IMAGE_SPARE, make_image, read_root
    from tierce.layer.host import root_entry
    from tierce.layer.index import LayerIndex
    from tierce.layer.limits import Limits
    from tierce.layer.live import LiveLayer
    from tierce.layer.sources import DirectoryLayer, IndexLayer
    from tierce.layer.unchanged import drop_unchanged
    from tierce.layer.view import MergedView
    from tierce.layer.writer import write_layer

__all__ = [
    "IMAGE_SPARE",
    "DirectoryLayer",
    "Entry",
    "IndexLayer",
    "LayerIndex",
    "Limits",
    "LiveLayer",
    "MergedView",
    "apply_layer",
    "drop_unchanged",
    "keeps_xattr",
    "make_image",
    "overlay_changes",
    "read_root",
    "root_entry",
    "tree_changes",
    "write_layer",
]

_HOMES = {
    "DirectoryLayer": "sources",
    "Entry": "entry",
    "IMAGE_SPARE": "erofs",
    "IndexLayer": "sources",
    "LayerIndex": "index",
    "Limits": "limits",
    "LiveLayer": "live",
    "MergedView": "view",
    "apply_layer": "apply",
    "drop_unchanged": "unchanged",
    "keeps_xattr": "entry",
    "make_image": "erofs",
    "overlay_changes": "diff",
    "read_root": "erofs",
    "root_entry": "host",
    "tree_changes": "diff",
    "write_layer": "writer",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{_HOMES[name]}", fromlist=("",)), name)
