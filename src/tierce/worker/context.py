"""A directory of the caller as a tree to copy from, less what .dockerignore excludes.

Each directory is read once in a build, so that all steps see the same list of files. As with
docker, files of a context belong to root whoever owns them on the host; sockets do not exist.
"""

import hashlib
import marshal
import os
import stat
import threading
from collections.abc import Iterator
from typing import Protocol

from tierce.errors import BuildError
from tierce.layer.entry import Content, Entry
from tierce.worker.digests import DigestCache, Stamp, now_racy_after

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
_MAX_LINKS = 255  # as BuildKit's in-root resolution
_CHUNK_BYTES = 1 << 20

Row = tuple[str, int, int, int, int, int, int]
"""One name in a directory: (name, st_mode, inode, size, mtime_ns, ctime_ns, links)."""


class Exclusions(Protocol):
    """What .dockerignore says; paths are relative to the context."""

    def matches(self, path: str, is_dir: bool) -> bool: ...
    def may_hold_exceptions(self, path: str) -> bool: ...


class LocalTree:
    """The files below `root`; paths are relative to it, without a leading slash."""

    def __init__(self, root: str, ignore: Exclusions | None, digests: DigestCache) -> None:
        self.root = root
        self._ignore = ignore
        self._digests = digests
        self._racy_after = now_racy_after()
        self._directories: dict[str, list[Row]] = {}
        self._entries: dict[str, list[Entry]] = {}
        self._lock = threading.RLock()
        self.bytes_read = 0
        """Bytes of files that were read because their digest was not known."""

    # Tree

    def lookup(self, path: str) -> Entry | None:
        """The entry at a path whose parents are real directories; links are not followed."""
        if not path:
            status = os.lstat(self.root)
            return Entry("", "dir", stat.S_IMODE(status.st_mode), 0, 0, 0, status.st_mtime_ns, "")
        parent, _, name = path.rpartition("/")
        row = self._row(parent, name)
        return self._entry(path, row) if row is not None else None

    def resolve(self, path: str) -> str:
        """The path with every link followed, none of them out of the root."""
        done: list[str] = []
        todo = [part for part in path.split("/") if part not in ("", ".")][::-1]
        links = 0
        while todo:
            part = todo.pop()
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
            target = os.readlink("/".join([self.root, *done, part]))
            if target.startswith("/"):
                done = []
            todo += [each for each in target.split("/") if each not in ("", ".")][::-1]
        return "/".join(done)

    def children(self, path: str) -> list[Entry]:
        """What is in a directory, sorted by name."""
        known = self._entries.get(path)
        if known is None:
            prefix = f"{path}/" if path else ""
            known = [self._entry(prefix + row[0], row) for row in self.rows(path)]
            self._entries[path] = known
        return known

    def walk(self, path: str = "") -> Iterator[Entry]:
        """Everything below a directory, each directory before what it holds, names sorted."""
        for entry in self.children(path):
            yield entry
            if entry.kind == "dir":
                yield from self.walk(entry.path)

    def content(self, entry: Entry) -> Content:
        """Where the bytes of a file are."""
        return Content(f"{self.root}/{entry.path}", 0, entry.size)

    def file_digest(self, entry: Entry) -> bytes:
        """SHA-256 of a file, remembered from an earlier build where the file is unchanged."""
        path = entry.path
        parent, _, name = path.rpartition("/")
        row = self._row(parent, name)
        if row is None:
            raise BuildError(f"read {path}: it disappeared from the build context")
        stamp = _stamp(row)
        with self._lock:
            known = self._digests.get(path, stamp)
        if known:
            return known
        digest = self._read(path, row)
        self.learn(path, digest)
        return digest

    # What only a directory of the host has

    def learn(self, path: str, digest: bytes) -> None:
        """Remember the digest of a file, as it was when its directory was read."""
        parent, _, name = path.rpartition("/")
        row = self._row(parent, name)
        if row is not None:
            with self._lock:
                self._digests.put(path, _stamp(row), digest, self._racy_after)

    def remembers(self, path: str) -> bool:
        """Whether the digest of a file is known without reading it."""
        parent, _, name = path.rpartition("/")
        row = self._row(parent, name)
        with self._lock:
            return row is not None and bool(self._digests.get(path, _stamp(row)))

    def stamp_digest(self, path: str) -> str:
        """A digest of the metadata of everything at and below a path, mtime and ctime included.

        While it stays, so does all content. Empty when something is too fresh to be sure.
        """
        parent, _, name = path.rpartition("/")
        rows: list[tuple[str, list[Row]]] = []
        if path:
            own = self._row(parent, name)
            rows.append(("", [own] if own else []))
        entry_is_directory = not path or (rows[0][1] and stat.S_ISDIR(rows[0][1][0][1]))
        if entry_is_directory:
            stack = [path]
            while stack:
                directory = stack.pop()
                listed = self.rows(directory)
                rows.append((directory, listed))
                prefix = f"{directory}/" if directory else ""
                stack += [prefix + row[0] for row in listed if stat.S_ISDIR(row[1])]
        limit = self._racy_after
        for _, listed in rows:
            for row in listed:
                if row[5] >= limit:
                    return ""
        # Version 2 of the format has no references, so that equal rows give equal bytes.
        return hashlib.sha256(marshal.dumps(rows, 2)).hexdigest()

    def save(self) -> None:
        """Keep what was learned for the next build."""
        with self._lock:
            gone = set()
            listed = {
                directory: {row[0] for row in rows} for directory, rows in self._directories.items()
            }
            for path in self._digests.paths():
                parent, _, name = path.rpartition("/")
                if parent in listed and name not in listed[parent]:
                    gone.add(path)
            self._digests.save(gone)

    def rows(self, directory: str) -> list[Row]:
        """The names in a directory that are not excluded, sorted; empty when it is not one."""
        known = self._directories.get(directory)
        if known is None:
            known = self._scan(directory)
            self._directories[directory] = known
        return known

    def _scan(self, directory: str) -> list[Row]:
        rows: list[Row] = []
        path = f"{self.root}/{directory}" if directory else self.root
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    rows.append(
                        (
                            entry.name,
                            status.st_mode,
                            status.st_ino,
                            status.st_size,
                            status.st_mtime_ns,
                            status.st_ctime_ns,
                            status.st_nlink,
                        )
                    )
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError as error:
            raise BuildError(
                f"read build context: permission denied: {path}",
                hint="make it readable, or name it in .dockerignore",
            ) from error
        rows.sort()
        if self._ignore is not None:
            rows = [row for row in rows if not self._excluded(directory, row)]
        return [row for row in rows if stat.S_IFMT(row[1]) in _KINDS]

    def _excluded(self, directory: str, row: Row) -> bool:
        ignore = self._ignore
        assert ignore is not None
        path = f"{directory}/{row[0]}" if directory else row[0]
        is_directory = stat.S_ISDIR(row[1])
        if not ignore.matches(path, is_directory):
            return False
        # A directory that is excluded exists after all when an exception brings back a part of it.
        return not (is_directory and ignore.may_hold_exceptions(path) and bool(self.rows(path)))

    def _row(self, directory: str, name: str) -> Row | None:
        rows = self.rows(directory)
        low, high = 0, len(rows)
        while low < high:
            middle = (low + high) // 2
            if rows[middle][0] < name:
                low = middle + 1
            else:
                high = middle
        return rows[low] if low < len(rows) and rows[low][0] == name else None

    def _entry(self, path: str, row: Row) -> Entry:
        mode = row[1]
        kind = _KINDS[stat.S_IFMT(mode)]
        link, device, size = "", (0, 0), 0
        if kind == "file":
            size = row[3]
        elif kind == "symlink":
            link = os.readlink(f"{self.root}/{path}")
        elif kind in ("char", "block"):
            number = os.lstat(f"{self.root}/{path}").st_rdev
            device = (os.major(number), os.minor(number))
        xattrs = self._xattrs(path) if kind != "symlink" else ()
        return Entry(
            path, kind, stat.S_IMODE(mode), 0, 0, size, row[4], link, device, xattrs
        )

    def _xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        host = f"{self.root}/{path}"
        names = os.listxattr(host, follow_symlinks=False)
        if not names:
            return ()
        return tuple(
            (name, os.getxattr(host, name, follow_symlinks=False))
            for name in sorted(names)
            if not name.startswith(("trusted.overlay.", "system."))
        )

    def inode_of(self, path: str) -> tuple[int, int]:
        """The inode and the number of links of a path, to recognise hard links."""
        parent, _, name = path.rpartition("/")
        row = self._row(parent, name)
        return (row[2], row[6]) if row is not None else (0, 1)

    def _read(self, path: str, row: Row) -> bytes:
        digest = hashlib.sha256()
        size = 0
        try:
            with open(f"{self.root}/{path}", "rb", buffering=0) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
        except OSError as error:
            raise BuildError(
                f"read build context: {path}: {error.strerror}",
                hint="make it readable, or name it in .dockerignore",
            ) from error
        with self._lock:
            self.bytes_read += size
        if size != row[3]:
            raise BuildError(f"read build context: {path} changed while it was read")
        return digest.digest()


def _stamp(row: Row) -> Stamp:
    return (row[2], row[3], row[4], row[5])
