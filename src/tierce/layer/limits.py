"""What a layer may ask of its reader."""

from __future__ import annotations

from tierce.values import Value


class Limits(Value):
    """Bounds on a layer from outside; more is UnsafeLayer."""

    entries: int = 2_000_000
    path_bytes: int = 4096
    """PATH_MAX; of a path and of a link's target."""
    header_bytes: int = 1 << 20
    """All headers of one entry: long names, extended attributes, the map of a sparse file."""
    index_bytes: int = 256 << 20
    """Names, link targets and attributes of all entries, for those who keep them all."""


DEFAULT_LIMITS = Limits()
