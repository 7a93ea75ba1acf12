"""What commands that live for milliseconds use of the standard library, without what is around it.

The modules here are those parts of it that are in C, under the names that type checkers and
readers know. What they leave out takes longer to import than they do: `signal` has enumerations
made of its constants, `sqlite3` converters of dates, `json` and `pathlib` need regular
expressions, and that `urllib.parse`: 12 ms in all, of the 60 that a container takes.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import signal
    import sqlite3
    from queue import SimpleQueue

    from tierce.lean import foreign

__all__ = ["SimpleQueue", "foreign", "signal", "sqlite3"]


def __getattr__(name: str) -> object:
    if name in {"signal", "sqlite3"}:
        return __import__(f"_{name}")
    if name == "foreign":
        return __import__("tierce.lean.foreign", fromlist=("",))
    if name == "SimpleQueue":
        return __import__("_queue").SimpleQueue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
