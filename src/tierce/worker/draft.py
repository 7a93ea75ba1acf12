"""A layer while it is put together, seen as the file system that it will give on top of its base.

COPY, ADD and WORKDIR are carried out here, on lists: what the base has is looked up in the merged
index of its layers, what is added stays a list of entries and of places where their bytes are.
No file is created until somebody needs the result unpacked. Files only ever replace or join what
is there, so that no whiteouts are needed.
"""

import os.path

from tierce.errors import BuildError
from tierce.layer.entry import Content, Entry, Item, sort_key
from tierce.layer.view import Tree

_MAX_LINKS = 255  # as BuildKit's in-root resolution

Owner = tuple[int, int]
ROOT: Owner = (0, 0)


class LayerDraft:
    """New entries over a base tree (None: an empty file system)."""

    def __init__(self, base: Tree | None, mtime_ns: int) -> None:
        """`mtime_ns` is for directories that have to be made."""
        self._base = base
        self._mtime_ns = mtime_ns
        self._items: dict[str, Item] = {}
        self._created: set[str] = set()

    # Seeing

    def lookup(self, path: str) -> Entry | None:
        """The entry at a path whose parents are resolved; a last link is not followed."""
        item = self._items.get(path)
        if item is not None:
            return item[0]
        if self._base is None:
            return Entry("", "dir", 0o755) if not path else None
        if self._created and self._below_created(path):
            return None
        return self._base.lookup(path)

    def follow(self, path: str) -> Entry | None:
        """The entry at a path, with all links followed."""
        return self.lookup(self.resolve(path))

    def resolve(self, path: str) -> str:
        """The path with every link followed inside the root; missing parts are kept."""
        done: list[str] = []
        todo = _parts(path)[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                if done:
                    done.pop()
                continue
            here = "/".join([*done, part])
            entry = self.lookup(here)
            if entry is None or entry.kind != "symlink":
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise BuildError(f"resolve /{path}: too many symbolic links")
            if entry.link.startswith("/"):
                done = []
            todo += _parts(entry.link)[::-1]
        return "/".join(done)

    # Adding

    def put(self, entry: Entry, content: Content | bytes | None = None) -> bool:
        """Add an entry whose parents exist; replaces what is at its path.

        Says whether there was nothing at that path.

        Raises BuildError when a file would replace a directory, or the other way round.
        """
        path = entry.path
        there = self.lookup(path)
        if there is not None:
            if entry.kind == "dir" and there.kind != "dir":
                raise BuildError(f"cannot copy to non-directory: /{path}")
            if entry.kind != "dir" and there.kind == "dir":
                raise BuildError(f"cannot replace to directory /{path} with file")
        elif entry.kind == "dir":
            self._created.add(path)
        self._items[path] = (entry, content)
        return there is None

    def replace(self, entry: Entry, content: Content | bytes | None = None) -> None:
        """Add an entry, removing what is at its path, unless both are directories."""
        path = entry.path
        there = self.lookup(path)
        if there is not None and there.kind == "dir" and entry.kind != "dir":
            below = path + "/"
            for old in [each for each in self._items if each.startswith(below)]:
                del self._items[old]
                self._created.discard(old)
        if entry.kind == "dir" and (there is None or there.kind != "dir"):
            self._created.add(path)
        self._items[path] = (entry, content)

    def make_directories(self, path: str, mode: int, owner: Owner) -> str:
        """Make a directory and its parents where they are missing; the resolved path."""
        resolved = self.resolve(path)
        parts = _parts(resolved)
        for count in range(1, len(parts) + 1):
            here = "/".join(parts[:count])
            there = self.lookup(here)
            if there is None:
                made = Entry(here, "dir", mode, owner[0], owner[1], 0, self._mtime_ns)
                self.put(made)
            elif there.kind != "dir":
                raise BuildError(f"mkdir /{here}: not a directory")
        return resolved

    def put_new(self, entry: Entry, content: Content | None) -> None:
        """`put` for a path in a new directory that nothing was put at: no look-up is needed."""
        if entry.kind == "dir":
            self._created.add(entry.path)
        self._items[entry.path] = (entry, content)

    # The result

    def content(self, path: str) -> Content | None:
        """Where the bytes of a file that was put are, when they are in a file."""
        item = self._items.get(path)
        return item[1] if item is not None and isinstance(item[1], Content) else None

    def items(self) -> list[Item]:
        """What the layer holds, in a layer's order.

        Parents that the base has are listed again as they are: a layer that is unpacked by itself
        must not make up their modes and owners.
        """
        items = dict(self._items)
        self._settle_links(items)
        for path in self._items:
            parent = path.rpartition("/")[0]
            while parent and parent not in items:
                entry = self.lookup(parent)
                if entry is None:
                    raise BuildError(f"copy to /{path}: no directory /{parent}")
                items[parent] = (entry, None)
                parent = parent.rpartition("/")[0]
        return [items[path] for path in sorted(items, key=sort_key)]

    def _settle_links(self, items: dict[str, Item]) -> None:
        """Make each hard link name a file of this layer that comes before it.

        An archive may list the names of a file in any order, or link to a file of the base.
        """
        names: dict[str, list[str]] = {}
        for path, (entry, _) in items.items():
            if entry.kind == "hardlink":
                names.setdefault(entry.link, []).append(path)
        for target, links in names.items():
            file = items.get(target)
            if file is None or file[0].kind != "file":
                file = self._base_file(target)
                group = sorted(links, key=sort_key)
            else:
                group = sorted([target, *links], key=sort_key)
            entry, content = file
            items[group[0]] = (entry._replace(path=group[0]), content)
            for path in group[1:]:
                link = entry._replace(path=path, kind="hardlink", link=group[0], size=0, xattrs=())
                items[path] = (link, None)

    def _base_file(self, path: str) -> Item:
        entry = self._base.lookup(path) if self._base is not None else None
        if entry is not None and entry.kind == "hardlink" and self._base is not None:
            entry = self._base.lookup(entry.link)
        if entry is None or entry.kind != "file" or self._base is None:
            raise BuildError(f"link to /{path}: not a file")
        return entry, self._base.content(entry)

    def _below_created(self, path: str) -> bool:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in self._created:
                return True
            parent = parent.rpartition("/")[0]
        return False


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def clean(path: str) -> str:
    """An absolute path without dots, relative to the root: "/a/./b/../c/" gives "a/c"."""
    return os.path.normpath("/" + path).lstrip("/")
