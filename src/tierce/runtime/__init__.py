"""Running processes in containers: bundles for an OCI runtime, and what drives it."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.runtime.launcher import sweep
    from tierce.runtime.network import BridgeNetwork
    from tierce.runtime.pasta import PastaNetwork

__all__ = ["BridgeNetwork", "PastaNetwork", "sweep"]


def __getattr__(name: str) -> object:
    # Whoever looks whether there is something to clear up finds nothing, as a rule (PEP 562).
    if name == "BridgeNetwork":
        return __import__("tierce.runtime.network", fromlist=("",)).BridgeNetwork
    if name == "PastaNetwork":
        return __import__("tierce.runtime.pasta", fromlist=("",)).PastaNetwork
    if name == "sweep":
        return __import__("tierce.runtime.launcher", fromlist=("",)).sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
