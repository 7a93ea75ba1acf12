"""Builds an image: the one place where the parts of a build are put together."""

from __future__ import annotations

from tierce.builder.build import build
from tierce.builder.request import BuildRequest, BuildResult

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.builder import (
        caching,
        failures,
        leaks,
        legacy,
        limits,
        named,
        pulling,
        questions,
        remote,
    )

__all__ = [
    "BuildRequest",
    "BuildResult",
    "build",
    "caching",
    "failures",
    "leaks",
    "legacy",
    "limits",
    "named",
    "pulling",
    "questions",
    "remote",
]


def __getattr__(name: str) -> object:
    # Who builds asks nothing else, and most builds have no cache but the store's (PEP 562).
    if name in __all__:
        return __import__(f"tierce.builder.{name}", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
