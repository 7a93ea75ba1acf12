"""What a build gives: an image in the store."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.export.clamp import clamp_layers

__all__ = ["clamp_layers"]


def __getattr__(name: str) -> object:
    # Reproducible builds read and write layers, which takes 10 ms to load; others do not (PEP 562).
    if name == "clamp_layers":
        return __import__("tierce.export.clamp", fromlist=("",)).clamp_layers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
