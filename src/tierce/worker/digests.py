"""Remembers file digests between builds, so that an unchanged context costs a walk, not a read.

A digest is trusted while the file's inode, size, mtime and ctime are what they were: the kernel
sets ctime on every change of content or metadata and nobody can set it back. Time stamps come in
ticks, though, so that a file written twice within a tick keeps its stamp; as in git, what was
changed just before it was looked at ("racy") is not remembered.

One cache file serves one context directory, known by device and inode so that it may be renamed.
Entries are columns, which load an order of magnitude quicker than rows.
"""

import os
import time
from array import array
from contextlib import suppress

TICK_NS = 20_000_000
"""Twice the coarsest clock tick of Linux (CONFIG_HZ=100)."""

_MAGIC = b"tierce-digests-1\n"
_DIGEST_BYTES = 32
_COLUMNS = 4


Stamp = tuple[int, int, int, int]
"""What must be unchanged for a digest to hold: (inode, size, mtime_ns, ctime_ns)."""


def now_racy_after() -> int:
    """Files changed after this moment (nanoseconds since the epoch) cannot be remembered yet."""
    return time.time_ns() - TICK_NS


class DigestCache:
    """Digests by path, as read from one cache file; `save` replaces that file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, tuple[Stamp, bytes]] = {}
        self._loaded = False
        self._changed = False

    def get(self, path: str, stamp: Stamp) -> bytes:
        """The SHA-256 of a file, or nothing when it is not known for this stamp."""
        if not self._loaded:
            self._load()
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == stamp else b""

    def put(self, path: str, stamp: Stamp, digest: bytes, racy_after: int) -> None:
        """Remember a digest, unless the file is too fresh for its stamp to be trusted."""
        if not self._loaded:
            self._load()
        if stamp[3] >= racy_after or stamp[2] >= racy_after:
            self._changed |= self._known.pop(path, None) is not None
            return
        self._known[path] = (stamp, digest)
        self._changed = True

    def save(self, gone: "set[str] | None" = None) -> None:
        """Write what is known, less the paths that are gone; atomic, and never fatal.

        A store without room for its caches still builds.
        """
        if not self._changed:
            return
        for path in gone or ():
            self._known.pop(path, None)
        partial = f"{self._path}.{os.getpid()}.partial"
        with suppress(OSError):
            with open(partial, "wb") as file:
                file.write(self._encoded())
            os.rename(partial, self._path)
            self._changed = False
            return
        with suppress(OSError):
            os.unlink(partial)

    def paths(self) -> list[str]:
        """All paths with a digest."""
        if not self._loaded:
            self._load()
        return list(self._known)

    def _encoded(self) -> bytes:
        names = "\0".join(self._known).encode("utf-8", "surrogateescape")
        columns = [array("q"), array("q"), array("q"), array("q")]
        digests = []
        for stamp, digest in self._known.values():
            for column, value in zip(columns, stamp):
                column.append(value)
            digests.append(digest)
        head = f"{len(self._known)} {len(names)}\n".encode()
        return b"".join([_MAGIC, head, names, *[c.tobytes() for c in columns], *digests])

    def _load(self) -> None:
        self._loaded = True
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except OSError:
            return
        if not data.startswith(_MAGIC):
            return
        head, _, body = data[len(_MAGIC) :].partition(b"\n")
        try:
            count, names_size = (int(word) for word in head.split())
        except ValueError:
            return
        column_size = 8 * count
        if len(body) != names_size + _COLUMNS * column_size + _DIGEST_BYTES * count or not count:
            return
        names = body[:names_size].decode("utf-8", "surrogateescape").split("\0")
        columns = []
        at = names_size
        for _ in range(_COLUMNS):
            column = array("q")
            column.frombytes(body[at : at + column_size])
            columns.append(column)
            at += column_size
        digests = [body[i : i + _DIGEST_BYTES] for i in range(at, len(body), _DIGEST_BYTES)]
        self._known = dict(zip(names, zip(zip(*columns), digests)))
