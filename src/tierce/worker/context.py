"""A directory of the caller as a tree to copy from, less what .dockerignore excludes.

Each directory is read once in a build, so that all steps see the same list of files. As with
docker, files of a context belong to root whoever owns them on the host, have no extended
attributes (its transfer loses them), and sockets do not exist.
"""

from __future__ import annotations

import marshal
import os
import stat
import threading
from bisect import bisect_left

from tierce.errors import BuildError, Cancelled
from tierce.layer.entry import Content, Entry
from tierce.layer.host import KINDS
from tierce.oci.digest import new_hash, sha256_hex
from tierce.worker.digests import DigestCache, Stamp, now_racy_after

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from tierce.worker.remembered import RememberedLayers

    class Exclusions(Protocol):
        """What .dockerignore says; paths are relative to the context."""

        def matches(self, path: str, is_directory: bool) -> bool: ...
        def may_hold_exceptions(self, directory: str) -> bool: ...


_MAX_LINKS = 255  # as BuildKit's in-root resolution
_CHUNK_BYTES = 1 << 20
_ROW_BYTES = 6 * 8
_TYPE_MASK = 0o170000
_MODE_MASK = 0o7777
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: a file that was replaced by a FIFO since it was listed must fail, not hang.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Row = tuple[str, int, int, int, int, int, int]
"""One name in a directory: (name, st_mode, inode, size, mtime_ns, ctime_ns, links).

What is between mode and links is a `digests.Stamp`.
"""


