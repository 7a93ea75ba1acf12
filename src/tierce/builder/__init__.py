"""Builds an image: the one place where the parts of a build are put together."""

from __future__ import annotations

from tierce.builder.build import build
from tierce.builder.request import BuildRequest, BuildResult

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.builder import questions

__all__ = ["BuildRequest", "BuildResult", "build", "questions"]


def __getattr__(name: str) -> object:
    # Who builds asks nothing else (PEP 562).
    if name == "questions":
        return __import__("tierce.builder.questions", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
