"""The build graph: frozen operations, the vertices that join them, and a digest of each.

Patterns of paths are imported for those who have some (PEP 562).
"""

from tierce.graph.digest import op_digest
from tierce.graph.ops import (
    Bind,
    BlobSource,
    CacheMount,
    Copy,
    CopyPart,
    Exec,
    GitSource,
    HttpSource,
    ImageSource,
    Limits,
    LocalSource,
    MakeDirectory,
    MakeFile,
    Merge,
    Mount,
    Op,
    Scratch,
    Secret,
    Ssh,
    Tmpfs,
    Ulimit,
)
from tierce.graph.vertex import SourceRange, Vertex, sorted_vertices

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.graph import patterns

__all__ = [
    "Bind",
    "BlobSource",
    "CacheMount",
    "Copy",
    "CopyPart",
    "Exec",
    "GitSource",
    "HttpSource",
    "ImageSource",
    "Limits",
    "LocalSource",
    "MakeDirectory",
    "MakeFile",
    "Merge",
    "Mount",
    "Op",
    "Scratch",
    "Secret",
    "SourceRange",
    "Ssh",
    "Tmpfs",
    "Ulimit",
    "Vertex",
    "op_digest",
    "patterns",
    "sorted_vertices",
]


def __getattr__(name: str) -> object:
    if name == "patterns":
        return __import__("tierce.graph.patterns", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