class LocalTree:
    """The files below `root`: a `tierce.layer.view.Tree`.

    Safe to share between threads. What cannot be read is a BuildError. A file that is changed
    under a build may be seen in either state, but is never taken for what it was before.
    """

    def __init__(
        self,
        root: str,
        ignore: Exclusions | None,
        digests: DigestCache,
        layers: RememberedLayers | None = None,
    ) -> None:
        """`layers` are those that were made of the directory before, to take over from."""
        self.root = root
        self.layers = layers
        self.bytes_read = 0
        """Bytes of files that were read because their digest was not known."""
        self.bytes_listed = 0
        """About how many bytes of metadata were read."""
        self.cancelled: threading.Event | None = None
        """Reading of files stops with Cancelled once this is set."""
        self.gathered: dict[str, int | None] = {}
        """The snapshots of what is at a path, for steps that mount it; see `files.gather`."""
        self.gathering = threading.Lock()
        self._ignore = ignore
        self._digests = digests
        self._racy_after = now_racy_after()
        self._directories: dict[str, list[Row]] = {}
        self._entries: dict[str, list[Entry]] = {}
        self._stamps: dict[str, str] = {}
        self._known: dict[str, bytes] = {}
        self._linked: set[str] = set()
        self._lock = threading.Lock()

    # Tree

    def lookup(self, path: str) -> Entry | None:
        """What is at `path`, as lstat; links among its parents are followed inside the root."""
        parent, _, name = path.rpartition("/")
        if parent not in self._directories or name in {"", ".", ".."}:
            parent, name = self._parent(path)
        if not name:
            return self._root_entry()
        row = self._row(parent, name)
        return self._entry(f"{parent}/{name}" if parent else name, row) if row else None

    def resolve(self, path: str) -> str:
        """The path with every link followed, none of them out of the root."""
        done: list[str] = []
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if done:
                    done.pop()
                continue
            row = self._row("/".join(done), part)
            if row is None or not stat.S_ISLNK(row[1]):
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise BuildError(f"resolve {path}: too many symbolic links")
            target = self._readlink("/".join([*done, part]))
            if target.startswith("/"):
                done = []
            todo += target.split("/")[::-1]
        return "/".join(done)

    def children(self, path: str) -> list[Entry]:
        """What is in a directory, sorted by name; nothing when it is none."""
        return self._children(path if path in self._directories else self.resolve(path))

    def walk(self, path: str = "", enter: Callable[[Entry], bool] | None = None) -> Iterator[Entry]:
        """Everything below a directory, each directory before what it holds, names sorted.

        A further name of a file that came before is a "hardlink", with that name as its `link`.
        Directories that `enter` says no to come without what is in them.
        """
        first_names: dict[tuple[int, int], str] = {}
        stack = [iter(self.children(path))]
        while stack:
            for entry in stack[-1]:
                if entry.kind == "dir":
                    yield entry
                    if enter is not None and not enter(entry):
                        continue
                    stack.append(iter(self._children(entry.path)))
                    break
                if self._linked and entry.path in self._linked:
                    yield self._hard_linked(entry, first_names)
                else:
                    yield entry
            else:
                stack.pop()

    def content(self, entry: Entry) -> Content:
        """Where the bytes of a file are."""
        return Content(f"{self.root}/{entry.path}", 0, entry.size)

    def file_digest(self, entry: Entry) -> bytes:
        """SHA-256 of a file, remembered from an earlier build where the file is unchanged.

        The same for all of a build, unless `learn` says something else.
        """
        digest = self._known.get(entry.path) or entry.digest
        if not digest:
            digest = self._read(entry)
            self.learn([(entry, digest)])
        return digest

    # What only a directory of the host has

    def learn(self, digests: Iterable[tuple[Entry, bytes]]) -> bool:
        """Remember the digests of files that were read; whether one was not known before.

        The next build trusts them as long as a file is as it was when its directory was listed.
        """
        directory, rows = "", dict[str, Row]()
        has_news = False
        for entry, digest in digests:
            path = entry.path
            if digest == (self._known.get(path) or entry.digest):
                continue
            has_news = True
            self._known[path] = digest
            parent, _, name = path.rpartition("/")
            if parent != directory or not rows:
                directory, rows = parent, {row[0]: row for row in self.rows(parent)}
            row = rows.get(name)
            if row is not None:
                self._digests.put(path, row[2:6], digest, self._racy_after)
        return has_news

    def confirm(self, entry: Entry, digest: bytes) -> None:
        """Raise BuildError when a file that was read is not what it was as it was listed."""
        known = self._known.get(entry.path) or entry.digest
        if known:
            if known != digest:
                raise _changed(entry.path)
            return
        self.check_unchanged(entry)
        self.learn([(entry, digest)])

    def check_unchanged(self, entry: Entry) -> None:
        """Raise BuildError when a file was written to since it was listed."""
        parent, _, name = entry.path.rpartition("/")
        try:
            status = os.lstat(f"{self.root}/{entry.path}")
        except OSError as error:
            raise _unreadable(entry.path, error) from error
        row = self._row(parent, name)
        if row is None or row[2:6] != _stamp(status):
            raise _changed(entry.path)

    def are_unchanged(self, entries: Iterable[Entry]) -> bool:
        """Whether files, in the order of a walk, are what they were when they were listed."""
        listed, descriptor = "", -1
        rows: dict[str, Row] = {}
        try:
            for entry in entries:
                directory, _, name = entry.path.rpartition("/")
                if directory != listed or descriptor < 0:
                    if descriptor >= 0:
                        os.close(descriptor)
                    descriptor = os.open(f"{self.root}/{directory}", _LIST)
                    listed, rows = directory, {row[0]: row for row in self.rows(directory)}
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if rows[name][2:6] != _stamp(status):
                    return False
        except OSError:
            return False
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return True

    def stamp_digest(self, path: str) -> str:
        """A digest of the metadata of everything at and below a path, mtime and ctime included.

        While it stays, so does all content. Empty when something is too fresh to be sure. The
        links among the path's parents have been followed.
        """
        stamp = self._stamps.get(path)
        if stamp is None:
            stamp = self._stamps[path] = self._stamp(path)
        return stamp

    def _stamp(self, path: str) -> str:
        pieces = []
        if path:
            parent, _, name = path.rpartition("/")
            row = self._row(parent, name)
            if row is None or row[5] >= self._racy_after:
                return ""
            pieces.append(marshal.dumps(row, 2))
            if not stat.S_ISDIR(row[1]):
                return sha256_hex(pieces[0])
        stack = [path]
        while stack:
            directory = stack.pop()
            rows = self.rows(directory)
            if rows and max([row[5] for row in rows]) >= self._racy_after:
                return ""
            # Version 2 of the format has no references: equal rows give equal bytes.
            pieces.append(marshal.dumps((directory, rows), 2))
            prefix = f"{directory}/" if directory else ""
            stack += [prefix + row[0] for row in rows if stat.S_ISDIR(row[1])]
        return sha256_hex(b"".join(pieces))

    def save(self) -> None:
        """Keep what was learned for the next build."""
        if self._digests.has_news:
            self._digests.save(self._listed(), self._finder_of_gone())
        if self.layers is not None:
            self.layers.save()

    def rows(self, directory: str) -> list[Row]:
        """The names in a directory that are not excluded, sorted; empty when it is not one."""
        known = self._directories.get(directory)
        if known is None:
            # Of two threads that scan a directory, one has the say.
            known = self._directories.setdefault(directory, self._scan(directory))
            with self._lock:
                self.bytes_listed += sum([len(row[0]) + _ROW_BYTES for row in known])
        return known

    def _scan(self, directory: str) -> list[Row]:
        path = f"{self.root}/{directory}" if directory else self.root
        try:
            descriptor = os.open(path, _LIST | os.O_NOFOLLOW if directory else _LIST)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _unreadable(directory, error) from error
        try:
            rows = _list(descriptor)
        except OSError as error:
            raise _unreadable(directory, error) from error
        finally:
            os.close(descriptor)
        if self._ignore is not None:
            rows = [row for row in rows if not self._excluded(self._ignore, directory, row)]
        return rows

    def _excluded(self, ignore: Exclusions, directory: str, row: Row) -> bool:
        path = f"{directory}/{row[0]}" if directory else row[0]
        is_directory = stat.S_ISDIR(row[1])
        if not ignore.matches(path, is_directory):
            return False
        # A directory that is excluded exists after all when an exception brings back a part of it.
        return not (is_directory and ignore.may_hold_exceptions(path) and self.rows(path))

    def _row(self, directory: str, name: str) -> Row | None:
        rows = self.rows(directory)
        at = bisect_left(rows, (name,))
        return rows[at] if at < len(rows) and rows[at][0] == name else None

    def _parent(self, path: str) -> tuple[str, str]:
        """The directory that a path is in, links followed, and its name there; "" for the root."""
        parts = [part for part in path.split("/") if part not in {"", "."}]
        if not parts:
            return "", ""
        if parts[-1] == "..":
            parent, _, name = self.resolve(path).rpartition("/")
            return parent, name
        return self.resolve("/".join(parts[:-1])), parts[-1]

    def _children(self, directory: str) -> list[Entry]:
        known = self._entries.get(directory)
        if known is None:
            prefix = f"{directory}/" if directory else ""
            made = [self._entry(prefix + row[0], row) for row in self.rows(directory)]
            known = self._entries.setdefault(directory, made)
        return known

    def _root_entry(self) -> Entry:
        try:
            status = os.stat(self.root)
        except OSError as error:
            raise _unreadable("", error) from error
        return Entry("", "dir", status.st_mode & _MODE_MASK, 0, 0, 0, status.st_mtime_ns)

    def _entry(self, path: str, row: Row) -> Entry:
        _, mode, _, size, mtime_ns, _, names = row
        kind = KINDS[mode & _TYPE_MASK]
        mode &= _MODE_MASK
        if kind == "file":
            if names > 1:
                self._linked.add(path)
            digest = self._digests.get(path, row[2:6])
            return Entry(path, kind, mode, 0, 0, size, mtime_ns, "", (0, 0), (), digest)
        link = self._readlink(path) if kind == "symlink" else ""
        device = self._device(path) if kind in {"char", "block"} else (0, 0)
        return Entry(path, kind, mode, 0, 0, 0, mtime_ns, link, device)

    def _hard_linked(self, entry: Entry, first_names: dict[tuple[int, int], str]) -> Entry:
        """The entry, or a link to the first name of its file in this walk."""
        try:
            status = os.lstat(f"{self.root}/{entry.path}")
        except OSError as error:
            raise _unreadable(entry.path, error) from error
        first = first_names.setdefault((status.st_dev, status.st_ino), entry.path)
        if first == entry.path:
            return entry
        return entry._replace(kind="hardlink", size=0, link=first, digest=b"")

    def _readlink(self, path: str) -> str:
        try:
            return os.readlink(f"{self.root}/{path}")
        except OSError as error:
            raise _unreadable(path, error) from error

    def _device(self, path: str) -> tuple[int, int]:
        try:
            number = os.lstat(f"{self.root}/{path}").st_rdev
        except OSError as error:
            raise _unreadable(path, error) from error
        return os.major(number), os.minor(number)

    def _read(self, entry: Entry) -> bytes:
        digest = new_hash()
        size = 0
        try:
            descriptor = os.open(f"{self.root}/{entry.path}", _READ)
            try:
                while chunk := os.read(descriptor, _CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
                    if self.cancelled is not None and self.cancelled.is_set():
                        raise Cancelled("read build context: cancelled")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unreadable(entry.path, error) from error
        with self._lock:
            self.bytes_read += size
        if size != entry.size:
            raise _changed(entry.path)
        known: bytes = digest.digest()
        return known

    def _listed(self) -> set[str]:
        """The paths of all that was listed."""
        return {
            f"{directory}/{row[0]}" if directory else row[0]
            for directory, rows in self._directories.items()
            for row in rows
        }

    def _finder_of_gone(self) -> Callable[[str], bool]:
        """Tells whether a path is missing in the list of its directory, or of one above."""
        names = {
            directory: {row[0] for row in rows} for directory, rows in self._directories.items()
        }

        def is_gone(path: str) -> bool:
            parent, _, name = path.rpartition("/")
            while (listed := names.get(parent)) is None:
                if not parent:
                    return False
                parent, _, name = parent.rpartition("/")
            return name not in listed

        return is_gone


def _list(descriptor: int) -> list[Row]:
    """What is in an open directory, sockets aside; once for each file of a context."""
    rows = []
    # Relative to a descriptor, the kernel has one name to look up, not the whole path. scandir
    # would hold an object for each name on top of the result of its stat.
    for name in sorted(os.listdir(descriptor)):
        try:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            continue  # removed since it was listed
        if status.st_mode & _TYPE_MASK in KINDS:
            rows.append(
                (
                    name,
                    status.st_mode,
                    status.st_ino,
                    status.st_size,
                    status.st_mtime_ns,
                    status.st_ctime_ns,
                    status.st_nlink,
                )
            )
    return rows


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _changed(path: str) -> BuildError:
    return BuildError(f"read build context: {path} changed while the build read it")


def _unreadable(path: str, error: OSError) -> BuildError:
    cause = error.strerror.lower() if error.strerror else str(error)
    hint = ""
    if isinstance(error, PermissionError):
        hint = "make it readable, or name it in .dockerignore"
    return BuildError(f"read build context: {path or '.'}: {cause}", hint=hint)
