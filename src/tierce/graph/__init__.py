"""The build graph: frozen operations, the vertices that join them, and a digest of each."""

from tierce.graph.digest import op_digest
from tierce.graph.ops import (
    Bind,
    CacheMount,
    Copy,
    Exec,
    ImageSource,
    LocalSource,
    MakeDirectory,
    Mount,
    Op,
    Scratch,
)
from tierce.graph.vertex import SourceRange, Vertex, sorted_vertices

__all__ = [
    "Bind",
    "CacheMount",
    "Copy",
    "Exec",
    "ImageSource",
    "LocalSource",
    "MakeDirectory",
    "Mount",
    "Op",
    "Scratch",
    "SourceRange",
    "Vertex",
    "op_digest",
    "sorted_vertices",
]
