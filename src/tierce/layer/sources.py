"""One layer of a merged view: known by its index, or unpacked in a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Hashable, Iterator
from functools import cached_property

from tierce.errors import LayerError
from tierce.layer.entry import Content, Entry
from tierce.layer.host import (
    host_entry,
    is_overlay_opaque,
    is_overlay_whiteout,
    unreadable,
    walk_directory,
)
from tierce.layer.index import LayerIndex
from tierce.values import NamedTuple, Protocol


class Found(NamedTuple):
    """What one layer has at a path."""

    entry: Entry | None
    """None for a whiteout, and for a directory that is there by its contents only."""
    directory: bool = False
    opaque: bool = False
    """A directory that hides what lower layers have in it."""
    inode: Hashable = None
    """Equal for the names of one file, if it may have several in this layer."""


_WHITEOUT = Found(None)


class LayerSource(Protocol):
    """One layer. Paths are real: their parents are directories of this layer."""

    def find(self, path: str) -> Found | None:
        """What this layer says about `path`; None if it says nothing."""

    def names(self, path: str) -> list[str]:
        """The names in the directory `path`, also of whiteouts."""

    def walk(self, path: str) -> Iterator[tuple[Entry, Hashable]]:
        """Everything below the directory `path`, sorted, with its inode; no whiteouts."""

    def content(self, entry: Entry) -> Content:
        """Where the bytes of a "file" that `find` gave are."""


class IndexLayer:
    """A layer that is a tar, and has an index.

    `index` and `tar_path` (of the uncompressed tar) may be given as functions; they are called
    when they are needed for the first time. `unpacked` is asked for a directory with the layer's
    files where a file is sparse, whose bytes are not in one piece in the tar.
    """

    def __init__(
        self,
        index: LayerIndex | Callable[[], LayerIndex],
        tar_path: str | Callable[[], str],
        unpacked: Callable[[], str] | None = None,
    ) -> None:
        self._index = index
        self._tar_path = tar_path
        self._unpacked = unpacked

    @cached_property
    def index(self) -> LayerIndex:
        return self._index if isinstance(self._index, LayerIndex) else self._index()

    @cached_property
    def tar_path(self) -> str:
        return self._tar_path if isinstance(self._tar_path, str) else self._tar_path()

    @cached_property
    def _linked(self) -> frozenset[str]:
        """Files with further names."""
        if "hardlink" not in self.index.kinds:
            return frozenset()
        return frozenset(entry.link for entry in self.index if entry.kind == "hardlink")

    def find(self, path: str) -> Found | None:
        index = self.index
        rows = index.rows(path)
        if not rows:
            return Found(None, directory=True) if index.has_inside(path) else None
        kind = index.kind(rows.start)
        if kind == "whiteout":
            return _WHITEOUT
        if kind == "dir":
            return Found(index.entry(rows.start), directory=True, opaque=len(rows) > 1)
        if kind == "opaque":
            return Found(None, directory=True, opaque=True)
        entry, inode = self._named(index.entry(rows.start))
        return Found(entry, inode=inode)

    def names(self, path: str) -> list[str]:
        return self.index.names(path)

    def walk(self, path: str) -> Iterator[tuple[Entry, Hashable]]:
        index = self.index
        entries = index.entries(index.inside(path))
        if not index.has_all_parents:
            entries = _with_parents(path, entries)
        for entry in entries:
            kind = entry.kind
            if kind == "file" and not self._linked:
                yield entry, None
            elif kind not in {"whiteout", "opaque"}:
                yield self._named(entry)

    def content(self, entry: Entry) -> Content:
        if entry.offset < 0 and self._unpacked is not None:
            return Content(f"{self._unpacked()}/{entry.path}", 0, entry.size)
        if entry.offset < 0:
            raise LayerError(
                f"read {entry.path}: the file is sparse, its content is not in one piece",
                entry=entry.path,
            )
        return Content(self.tar_path, entry.offset, entry.size)

    def _named(self, entry: Entry) -> tuple[Entry, Hashable]:
        """A hard link as the file that it names, and its inode."""
        if entry.kind != "hardlink":
            return entry, entry.path if entry.path in self._linked else None
        target = self.index.get(entry.link)
        if target is None:
            raise LayerError(
                f"read layer entry {entry.path}: no {entry.link} to link to", entry=entry.path
            )
        return target._replace(path=entry.path), entry.link


class DirectoryLayer:
    """A layer that is unpacked in the directory `path` of the host.

    With `overlay_whiteouts` the marks of overlayfs (character devices 0/0, opaque attributes) are
    understood; without, it is a plain tree. Raises LayerError for what cannot be read.
    """

    def __init__(self, path: str, *, overlay_whiteouts: bool = True) -> None:
        self._root = path
        self._overlay = overlay_whiteouts

    def find(self, path: str) -> Found | None:
        host = self._host(path)
        try:
            status = os.lstat(host)
            if self._overlay and is_overlay_whiteout(status):
                return _WHITEOUT
            entry = host_entry(path, host, status)
            if entry is None:
                return None
            if entry.kind == "dir":
                opaque = self._overlay and is_overlay_opaque(host)
                return Found(entry, directory=True, opaque=opaque)
            return Found(entry, inode=_inode(status))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unreadable(path, error) from error

    def names(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self._host(path)))
        except OSError as error:
            raise unreadable(path, error) from error

    def walk(self, path: str) -> Iterator[tuple[Entry, Hashable]]:
        prefix = f"{path}/" if path else ""
        for inner, member, status in walk_directory(self._host(path)):
            if self._overlay and is_overlay_whiteout(status):
                continue
            try:
                entry = host_entry(prefix + inner, member.path, status)
            except OSError as error:
                raise unreadable(prefix + inner, error) from error
            if entry is not None:
                yield entry, _inode(status)

    def content(self, entry: Entry) -> Content:
        return Content(self._host(entry.path), 0, entry.size)

    def _host(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _inode(status: os.stat_result) -> Hashable:
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        return (status.st_dev, status.st_ino)
    return None


def _with_parents(top: str, entries: Iterator[Entry]) -> Iterator[Entry]:
    """Put in the directories that a tar has no entry for."""
    known = {top}
    for entry in entries:
        missing = []
        parent = entry.path if entry.kind == "opaque" else entry.path.rpartition("/")[0]
        while parent not in known:
            missing.append(parent)
            parent = parent.rpartition("/")[0]
        for each in reversed(missing):
            yield Entry(each, "dir", 0o755)
        known.update(missing)
        if entry.kind == "dir":
            known.add(entry.path)
        yield entry
