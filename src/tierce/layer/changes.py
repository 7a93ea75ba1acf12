"""What is different in a writable layer, which somebody may still be writing to.

As `diff` says it in a list, and as `commit` puts it into a layer: what overlayfs has merely
copied up is no change, and neither is the time of a directory.
"""

from __future__ import annotations

import os

from tierce.layer.entry import Entry, OpenFile
from tierce.values import NamedTuple

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from tierce.layer.entry import LiveItem
    from tierce.layer.live import LiveLayer
    from tierce.layer.sources import Found
    from tierce.layer.view import Tree

ADDED, CHANGED, DELETED = "A", "C", "D"
_CHUNK = 1 << 20


class Change(NamedTuple):
    """A change at a path; `entry` is what is there now, None when that is nothing."""

    path: str
    kind: str
    """ADDED, CHANGED (itself, or for a directory something inside) or DELETED."""
    entry: Entry | None
    inode: Hashable = None


def live_changes(live: LiveLayer, below: Tree) -> Iterator[Change]:
    """The changes in a layer upon `below`, sorted; of what was removed, only the topmost.

    `live` is an overlay's upper directory, or a whole tree that began as a copy. Raises
    LayerError for what cannot be read.
    """
    return _Comparison(live, below).run()


def changed_items(live: LiveLayer, below: Tree) -> Iterator[LiveItem]:
    """The same as a layer, for `write_layer`."""
    first_names: dict[Hashable, str] = {}
    for change in live_changes(live, below):
        entry = change.entry
        if entry is None:
            yield Entry(change.path, "whiteout", 0), None
            continue
        first = change.path
        if change.inode is not None:
            first = first_names.setdefault(change.inode, change.path)
        if first != change.path:
            yield (
                entry._replace(kind="hardlink", link=first, size=0, device=(0, 0)),
                None,
            )
            continue
        yield from live.items(iter((entry,)))


class _Frame:
    """A directory that is being looked through."""

    __slots__ = ("change", "had", "names", "opaque", "path")

    def __init__(
        self, path: str, names: list[str], *, had: bool, opaque: bool, change: Change | None
    ) -> None:
        self.path = path
        self.names = names
        self.had = had
        """Whether it is a directory beneath, too."""
        self.opaque = opaque
        """Whether what is not here is gone, though it is beneath."""
        self.change = change
        """Itself, while nothing says that it has changed."""


class _Comparison:
    def __init__(self, live: LiveLayer, below: Tree) -> None:
        self._live = live
        self._below = below
        self._frames: list[_Frame] = []

    def run(self) -> Iterator[Change]:
        # A tree holds all that is there: what it lacks is gone.
        self._enter("", had=True, opaque=not self._live.overlay, change=None)
        while self._frames:
            frame = self._frames[-1]
            if not frame.names:
                self._frames.pop()
                continue
            name = frame.names.pop()
            path = f"{frame.path}/{name}" if frame.path else name
            old = self._below.lookup(path) if frame.had else None
            found = self._live.find(path)
            if found is None and not frame.opaque:
                continue  # gone since it was listed
            yield from self._compare(path, old, found, opaque=frame.opaque)

    def _compare(
        self, path: str, old: Entry | None, found: Found | None, *, opaque: bool
    ) -> Iterator[Change]:
        entry = found.entry if found is not None else None
        if found is None or entry is None:
            if old is not None:
                yield from self._above()
                yield Change(path, DELETED, None)
            return
        change = Change(path, ADDED if old is None else CHANGED, entry, found.inode)
        same = old is not None and self._is_same(old, entry)
        if not same:
            yield from self._above()
            yield change
        if found.directory:
            had = old is not None and old.kind == "dir"
            self._enter(
                path,
                had=had,
                opaque=opaque or found.opaque,
                change=change if same else None,
            )

    def _enter(self, path: str, *, had: bool, opaque: bool, change: Change | None) -> None:
        names = set(self._live.names(path))
        if had and opaque:
            names.update(child.path.rpartition("/")[2] for child in self._below.children(path))
        ordered = sorted(names, reverse=True)
        self._frames.append(_Frame(path, ordered, had=had, opaque=opaque, change=change))

    def _above(self) -> Iterator[Change]:
        """The directories above a change have changed, too."""
        for frame in self._frames:
            if frame.change is not None:
                yield frame.change
                frame.change = None

    def _is_same(self, old: Entry, new: Entry) -> bool:
        if (old.kind, old.uid, old.gid, old.size, old.link, old.device, old.xattrs) != (
            new.kind, new.uid, new.gid, new.size, new.link, new.device, new.xattrs,
        ):  # fmt: skip
            return False
        # What a tar says of a link's permissions is nothing that a link could have.
        if old.mode != new.mode and new.kind != "symlink":
            return False
        if new.kind == "dir":
            return True
        if old.mtime_ns != new.mtime_ns:
            return False
        return new.kind != "file" or not new.size or self._has_content(old, new)

    def _has_content(self, old: Entry, new: Entry) -> bool:
        """Whether two files of one size have the same bytes."""
        content = self._below.content(old)
        descriptor = self._live.open(new.path)
        if descriptor < 0:
            return False
        live = OpenFile(descriptor, new.size)
        try:
            with open(content.path, "rb", buffering=0) as beneath:
                done = 0
                while done < live.size:
                    data = os.pread(live.descriptor, min(_CHUNK, live.size - done), done)
                    if not data or data != os.pread(
                        beneath.fileno(), len(data), content.offset + done
                    ):
                        return False
                    done += len(data)
        finally:
            os.close(descriptor)
        return True
