"""The life of a container."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.containers import changes, health, keeping, logdriver, rights, stop
    from tierce.containers.following import Running

__all__ = ["Running", "changes", "health", "keeping", "logdriver", "rights", "stop"]


def __getattr__(name: str) -> object:
    # Few containers that are started have to do with another one (PEP 562).
    if name == "Running":
        return __import__("tierce.containers.following", fromlist=("",)).Running
    # Nor may most do anything else than docker's defaults say, have a check of their health, or
    # are looked after by who has started them.
    if name in {"changes", "health", "keeping", "logdriver", "rights", "stop"}:
        return __import__(f"tierce.containers.{name}", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
