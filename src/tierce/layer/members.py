"""What is left of a tar's members once later ones have replaced earlier ones.

A tar is a list of things to do: a path can come twice, a file can become a directory, a name can
lead through a symlink of the same layer. Unpacking it does all that in the file system; whoever
only wants to know what a layer holds has it done here, with the same outcome.
"""

from collections.abc import Iterable

from tierce.errors import CorruptLayer, UnsafeLayer
from tierce.layer.entry import Entry, sort_key
from tierce.layer.limits import DEFAULT_LIMITS, Limits

_LINKS_MAX = 40  # as path_resolution(7)


class _File:
    """A file with several names in the layer."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.names = {entry.path}


class Members:
    """Takes the entries of a layer in the order of its tar; gives what they amount to.

    Memory is bounded by the limits on entries and on `index_bytes`; beyond them is UnsafeLayer.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._bytes_left = limits.index_bytes
        self._entries: dict[str, Entry] = {}
        self._inside: dict[str, list[str]] = {"": []}
        """By directory, what was put in it; a directory without an entry is here alone."""
        self._whiteouts: set[str] = set()
        self._opaque: set[str] = set()
        self._linked: dict[str, _File] = {}
        self._directories: dict[str, str] = {}
        """Paths that lead to a directory of the layer, and its own path."""

    def add(self, entry: Entry) -> None:
        """Do as unpacking the next entry would.

        Raises CorruptLayer for a path through a file, and for a hard link to nothing.
        """
        self._charge(entry)
        if entry.kind == "opaque":
            self._opaque.add(self._directory(entry.path))
            return
        named, _, name = entry.path.rpartition("/")
        above = self._directory(named)
        path = f"{above}/{name}" if above else name
        there = path in self._entries or path in self._inside
        stays = entry.kind == "whiteout" or (entry.kind == "dir" and path in self._inside)
        if above != named and there and not stays:
            # It must not remove what leads to it.
            self._walk(named, imply=False, removed=path)
        if entry.kind == "whiteout":
            self._hide(above, path)
        elif entry.kind == "hardlink":
            self._link(above, path, entry)
        else:
            self._put(above, path, entry if path == entry.path else entry._replace(path=path))

    def entries(self) -> list[Entry]:
        """The entries of the layer, sorted; the first path of a file with several is the file."""
        entries = self._entries.copy()
        for file in set(self._linked.values()):
            first, *others = sorted(file.names, key=sort_key)
            entries[first] = file.entry._replace(path=first)
            for other in others:
                entries[other] = _hard_link(file.entry, other, first)
        members = [*entries.values()]
        members += [Entry(path, "whiteout", 0) for path in self._whiteouts]
        members += [Entry(path, "opaque", 0) for path in self._opaque]
        members.sort(key=_order)
        return members

    def _put(self, above: str, path: str, entry: Entry) -> None:
        replaced = self._entries.get(path)
        if entry.kind == "dir":
            if replaced is not None and replaced.kind != "dir":
                self._remove(path)
                replaced = None
                self._opaque.add(path)
            if path in self._whiteouts:
                self._whiteouts.remove(path)
                self._opaque.add(path)
        else:
            if replaced is not None or path in self._inside:
                self._remove(path)
                replaced = None
            self._whiteouts.discard(path)
        if replaced is None and path:
            self._inside[above].append(path)
        if entry.kind == "dir":
            self._inside.setdefault(path, [])
        self._entries[path] = entry

    def _link(self, above: str, path: str, entry: Entry) -> None:
        named, _, target_name = entry.link.rpartition("/")
        target_above = self._directory(named, imply=False)
        target = f"{target_above}/{target_name}" if target_above else target_name
        found = self._entries.get(target)
        if found is None or found.kind == "dir" or f"{target}/".startswith(f"{path}/"):
            raise CorruptLayer(
                f"read layer entry {entry.path}: no file {entry.link} to link to",
                entry=entry.path,
            )
        if path in self._entries or path in self._inside:
            self._walk(named, imply=False, removed=path)
        file = self._linked.setdefault(target, _File(found))
        self._put(above, path, found._replace(path=path))
        file.names.add(path)
        self._linked[path] = file

    def _hide(self, above: str, path: str) -> None:
        """A whiteout hides what lower layers have, not what this one has."""
        if path in self._inside:
            self._opaque.add(path)
        elif path not in self._entries:
            self._whiteouts.add(path)
            self._inside[above].append(path)

    def _remove(self, path: str) -> None:
        """Remove what this layer has at `path`, with all that is in it."""
        removed = [path]
        while removed:
            path = removed.pop()
            entry = self._entries.pop(path, None)
            inside = self._inside.pop(path, None)
            if inside is not None or (entry is not None and entry.kind == "symlink"):
                self._directories.clear()
            removed += inside or ()
            self._whiteouts.discard(path)
            self._opaque.discard(path)
            file = self._linked.pop(path, None)
            if file is not None:
                file.names.remove(path)

    def _directory(self, path: str, *, imply: bool = True) -> str:
        """The directory that `path` leads to, through symlinks of this layer.

        What is missing on the way becomes a directory, unless nothing is to be implied.
        """
        if not path:
            return ""
        known = self._directories.get(path)
        if known is None:
            known = self._walk(path, imply=imply)
            if imply:
                self._bytes_left -= len(path)
                self._directories[path] = known
        return known

    def _walk(self, path: str, *, imply: bool, removed: str | None = None) -> str:
        trail = [""]
        rest = path.split("/")
        rest.reverse()
        links = 0
        while rest:
            name = rest.pop()
            if name == "..":
                trail = trail[:-1] or [""]
            if name in {"", ".", ".."}:
                continue
            here = f"{trail[-1]}/{name}" if trail[-1] else name
            entry = self._entries.get(here)
            if removed is not None and f"{here}/".startswith(f"{removed}/"):
                raise CorruptLayer(
                    f"read layer entry {path}: something in it replaces {here}, which leads to it",
                    entry=path,
                )
            if entry is not None and entry.kind == "symlink":
                links += 1
                if links > _LINKS_MAX:
                    raise CorruptLayer(
                        f"read layer entry {path}: too many levels of symbolic links", entry=path
                    )
                if entry.link.startswith("/"):
                    trail = [""]
                rest += reversed(entry.link.split("/"))
                continue
            if entry is not None and entry.kind != "dir":
                raise CorruptLayer(
                    f"read layer entry {path}: {here} is not a directory", entry=path
                )
            if here not in self._inside and imply:
                self._imply(trail[-1], here)
            trail.append(here)
        return trail[-1]

    def _imply(self, above: str, path: str) -> None:
        self._charge(Entry(path, "dir"))
        self._inside[above].append(path)
        self._inside[path] = []
        if path in self._whiteouts:
            self._whiteouts.remove(path)
            self._opaque.add(path)

    def _charge(self, entry: Entry) -> None:
        """Count what is kept of an entry: headers of a megabyte each must not add up."""
        self._bytes_left -= len(entry.path) + len(entry.link)
        if entry.xattrs:
            self._bytes_left -= sum(len(name) + len(value) for name, value in entry.xattrs)
        if self._bytes_left < 0:
            raise UnsafeLayer("read layer: its names and attributes take too much memory")


def members_of(entries: Iterable[Entry], limits: Limits = DEFAULT_LIMITS) -> list[Entry]:
    """What the entries of a tar, in its order, amount to (see `Members`)."""
    members = Members(limits)
    for entry in entries:
        members.add(entry)
    return members.entries()


def _hard_link(entry: Entry, path: str, target: str) -> Entry:
    return entry._replace(
        path=path, kind="hardlink", link=target, size=0, device=(0, 0), digest=b"", offset=-1
    )


def _order(entry: Entry) -> tuple[str, bool]:
    return sort_key(entry.path), entry.kind == "opaque"
