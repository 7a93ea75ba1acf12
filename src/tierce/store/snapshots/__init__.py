"""Snapshots: file systems made of layers, and the backends that keep their files."""

from tierce.store.snapshots.base import Active, LayerDirectories, Snapshot, Snapshotter

__all__ = ["Active", "LayerDirectories", "Snapshot", "Snapshotter"]
