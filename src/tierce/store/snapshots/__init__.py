"""Snapshots: file systems made of layers, and the backends that keep their files."""

import importlib

from tierce.store.snapshots.base import Active, LayerDirectories, Snapshot, Snapshotter
from tierce.store.snapshots.snapshots import Snapshots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tierce.store.snapshots.parts import Parts

__all__ = ["Active", "LayerDirectories", "Parts", "Snapshot", "Snapshots", "Snapshotter"]


def __getattr__(name: str) -> object:
    # What reads and writes layers is loaded when the first one is; most commands do neither.
    if name == "Parts":
        return importlib.import_module("tierce.store.snapshots.parts").Parts
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
