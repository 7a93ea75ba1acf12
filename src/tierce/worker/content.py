"""What a step reads, as one digest: the content key of COPY, ADD and bind mounts.

The digest covers path, type, mode, owner, size, content, link target and xattrs of exactly what
is selected, and never a time. For a directory of the caller, the answer is remembered together
with the metadata it holds for: while no inode, mtime or ctime differs, a walk gives it again.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tierce.layer.entry import Entry
from tierce.layer.view import Tree
from tierce.worker.context import LocalTree
from tierce.worker.copy import Source

_MAX_REMEMBERED = 64

Selection = tuple[str, dict[str, str]]
"""A digest of all, and a short digest of each path in it (none when remembered as a whole)."""


def select(tree: Tree, sources: Sequence[Source]) -> Selection:
    """The digest of sources and all below them."""
    total = hashlib.sha256()
    parts: dict[str, str] = {}
    for source in sources:
        total.update(b"\0source\0" + _line(tree, source.entry, source.name))
        if source.entry.kind != "dir":
            parts[source.name] = _short(_line(tree, source.entry, source.name))
            continue
        cut = len(source.path) + 1 if source.path else 0
        for entry in tree.walk(source.path):
            path = entry.path[cut:]
            line = _line(tree, entry, path)
            total.update(line)
            parts[path] = _short(line)
    return total.hexdigest(), parts


def _line(tree: Tree, entry: Entry, path: str) -> bytes:
    """Everything about an entry that a result depends on."""
    digest = b""
    if entry.kind == "file":
        digest = entry.digest or tree.file_digest(entry)
    elif entry.kind == "hardlink":
        linked = tree.lookup(entry.link)
        if linked is not None:
            digest = linked.digest or tree.file_digest(linked)
    head = (
        f"{path}\0{entry.kind[0]}{entry.mode:o}:{entry.uid}:{entry.gid}:{entry.size}"
        f"\0{entry.link if entry.kind == 'symlink' else ''}\0{entry.device}\0"
    ).encode("utf-8", "surrogateescape")
    if entry.xattrs:
        head += repr(entry.xattrs).encode()
    return head + digest


def _short(line: bytes) -> str:
    return hashlib.blake2b(line, digest_size=8).hexdigest()


class RememberedSelections:
    """Digests of selections in one directory of the caller, each with the stamp it holds for."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, list[str]] | None = None
        self._changed = False

    def get(self, selection: str, stamp: str) -> str:
        """The digest, or nothing when it is not known for this stamp."""
        known = self._load().get(selection)
        return known[1] if known is not None and stamp and known[0] == stamp else ""

    def put(self, selection: str, stamp: str, digest: str) -> None:
        known = self._load()
        if stamp and known.get(selection) != [stamp, digest]:
            known.pop(selection, None)
            known[selection] = [stamp, digest]
            self._changed = True

    def save(self) -> None:
        """Write what is known; atomic, and never fatal, as with any cache."""
        if not self._changed or self._known is None:
            return
        latest = dict(list(self._known.items())[-_MAX_REMEMBERED:])
        partial = f"{self._path}.{os.getpid()}.partial"
        with suppress(OSError):
            with open(partial, "w", encoding="utf-8") as file:
                json.dump(latest, file)
            os.rename(partial, self._path)

    def _load(self) -> dict[str, list[str]]:
        if self._known is None:
            self._known = {}
            try:
                with open(self._path, encoding="utf-8") as file:
                    read: Any = json.load(file)
            except (OSError, ValueError):
                read = {}
            if isinstance(read, dict):
                self._known = {
                    str(key): [str(part) for part in value]
                    for key, value in read.items()
                    if isinstance(value, list) and len(value) == 2
                }
        return self._known


def stamp_of(tree: LocalTree, sources: Sequence[Source]) -> str:
    """A digest of the metadata of all sources; empty when something is too fresh to be sure."""
    stamps = []
    for source in sources:
        stamp = tree.stamp_digest(source.path)
        if not stamp:
            return ""
        stamps.append(f"{source.name}\0{source.path}\0{stamp}")
    return hashlib.sha256("\n".join(stamps).encode("utf-8", "surrogateescape")).hexdigest()
