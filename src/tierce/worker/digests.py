"""Remembers file digests between builds, so that an unchanged context costs a walk, not a read.

A digest is trusted while the file's inode, size, mtime and ctime are what they were: the kernel
sets ctime on every change of content or metadata and nobody can set it back. Time stamps come in
ticks, though, so that a file written twice within a tick keeps its stamp; as in git, what was
changed just before it was looked at ("racy") is remembered for this build only.

One cache file serves one context directory, known by device and inode so that it may be renamed.
Entries are columns, which load an order of magnitude quicker than rows.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from array import array
from zlib import crc32

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

TICK_NS = 20_000_000
"""Twice the coarsest clock tick of Linux (CONFIG_HZ=100)."""

_MAGIC = f"tierce-digests-2 {sys.byteorder}\n".encode()
_DIGEST_BYTES = 32
_COLUMN_TYPES = "QQqq"  # of a stamp: inode numbers have 64 bits, times may be before 1970
_NUMBER_BYTES = 8


Stamp = tuple[int, int, int, int]
"""What must be unchanged for a digest to hold: (inode, size, mtime_ns, ctime_ns)."""


def now_racy_after() -> int:
    """Files changed after this moment (nanoseconds since the epoch) cannot be remembered yet."""
    return time.time_ns() - TICK_NS


class DigestCache:
    """Digests by path, as read from one cache file; `save` replaces that file.

    Safe to share between threads.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._new: dict[str, tuple[Stamp, bytes]] = {}
        self._racy: set[str] = set()
        self._rows: dict[str, int] | None = None
        self._columns: list[array[int]] = []
        self._digests = b""
        self._load_lock = threading.Lock()

    def get(self, path: str, stamp: Stamp) -> bytes:
        """The SHA-256 of a file, or nothing when it is not known for this stamp."""
        new = self._new.get(path)
        if new is not None:
            return new[1] if new[0] == stamp else b""
        rows = self._rows if self._rows is not None else self._load()
        row = rows.get(path)
        if row is None:
            return b""
        inodes, sizes, mtimes, ctimes = self._columns
        if stamp != (inodes[row], sizes[row], mtimes[row], ctimes[row]):
            return b""
        return self._digests[row * _DIGEST_BYTES : (row + 1) * _DIGEST_BYTES]

    def put(self, path: str, stamp: Stamp, digest: bytes, racy_after: int) -> None:
        """Remember a digest; for this build only if the file is too fresh for its stamp."""
        self._new[path] = (stamp, digest)
        if stamp[3] >= racy_after:
            self._racy.add(path)
        else:
            self._racy.discard(path)

    @property
    def has_news(self) -> bool:
        """Whether there is anything for `save` to write."""
        return len(self._new) > len(self._racy)

    def save(
        self,
        listed: AbstractSet[str] = frozenset(),
        is_gone: Callable[[str], bool] = lambda path: False,
    ) -> None:
        """Write what is known, less the paths of earlier builds that are gone; atomic.

        Those that are `listed` are not asked about. Never fatal: a store without room for its
        caches still builds.
        """
        if not self.has_news:
            return
        rows = self._load()
        dropped = {path for path in rows.keys() - listed if is_gone(path)}
        dropped |= rows.keys() & self._new.keys()
        new = [path for path in self._new if path not in self._racy]
        partial = f"{self._path}.{os.getpid()}.{threading.get_ident()}.partial"
        try:
            with open(partial, "wb") as file:
                file.write(self._encoded(dropped, new))
            os.rename(partial, self._path)
        except OSError:
            try:
                os.unlink(partial)
            except OSError:
                pass

    def _encoded(self, dropped: AbstractSet[str], new: list[str]) -> bytes:
        """What is in the file, less some of its paths, and with new ones behind it."""
        rows = self._load()
        # Few are dropped as a rule, and what is between them is copied as it is.
        ends = [*sorted([rows[path] for path in dropped]), len(rows)]
        runs = [slice(end + 1, next_end) for end, next_end in zip([-1, *ends], ends)]
        names = [path for path in rows if path not in dropped] if dropped else list(rows)
        parts: list[bytes | memoryview] = [
            "\0".join([*names, *new]).encode("utf-8", "surrogateescape")
        ]
        stamps = zip(*[self._new[path][0] for path in new]) if new else [()] * len(_COLUMN_TYPES)
        old_columns = self._columns or [array(code) for code in _COLUMN_TYPES]
        for code, old, added in zip(_COLUMN_TYPES, old_columns, stamps):
            column = array(code)
            for run in runs:
                column += old[run]
            column.extend(added)
            parts.append(column.tobytes())
        digests = memoryview(self._digests)
        parts += [digests[run.start * _DIGEST_BYTES : run.stop * _DIGEST_BYTES] for run in runs]
        parts += [self._new[path][1] for path in new]
        body = b"".join(parts)
        head = f"{len(names) + len(new)} {len(parts[0])} {crc32(body)}\n"
        return b"".join([_MAGIC, head.encode(), body])

    def _load(self) -> dict[str, int]:
        """Read the cache file, once; one that is torn or foreign counts as empty."""
        with self._load_lock:
            if self._rows is None:
                try:
                    with open(self._path, "rb") as file:
                        self._rows = self._decode(file.read())
                except (OSError, ValueError):
                    self._rows = {}
            return self._rows

    def _decode(self, data: bytes) -> dict[str, int]:
        head, _, body = data.removeprefix(_MAGIC).partition(b"\n")
        count, names_size, checksum = map(int, head.split())
        row_size = _NUMBER_BYTES * len(_COLUMN_TYPES) + _DIGEST_BYTES
        if not data.startswith(_MAGIC) or len(body) != names_size + count * row_size:
            raise ValueError("not a digest cache, or cut short")
        if crc32(body) != checksum:
            raise ValueError("damaged")
        columns = []
        at = names_size
        for code in _COLUMN_TYPES:
            column = array(code)
            column.frombytes(body[at : at + count * _NUMBER_BYTES])
            columns.append(column)
            at += count * _NUMBER_BYTES
        names = body[:names_size].decode("utf-8", "surrogateescape").split("\0")
        if count == 0 or len(names) != count:
            raise ValueError("wrong number of names")
        rows = dict(zip(names, range(count)))
        if len(rows) != count:
            raise ValueError("a name twice")
        self._columns = columns
        self._digests = body[at:]
        return rows
