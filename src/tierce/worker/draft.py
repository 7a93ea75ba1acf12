"""A layer while it is put together, seen as the file system that it will give on top of its base.

COPY, ADD and WORKDIR are carried out here, on lists: what the base has is looked up in the merged
index of its layers, what is added stays a list of entries and of places where their bytes are.
No file is created until somebody needs the result unpacked. No whiteouts are needed: an entry of
a layer takes the place of what is beneath, be it a directory.
"""

from __future__ import annotations

from tierce.errors import BuildError
from tierce.layer.entry import Entry, sort_key

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.layer.entry import Content, Item
    from tierce.layer.view import Tree
    from tierce.worker.owners import Owner

_MAX_LINKS = 255  # as BuildKit's in-root resolution


class LayerDraft:
    """New entries over a base tree (None: an empty file system)."""

    def __init__(self, base: Tree | None, mtime_ns: int) -> None:
        """`mtime_ns` is for directories that have to be made."""
        self._base = base
        self._mtime_ns = mtime_ns
        self._items: dict[str, Item] = {}
        self._covered: set[str] = set()
        """Where nothing of the base can be seen inside: what is there is new."""
        self._opaque: set[str] = set()
        """New directories where the base has an old one, of which nothing shall show."""
        self._names: dict[str, list[str]] = {}
        """The further names of a file of this draft: hard links to it."""
        self._inside: dict[str, set[str]] | None = None
        """The paths in each directory that has items in it, once somebody needs that."""

    # Seeing

    def lookup(self, path: str) -> Entry | None:
        """The entry at a path whose parents are resolved; a last link is not followed."""
        item = self._items.get(path)
        if item is not None:
            return item[0]
        if self._base is None:
            return Entry("", "dir", 0o755) if not path else None
        if self._covered and self._is_covered(path):
            return None
        return self._base.lookup(path)

    def resolve(self, path: str, root: str = "", *, last: bool = True) -> str:
        """The path with every link followed; missing parts are kept.

        `root` is where links that are absolute begin, and nothing leads out of it: `path` is
        relative to it, the result is not. Without `last`, a link at the end is kept.
        """
        top = _parts(root)
        done = list(top)
        todo = _parts(path)[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                if len(done) > len(top):
                    done.pop()
                continue
            entry = self.lookup("/".join([*done, part]))
            if entry is None or entry.kind != "symlink" or not (todo or last):
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise BuildError(f"resolve /{path.lstrip('/')}: too many symbolic links")
            if entry.link.startswith("/"):
                done = list(top)
            todo += _parts(entry.link)[::-1]
        return "/".join(done)

    # Adding

    def put(self, entry: Entry, content: Content | bytes | None = None) -> bool:
        """Add an entry whose parents exist, as COPY does; whether nothing was at its path.

        A directory that is there takes mode and owner of the new one, and keeps its attributes.
        Raises BuildError when a file would replace a directory, or the other way round.
        """
        path = entry.path
        there = self.lookup(path)
        if there is None:
            if entry.kind == "dir":
                self._covered.add(path)
        elif there.kind != "dir":
            if entry.kind == "dir":
                raise BuildError(f"cannot copy to non-directory: /{path}")
        elif entry.kind != "dir":
            raise BuildError(f"cannot replace to directory /{path} with file")
        else:
            entry = _merged(entry, there)
        self._set(entry, content)
        return there is None

    def put_new(self, entry: Entry, content: Content | None) -> None:
        """`put` for a path in a new directory that nothing was put at: no look-up is needed."""
        if entry.kind == "dir":
            self._covered.add(entry.path)
        self._items[entry.path] = (entry, content)
        if self._inside is not None:
            self._note_inside(entry.path)

    def replace(self, entry: Entry, content: Content | bytes | None = None) -> None:
        """Add an entry whose parents exist, as tar does: it removes what is at its path.

        Two directories are merged, as by `put`.
        """
        there = self.lookup(entry.path)
        if entry.kind != "dir":
            self._clear(entry.path, there)
        elif there is not None and there.kind == "dir":
            entry = _merged(entry, there)
        else:
            self._covered.add(entry.path)
            below = self._base.lookup(entry.path) if self._base is not None else None
            if below is not None and below.kind == "dir":
                self._opaque.add(entry.path)
        self._set(entry, content)

    def link(self, entry: Entry, *, replace: bool = False) -> None:
        """Add a hard link whose parents exist; its target is a path, its parents resolved.

        A directory at its path is in the way, or with `replace` gives way. A file of the base
        becomes part of this layer, as when overlayfs copies it up, and takes mode and owner of
        the link. Raises BuildError where there is no file to link to.
        """
        there = self.lookup(entry.path)
        if there is not None and there.kind == "dir" and not replace:
            raise BuildError(f"cannot replace to directory /{entry.path} with file")
        target = entry.link
        item = self._items.get(target)
        if item is not None and item[0].kind == "hardlink":
            target = item[0].link
            item = self._items[target]
        if item is None:
            item = self._items[target] = self._from_base(target, entry)
        file, content = item
        if file.kind == "dir" or entry.path == target:
            raise BuildError(f"link /{entry.path} to /{target}: not a file")
        self._clear(entry.path, there)
        if file.kind == "file":
            self._set(_link_to(file, entry.path))
            self._names.setdefault(target, []).append(entry.path)
        else:
            # A tar has no good way to say it, and nobody can tell such names apart.
            self._set(file._replace(path=entry.path), content)

    def make_directories(self, path: str, mode: int, owner: Owner) -> None:
        """Make a directory and its parents, which are resolved, where they are missing."""
        at = 0
        while at >= 0 and path:
            at = path.find("/", at + 1)
            here = path[:at] if at >= 0 else path
            there = self.lookup(here)
            if there is None:
                self.put(Entry(here, "dir", mode, owner[0], owner[1], 0, self._mtime_ns))
            elif there.kind != "dir":
                raise BuildError(f"mkdir /{here}: not a directory")

    # The result

    def items(self) -> list[Item]:
        """What the layer holds, in a layer's order.

        Parents that the base has are listed again as they are: a layer that is unpacked by itself
        must not make up their modes and owners.
        """
        items = dict(self._items)
        for file, names in self._names.items():
            self._order_names(items, file, names)
        for path in self._items:
            parent = path.rpartition("/")[0]
            while parent and parent not in items:
                entry = self.lookup(parent)
                if entry is None:
                    raise BuildError(f"copy to /{path}: no directory /{parent}")
                items[parent] = (entry, None)
                parent = parent.rpartition("/")[0]
        ordered = [items[path] for path in sorted(items, key=sort_key)]
        if not self._opaque:
            return ordered
        marked: list[Item] = []
        for item in ordered:
            marked.append(item)
            if item[0].kind == "dir" and item[0].path in self._opaque:
                marked.append((Entry(item[0].path, "opaque", 0), None))
        return marked

    def _order_names(self, items: dict[str, Item], file: str, names: list[str]) -> None:
        """Let the first name of a file in a layer's order be the file, the others links to it."""
        first = min([file, *names], key=sort_key)
        if first == file:
            return
        entry, content = items[file]
        items[first] = (entry._replace(path=first), content)
        for name in [file, *names]:
            if name != first:
                items[name] = (_link_to(items[first][0], name), None)

    # Bookkeeping

    def _set(self, entry: Entry, content: Content | bytes | None = None) -> None:
        """Put an item in the place of another, if there is one."""
        if self._names:
            self._forget(entry.path)
        self._items[entry.path] = (entry, content)
        if self._inside is not None:
            self._note_inside(entry.path)

    def _forget(self, path: str) -> None:
        """An item goes. If it is a file with further names, the next one becomes the file."""
        item = self._items.pop(path, None)
        if item is None:
            return
        entry, content = item
        if entry.kind == "hardlink":
            self._names[entry.link].remove(path)
            return
        names = self._names.pop(path, None)
        if names:
            first, *others = names
            self._items[first] = (entry._replace(path=first), content)
            self._names[first] = others
            for name in others:
                self._items[name] = (_link_to(entry._replace(path=first), name), None)

    def _remove_inside(self, path: str) -> None:
        """Remove everything in a directory from the draft."""
        if self._inside is None:
            self._inside = {}
            for each in self._items:
                self._note_inside(each)
        pending = [path]
        while pending:
            for child in self._inside.pop(pending.pop(), ()):
                self._forget(child)
                self._covered.discard(child)
                self._opaque.discard(child)
                pending.append(child)

    def _note_inside(self, path: str) -> None:
        """Note a path in its directory, and that in its own, be it one of the base."""
        assert self._inside is not None
        while path:
            parent = path.rpartition("/")[0]
            siblings = self._inside.setdefault(parent, set())
            if path in siblings:
                return
            siblings.add(path)
            path = parent

    def _clear(self, path: str, there: Entry | None) -> None:
        """Remove what is in a directory that something else takes the place of."""
        if there is not None and there.kind == "dir":
            self._remove_inside(path)
            self._opaque.discard(path)
            self._covered.add(path)

    def _from_base(self, path: str, link: Entry) -> Item:
        """A file of the base as one of this layer, with mode and owner of a link to it."""
        entry = self.lookup(path)
        if entry is None or self._base is None:
            raise BuildError(f"link to /{path}: no such file")
        if entry.kind != "file":
            return entry, None
        made = entry._replace(mode=link.mode, uid=link.uid, gid=link.gid, offset=-1)
        return made, self._base.content(entry)

    def _is_covered(self, path: str) -> bool:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in self._covered:
                return True
            parent = parent.rpartition("/")[0]
        return False


def _link_to(file: Entry, path: str) -> Entry:
    return file._replace(
        path=path, kind="hardlink", link=file.path, size=0, xattrs=(), digest=b"", offset=-1
    )


def _merged(directory: Entry, there: Entry) -> Entry:
    """A directory with the attributes of the one that it is merged with."""
    if not there.xattrs:
        return directory
    merged = dict(there.xattrs) | dict(directory.xattrs)
    return directory._replace(xattrs=tuple(sorted(merged.items())))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
