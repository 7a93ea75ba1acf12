"""What a layer has in common with one that was written before, taken over from that one's tar.

The bytes of an entry depend on nothing but the entry. So where entries follow each other in two
layers alike, digests of files included, that piece of the one tar is that piece of the other: it
is read at once, instead of file by file, and no file is opened or hashed for it.
"""

from __future__ import annotations

import os

from tierce.layer.entry import Entry, Item, encode_path, sort_key
from tierce.layer.header import BLOCK, is_plain
from tierce.values import NamedTuple

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from tierce.layer.index import LayerIndex

FORM = 1
"""Of the tars that `write_layer` makes: another number when it makes other bytes of an entry."""

_SECOND = 1_000_000_000


class Run(NamedTuple):
    """A piece of an earlier tar, from the header of a file to the end of a file.

    `entries` are those in it, with their offsets there.
    """

    descriptor: int
    start: int
    stop: int
    entries: Sequence[Entry]


class EarlierLayer:
    """A layer that `write_layer` has written, in the present FORM, with its tar opened.

    What is open stays whole: tars are never written to, and one that is removed meanwhile is
    there until it is closed.
    """

    def __init__(self, index: LayerIndex, path: str | os.PathLike[str]) -> None:
        """`path` is that of the tar. Raises OSError when it cannot be opened."""
        self._index = index
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def common(self, items: Sequence[Item]) -> list[Item | Run]:
        """The items of a new layer, sorted, with runs in the place of what is in both.

        A file whose digest is not known is not in a run.
        """
        entries = list(self._index)
        taken: list[Item | Run] = []
        length = len(entries)
        row = first = 0  # the rows from `first` to `row` are the last items
        for at, item in enumerate(items):
            entry = item[0]
            path = entry.path
            if row < length and entries[row].path != path:
                # Something is gone, or something is new.
                self._close_run(taken, items[at - (row - first) : at], entries[first:row])
                key = sort_key(path)
                while row < length and sort_key(entries[row].path) < key:
                    row += 1
                first = row
            if row < length and _is_same(entry, entries[row]):
                row += 1
                continue
            self._close_run(taken, items[at - (row - first) : at], entries[first:row])
            taken.append(item)
            if row < length and entries[row].path == path and entries[row].kind == entry.kind:
                row += 1
            first = row
        at = len(items)
        self._close_run(taken, items[at - (row - first) : at], entries[first:row])
        return taken

    def _close_run(
        self, taken: list[Item | Run], items: Sequence[Item], entries: Sequence[Entry]
    ) -> None:
        """Add what is in both, as a run as far as its ends can be told."""
        start, stop = 0, len(entries)
        while start < stop and not _has_known_start(entries[start]):
            start += 1
        while stop > start and entries[stop - 1].kind != "file":
            stop -= 1
        taken += items[:start]
        if start < stop:
            last = entries[stop - 1]
            end = last.offset + last.size + -last.size % BLOCK
            here = entries[start:stop]
            taken.append(Run(self._descriptor, entries[start].offset - BLOCK, end, here))
        taken += items[stop:]


def _is_same(new: Entry, old: Entry) -> bool:
    """Whether a tar has the same bytes for two entries."""
    seconds_ns = new.mtime_ns - new.mtime_ns % _SECOND
    if (*new[:6], seconds_ns, *new[7:11]) != old[:11]:
        return False
    return old.kind != "file" or (old.offset >= 0 and bool(old.digest))


def _has_known_start(entry: Entry) -> bool:
    """Whether an entry is a file right behind a header of one block."""
    return (
        entry.kind == "file"
        and not entry.xattrs
        and is_plain(
            encode_path(entry.path), entry.uid, entry.gid, entry.size, entry.mtime_ns // _SECOND
        )
    )
