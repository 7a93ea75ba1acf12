"""The file tree that layers make together, answered without unpacking them."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence

from tierce.errors import LayerError
from tierce.layer.entry import Content, Entry
from tierce.layer.sources import LayerSource
from tierce.values import NamedTuple, Protocol

_LINKS_MAX = 40  # as path_resolution(7)
_CHUNK = 1 << 20


class Tree(Protocol):
    """A file tree to look into.

    Paths are relative to its root, with or without a leading "/"; ".." at the root stays there,
    and absolute symlinks start at the root: nothing outside can be reached. The paths of the
    entries that come back have no symlink among their parents. Hard links are "file" entries (or
    whatever they link to), except in `walk`. Errors: LayerError for too many symlinks or a layer
    that cannot be read.
    """

    def lookup(self, path: str) -> Entry | None:
        """What is at `path`, as lstat: symlinks among its parents are followed, itself is not."""

    def resolve(self, path: str) -> str:
        """`path` with all symlinks followed, as realpath(3); missing parts are kept as given."""

    def children(self, path: str) -> list[Entry]:
        """What is in the directory `path` (or a symlink to it), sorted; nothing if it is none."""

    def walk(self, path: str = "", enter: Callable[[Entry], bool] | None = None) -> Iterator[Entry]:
        """Everything below the directory `path` (or a symlink to it), sorted by `sort_key`.

        A further name of a file that came before is a "hardlink", with that name as its `link`.
        Directories that `enter` says no to come without what is in them.
        """

    def content(self, entry: Entry) -> Content:
        """Where the bytes of a "file" of this tree are on the host."""

    def file_digest(self, entry: Entry) -> bytes:
        """Raw sha256 of a "file" of this tree; reads the file if nobody has before."""


def read_file(tree: Tree, path: str, limit: int = 1 << 20) -> bytes | None:
    """The content of a small file such as etc/passwd, symlinks followed; None if there is none.

    Raises LayerError for a file of more than `limit` bytes.
    """
    entry = tree.lookup(tree.resolve(path))
    if entry is None or entry.kind != "file":
        return None
    if entry.size > limit:
        raise LayerError(f"read {path}: {entry.size} bytes are too many", entry=path)
    where = tree.content(entry)
    with open(where.path, "rb") as file:
        file.seek(where.offset)
        return file.read(where.size)


class _Directory(NamedTuple):
    entry: Entry
    layers: list[LayerSource]
    """Those with this directory, top first, down to the first that hides the rest."""


class _Leaf(NamedTuple):
    entry: Entry
    layer: LayerSource
    inode: Hashable


class MergedView(Tree):
    """The `Tree` of layers upon each other, bottom first; safe to share between threads.

    A layer is asked only about directories that it has, so an index that no question reaches is
    never loaded.
    """

    def __init__(self, layers: Sequence[LayerSource]) -> None:
        self._layers = list(reversed(layers))
        self._directories: dict[str, _Directory] = {}

    def lookup(self, path: str) -> Entry | None:
        parent, _, name = path.rpartition("/")
        known = self._directories.get(parent)
        if known is not None and name not in {"", ".", ".."}:
            node = self._child(known, name)
        else:
            node = self._find(path, follow=False)[1]
        return node.entry if node else None

    def resolve(self, path: str) -> str:
        return self._find(path, follow=True)[0]

    def children(self, path: str) -> list[Entry]:
        node = self._find(path, follow=True)[1]
        if not isinstance(node, _Directory):
            return []
        return [child.entry for child in self._children(node)]

    def names(self, path: str) -> set[str]:
        """At least the names in the directory `path`: cheaper than asking for each of many."""
        node = self._find(path, follow=True)[1]
        return _names(node) if isinstance(node, _Directory) else set()

    def walk(self, path: str = "", enter: Callable[[Entry], bool] | None = None) -> Iterator[Entry]:
        node = self._find(path, follow=True)[1]
        if isinstance(node, _Directory):
            yield from self._walk(node, {}, enter)

    def content(self, entry: Entry) -> Content:
        if entry.offset >= 0:
            # An entry of this tree; where one layer makes the directory, it can only be its.
            directory = self._directories.get(entry.path.rpartition("/")[0])
            if directory is not None and len(directory.layers) == 1:
                return directory.layers[0].content(entry)
        leaf = self._source(entry)
        return leaf.layer.content(leaf.entry)

    def file_digest(self, entry: Entry) -> bytes:
        if entry.digest:
            return entry.digest
        leaf = self._source(entry)
        return leaf.entry.digest or hash_content(leaf.layer.content(leaf.entry))

    def _find(self, path: str, *, follow: bool) -> tuple[str, _Directory | _Leaf | None]:
        """Walk down `path`: where it leads, and what is there."""
        root = self._root()
        # What the path walked so far consists of, from the root: (name, node).
        trail: list[tuple[str, _Directory | _Leaf | None]] = [("", root)]
        rest = path.split("/")
        rest.reverse()
        links = 0
        while rest:
            name = rest.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                if len(trail) > 1:
                    trail.pop()
                continue
            node = self._child(trail[-1][1], name)
            if isinstance(node, _Leaf) and node.entry.kind == "symlink" and (rest or follow):
                links += 1
                if links > _LINKS_MAX:
                    raise LayerError(
                        f"resolve {path}: too many levels of symbolic links", entry=path
                    )
                target = node.entry.link
                if target.startswith("/"):
                    del trail[1:]
                rest += reversed(target.split("/"))
                continue
            trail.append((name, node))
        return "/".join([name for name, _ in trail[1:]]), trail[-1][1]

    def _root(self) -> _Directory:
        known = self._directories.get("")
        if known is not None:
            return known
        root = self._merge("", self._layers)
        if not isinstance(root, _Directory):
            root = _Directory(Entry("", "dir", 0o755), [])
        self._directories[""] = root
        return root

    def _child(self, parent: _Directory | _Leaf | None, name: str) -> _Directory | _Leaf | None:
        if not isinstance(parent, _Directory):
            return None
        path = f"{parent.entry.path}/{name}" if parent.entry.path else name
        known = self._directories.get(path)
        if known is not None:
            return known
        node = self._merge(path, parent.layers)
        if isinstance(node, _Directory):
            self._directories[path] = node
        return node

    def _merge(self, path: str, layers: list[LayerSource]) -> _Directory | _Leaf | None:
        """What layers (top first) make of a path in a directory they all have."""
        having: list[LayerSource] = []
        entry = None
        hidden = False
        for layer in layers:
            found = layer.find(path)
            if found is None:
                continue
            if not found.directory:
                if having:
                    break
                return _Leaf(found.entry, layer, found.inode) if found.entry else None
            if not hidden:
                having.append(layer)
            # A directory without an entry is as beneath, even if it hides what is in that.
            entry = entry or found.entry
            hidden = hidden or found.opaque
            if hidden and entry is not None:
                break
        return _Directory(entry or Entry(path, "dir", 0o755), having) if having else None

    def _children(self, parent: _Directory) -> Iterator[_Directory | _Leaf]:
        for name in sorted(_names(parent)):
            node = self._child(parent, name)
            if node is not None:
                yield node

    def _walk(
        self,
        top: _Directory,
        first_names: dict[Hashable, str],
        enter: Callable[[Entry], bool] | None,
    ) -> Iterator[Entry]:
        # A stack and not recursion: directories can be nested deeper than Python calls.
        pending: list[Iterator[_Directory | _Leaf]] = [iter([top])]
        while pending:
            node = next(pending[-1], None)
            if node is None:
                pending.pop()
            elif isinstance(node, _Leaf):
                yield _hard_linked(node.entry, node.layer, node.inode, first_names)
            else:
                if node is not top:
                    yield node.entry
                    if enter is not None and not enter(node.entry):
                        continue
                if len(node.layers) == 1 and enter is None:
                    # Nothing to merge from here on.
                    layer = node.layers[0]
                    for entry, inode in layer.walk(node.entry.path):
                        yield (
                            entry
                            if inode is None
                            else _hard_linked(entry, layer, inode, first_names)
                        )
                else:
                    pending.append(self._children(node))

    def _source(self, entry: Entry) -> _Leaf:
        parent, _, name = entry.path.rpartition("/")
        directory = self._directories.get(parent) or self._find(parent, follow=False)[1]
        node = self._child(directory, name)
        if not isinstance(node, _Leaf) or node.entry.kind != "file":
            raise LayerError(f"read {entry.path}: not a file", entry=entry.path)
        return node


def _names(directory: _Directory) -> set[str]:
    """What the layers speak of in a directory, be it that it is gone."""
    return {name for layer in directory.layers for name in layer.names(directory.entry.path)}


def hash_content(content: Content) -> bytes:
    """Raw sha256 of the bytes at `content`. Raises LayerError if they cannot be read."""
    from hashlib import sha256  # 3 ms, and most views are never asked

    hasher = sha256()
    try:
        with open(content.path, "rb", buffering=0) as file:
            at = content.offset
            end = at + content.size
            while at < end:
                data = os.pread(file.fileno(), min(_CHUNK, end - at), at)
                if not data:
                    raise LayerError(f"read {content.path}: shorter than it should be")
                hasher.update(data)
                at += len(data)
    except OSError as error:
        raise LayerError(f"read {content.path}: {error.strerror}") from error
    return hasher.digest()


def _hard_linked(
    entry: Entry, layer: LayerSource, inode: Hashable, first_names: dict[Hashable, str]
) -> Entry:
    """The entry, or a link to the first name of its file in this walk."""
    if inode is None:
        return entry
    first = first_names.setdefault((id(layer), inode), entry.path)
    if first == entry.path:
        return entry
    return entry._replace(kind="hardlink", link=first, size=0, digest=b"", offset=-1)
