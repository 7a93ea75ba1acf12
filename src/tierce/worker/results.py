"""What a vertex results in: a file system in the store, or a directory of the caller."""

from __future__ import annotations

from tierce.values import Value
from tierce.worker.context import LocalTree


class FileSystem(Value):
    """A snapshot of the store; None is the empty file system."""

    snapshot: int | None


Result = FileSystem | LocalTree
