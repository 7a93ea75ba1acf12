"""Runs the operations of a build: `BuildWorker` is what the solver drives.

What only a step that is run needs is imported when the first one is (PEP 562).
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.worker import (
        agents,
        components,
        credentials,
        files,
        git,
        http,
        remote,
        selection,
        urls,
    )
    from tierce.worker.exec import ExecRunner

__all__ = [
    "ExecRunner",
    "agents",
    "components",
    "credentials",
    "files",
    "git",
    "http",
    "remote",
    "selection",
    "urls",
]


def __getattr__(name: str) -> object:
    if name == "ExecRunner":
        return __import__("tierce.worker.exec", fromlist=("",)).ExecRunner
    if name in __all__:
        return __import__(f"tierce.worker.{name}", fromlist=("",))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
