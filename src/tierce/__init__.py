"""tierce: from a Dockerfile to a running, shared container image, without a daemon.

from tierce import BuildRequest, Client

with Client() as client:
    result = client.builds.build(BuildRequest(context=".", tags=("hello",)))
print(result.image_id)
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.builder import BuildRequest, BuildResult
    from tierce.client import Client

__version__ = "0.1.0"

__all__ = ["BuildRequest", "BuildResult", "Client", "__version__"]

_HOMES = {
    "BuildRequest": "tierce.builder",
    "BuildResult": "tierce.builder",
    "Client": "tierce.client",
}


def __getattr__(name: str) -> object:
    """The public names, imported when they are first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(_HOMES[name], fromlist=("",)), name)
