"""Several layers as one: the same files for whoever looks from above, without what they undo.

A file that one layer brings and a later one removes is in no form there any more. What is
removed of the layers beneath keeps its whiteout, and nothing else does.
"""

from __future__ import annotations

from tierce.errors import CorruptLayer
from tierce.layer.entry import Entry

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tierce.layer.entry import Content, Item
    from tierce.layer.view import Tree

    Origin = tuple[int, str]
    """A file, by its layer and its first name there; equal for all names of it."""


def merge_layers(layers: Iterable[Iterable[Item]], below: Tree) -> Iterator[Item]:
    """The items of one layer that does to `below` what `layers`, bottom first, do together.

    Each layer is sorted, as `write_layer` takes it, and so is what comes out. Files are not read:
    contents are passed on, so that they are read once, by whoever writes the layer.
    Raises CorruptLayer for a layer that cannot stand on those before it.
    """
    merge = _Merge(below)
    for number, items in enumerate(layers):
        for entry, content in items:
            merge.add(number, entry, content)
    return merge.items()


class _Node:
    """What the layers so far have at a path; with neither entry nor mark, a directory they use."""

    __slots__ = ("children", "content", "entry", "hides", "opaque", "origin")

    def __init__(self) -> None:
        self.entry: Entry | None = None
        self.content: Content | bytes | None = None
        self.origin: Origin | None = None
        self.children: dict[str, _Node] = {}
        self.hides = False
        """A whiteout: what is beneath has something here that is gone."""
        self.opaque = False

    @property
    def is_directory(self) -> bool:
        return not self.hides and (self.entry is None or self.entry.kind == "dir")


class _Merge:
    def __init__(self, below: Tree) -> None:
        self._below = below
        self._root = _Node()
        self._linked: set[Origin] = set()
        """Files that had more than one name in their layer."""

    def add(self, number: int, entry: Entry, content: Content | bytes | None) -> None:
        """One item of a layer; the items of lower layers, and those before it, were added."""
        if entry.kind == "whiteout":
            self._hide(entry.path)
        elif entry.kind == "opaque":
            self._hide_inside(entry.path)
        elif entry.kind == "dir":
            node = self._directory(entry.path)
            node.entry = entry
        else:
            self._put(number, entry, content)

    def items(self) -> Iterator[Item]:
        """What is left, sorted."""
        first_names: dict[Origin, str] = {}
        # A stack and not recursion: directories can be nested deeper than Python calls.
        pending = [("", self._root)]
        while pending:
            path, node = pending.pop()
            if node.hides:
                yield Entry(path, "whiteout", 0), None
                continue
            if node.entry is not None:
                yield self._named(node, node.entry, first_names)
            if node.opaque:
                yield Entry(path, "opaque", 0), None
            names = sorted(node.children, reverse=True)
            pending += [(_join(path, name), node.children[name]) for name in names]

    def _named(self, node: _Node, entry: Entry, first_names: dict[Origin, str]) -> Item:
        """The item of a node, as a hard link if its file has been there by another name."""
        if node.origin in self._linked:
            first = first_names.setdefault(node.origin, entry.path)
            if first != entry.path:
                link = entry._replace(kind="hardlink", link=first, size=0, digest=b"", offset=-1)
                return link, None
        return entry, node.content

    def _hide(self, path: str) -> None:
        above, _, name = path.rpartition("/")
        parent = self._find(above)
        if parent is not None:
            parent.children.pop(name, None)
        if self._seen_below(path) is not None:
            node = self._directory(above).children.setdefault(name, _Node())
            node.hides = True

    def _hide_inside(self, path: str) -> None:
        node = self._directory(path)
        node.children.clear()
        node.opaque = node.opaque or self._has_members_below(path)

    def _put(self, number: int, entry: Entry, content: Content | bytes | None) -> None:
        above, _, name = entry.path.rpartition("/")
        origin = (number, entry.path)
        if entry.kind == "hardlink":
            target = self._find(entry.link)
            known = target.origin if target is not None else None
            if target is None or target.entry is None or known is None or known[0] != number:
                raise CorruptLayer(
                    f"merge layers: {entry.path}: no file {entry.link} to link to",
                    entry=entry.path,
                )
            origin = known
            self._linked.add(origin)
            entry, content = target.entry._replace(path=entry.path), target.content
        node = _Node()
        node.entry, node.content, node.origin = entry, content, origin
        self._directory(above).children[name] = node

    def _directory(self, path: str) -> _Node:
        """The directory at a path, which is made one if the layers so far had something else."""
        node = self._root
        walked = ""
        for name in _parts(path):
            walked = _join(walked, name)
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = _Node()
            elif not child.is_directory:
                # What is beneath must not show again through the directory that comes instead.
                node.children.pop(name)
                opaque = self._has_members_below(walked)
                child = node.children[name] = _Node()
                child.entry = Entry(walked, "dir", 0o755)
                child.opaque = opaque
            node = child
        return node

    def _find(self, path: str) -> _Node | None:
        node: _Node | None = self._root
        for name in _parts(path):
            if node is None:
                return None
            node = node.children.get(name)
        return node

    def _has_members_below(self, path: str) -> bool:
        seen = self._seen_below(path)
        return seen is not None and seen.kind == "dir" and bool(self._below.children(path))

    def _seen_below(self, path: str) -> Entry | None:
        """What the layers beneath have at a path, unless the directories above it hide it."""
        node: _Node | None = self._root
        walked = ""
        parts = _parts(path)
        for place, name in enumerate(parts):
            if node is not None:
                if not node.is_directory or node.opaque:
                    return None
                node = node.children.get(name)
            walked = _join(walked, name)
            found = self._below.lookup(walked)
            if found is None or (found.kind != "dir" and place < len(parts) - 1):
                return None
        if not parts:
            return Entry("", "dir", 0o755)
        return found


def _parts(path: str) -> list[str]:
    return path.split("/") if path else []


def _join(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name
