"""Files from one tree that may be changing into another one: what `cp` does.

What is there is merged with: directories with directories, and a file takes the place of another.
A directory never takes the place of a file, nor the other way round.
"""

from __future__ import annotations

import os

from tierce.errors import LayerError, UnsafeLayer
from tierce.layer.apply import apply_items, apply_layer
from tierce.layer.entry import Entry, OpenFile
from tierce.layer.live import LiveLayer, describe, read_handle
from tierce.layer.reader import TarReader

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator

    from tierce.layer.entry import LiveItem
    from tierce.layer.pipeline import Stream

    Owners = Callable[[int, int], tuple[int, int]]


class WrongKind(LayerError):
    """A directory where a file is to be, or the other way round."""


def items_of(handle: int, name: str, bare: Collection[str] = ()) -> Iterator[LiveItem]:
    """An open file (O_PATH), a directory with all that is in it, under another name.

    Without a name, what is in a directory; of directories in it, those in `bare` come empty.
    Sockets are left out. Raises LayerError, OSError.
    """
    found = describe(name, handle)
    if found is None or found.entry is None:
        return
    if not found.directory:
        yield from _single(found.entry, handle)
        return
    yield found.entry, None
    prefix = f"{name}/" if name else ""
    first_names: dict[Hashable, str] = {}
    with LiveLayer(f"/proc/self/fd/{handle}", overlay_whiteouts=False) as live:
        for entry, inode in live.walk("", bare):
            path = prefix + entry.path
            first = path if inode is None else first_names.setdefault(inode, path)
            if first != path:
                yield entry._replace(path=path, kind="hardlink", link=first, size=0), None
                continue
            for each, content in live.items(iter((entry,))):
                yield each._replace(path=path), content


def place_items(items: Iterator[LiveItem], directory: int, owners: Owners | None) -> int:
    """Put items into an open directory, upon what is there; returns the bytes of their files.

    `owners` says whose they are to be. Raises WrongKind, LayerError, OSError.
    """
    place = f"/proc/self/fd/{directory}"
    with LiveLayer(place, overlay_whiteouts=False) as there:
        done = apply_items(_checked(items, there), place, id_map=owners)
    os.utime(directory)
    return done.bytes


def place_tar(stream: Stream, directory: int, owners: Owners | None) -> None:
    """Put what a tar has into an open directory, as `place_items`. Raises CorruptLayer, too."""
    place = f"/proc/self/fd/{directory}"
    with LiveLayer(place, overlay_whiteouts=False) as there:
        apply_layer(_CheckedTar(stream, there), place, whiteouts="remove", id_map=owners)
    os.utime(directory)


class _CheckedTar(TarReader):
    """A tar whose entries may be put where they belong."""

    def __init__(self, stream: Stream, there: LiveLayer) -> None:
        super().__init__(stream)
        self._there = there

    def next(self) -> Entry | None:
        while (entry := super().next()) is not None and not entry.path:
            pass  # what it is to be put into stays as it is
        if entry is not None:
            _check(entry, self._there)
        return entry


def _single(entry: Entry, handle: int) -> Iterator[LiveItem]:
    if entry.kind != "file" or not entry.size:
        yield entry, None
        return
    descriptor = read_handle(handle)
    try:
        yield entry, OpenFile(descriptor, entry.size)
    finally:
        os.close(descriptor)


def _checked(items: Iterator[LiveItem], there: LiveLayer) -> Iterator[LiveItem]:
    for entry, content in items:
        if entry.path:  # what a directory is to be put into stays as it is
            _check(entry, there)
            yield entry, content


def _check(entry: Entry, there: LiveLayer) -> None:
    if entry.kind in {"whiteout", "opaque"}:
        raise UnsafeLayer(
            f"copy {entry.path}: files with names that begin with .wh. cannot be copied",
            entry=entry.path,
        )
    old = there.find(entry.path)
    if old is None or old.entry is None or old.directory == (entry.kind == "dir"):
        return
    if old.directory:
        raise WrongKind(f'cannot overwrite directory "{entry.path}" with non-directory')
    raise WrongKind(f'cannot overwrite non-directory "{entry.path}" with directory')
