"""The life of a container."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.containers import health, keeping, rights
    from tierce.containers.following import Running

__all__ = ["Running", "health", "keeping", "rights"]


def __getattr__(name: str) -> object:
    # Few containers that are started have to do with another one (PEP 562).
    if name == "Running":
        return __import__("tierce.containers.following", fromlist=("",)).Running
    # Nor may most do anything else than docker's defaults say, or have a check of their health.
    if name in {"health", "keeping", "rights"}:
        return __import__(f"tierce.containers.{name}", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
