"""From a parsed Dockerfile to the graph that builds it.

What only some Dockerfiles need is imported for these (PEP 562).
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.frontend import documents, epoch, remote

__all__ = ["documents", "epoch", "remote"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return __import__(f"tierce.frontend.{name}", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
