"""From a parsed Dockerfile to the graph that builds it.

What only some Dockerfiles need is imported for these (PEP 562).
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.frontend import remote

__all__ = ["remote"]


def __getattr__(name: str) -> object:
    if name == "remote":
        return __import__("tierce.frontend.remote", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
