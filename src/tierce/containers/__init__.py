"""The life of a container."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.containers import rights
    from tierce.containers.following import Running

__all__ = ["Running", "rights"]


def __getattr__(name: str) -> object:
    # Few containers that are started have to do with another one (PEP 562).
    if name == "Running":
        return __import__("tierce.containers.following", fromlist=("",)).Running
    if name == "rights":  # nor may most do anything else than docker's defaults say
        return __import__("tierce.containers.rights", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
