"""Content on its way to become a blob."""

from __future__ import annotations

import errno
import os
import time
from itertools import count

from tierce.errors import DigestMismatch
from tierce.oci.digest import Digest, new_hash
from tierce.store.durability import SYNC_LIMIT
from tierce.store.failures import reported, store_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from tierce.store.database import Database
    from tierce.store.durability import Durability
    from tierce.store.leases import Leases
    from tierce.store.paths import Paths

_CANNOT_SEND = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""What sendfile(2) says of file systems without splicing."""

_PIECE = 1 << 18


class Publisher:
    """Gives complete files their names and rows; `has` says whether a digest is here already."""

    def __init__(
        self,
        database: Database,
        paths: Paths,
        leases: Leases,
        durability: Durability,
        has: Callable[[Digest], bool],
    ) -> None:
        self._database = database
        self._paths = paths
        self._leases = leases
        self._durability = durability
        self._has = has
        self._names = count()

    def lease(self) -> AbstractContextManager[None]:
        """What keeps a temporary file from being swept."""
        return self._leases.ensure("store blob")

    def temporary(self, algorithm: str) -> str:
        """A new name in the directory of the blobs; it says which lease keeps it."""
        name = f".{self._leases.current}-{os.getpid()}-{next(self._names)}"
        return str(self._paths.blobs / algorithm / name)

    def use(self, digest: Digest, media_type: str) -> bool:
        """Marks a blob that is here as used under the current lease; False when it is not here."""
        if not self._has(digest):
            return False
        # One that gc has taken since is not marked, and so counts as absent.
        marked = self._database.execute(
            "UPDATE blobs SET lease = max(lease, ?),"
            " media_type = CASE media_type WHEN '' THEN ? ELSE media_type END WHERE digest = ?",
            (self._leases.current, media_type, str(digest)),
        )
        return bool(marked.rowcount)

    def publish(self, temporary: str, digest: Digest, size: int, media_type: str) -> None:
        """Makes a complete temporary file the blob."""
        boot = None if size < SYNC_LIMIT else self._durability.boot
        # Renamed while the write lock is held: gc removes files that have no row, under the same
        # lock, so that it sees both the file and the row, or neither.
        with self._database.transaction(), reported(f"store blob {digest}"):
            os.rename(temporary, self._paths.blob(digest))
            self._database.execute(
                "INSERT INTO blobs (digest, size, media_type, created, lease, boot)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (digest) DO UPDATE SET"
                " size = ?2, lease = max(lease, ?5), boot = ?6,"
                " media_type = CASE media_type WHEN '' THEN ?3 ELSE media_type END",
                (str(digest), size, media_type, time.time(), self._leases.current, boot),
            )


class BlobWriter:
    """Takes content in pieces; made by `Blobs.writer`, and used as a context manager."""

    def __init__(
        self, publisher: Publisher, media_type: str, expected: Digest | None, algorithm: str
    ) -> None:
        self._publisher = publisher
        self._media_type = media_type
        self._expected = expected
        self._algorithm = expected.algorithm if expected is not None else algorithm
        self._hash = new_hash(self._algorithm)
        self._lease = publisher.lease()
        self._descriptor = -1
        self._path = ""
        self.size = 0

    def __enter__(self) -> Self:
        self._lease.__enter__()
        try:
            self._path = self._publisher.temporary(self._algorithm)
            with reported("store blob"):
                self._descriptor = os.open(
                    self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
                )
        except BaseException:
            self._lease.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._abort()
        finally:
            self._lease.__exit__(kind, error, traceback)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append to the content, and to its hash. Raises StoreFull, StoreError."""
        self._hash.update(data)
        return self.write_unhashed(data)

    def write_unhashed(self, data: bytes | bytearray | memoryview) -> int:
        """Append to the content only, for a caller that hashes and then calls `adopt`."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise store_error("store blob", error) from error
        self.size += len(data)
        return len(data)

    def write_from(self, descriptor: int, offset: int, length: int) -> int:
        """Append up to `length` bytes of another file, for a caller that hashes and then `adopt`s.

        The kernel copies. Returns how many bytes it were; 0 when the file ends at `offset`.
        """
        try:
            sent = os.sendfile(self._descriptor, descriptor, offset, length)
        except OSError as error:
            if error.errno not in _CANNOT_SEND:
                raise store_error("store blob", error) from error
            with reported("store blob"):
                piece = os.pread(descriptor, min(length, _PIECE), offset)
            return self.write_unhashed(piece)
        self.size += sent
        return sent

    def commit(self) -> Digest:
        """Make what was written the blob with its digest.

        Raises DigestMismatch when it is not the expected one; then nothing is stored.
        """
        return self._finish(Digest.from_hash(self._hash))

    def adopt(self, digest: Digest, size: int) -> Digest:
        """As `commit`, with the digest and size that the caller computed over the same bytes."""
        if size != self.size:
            raise DigestMismatch(
                f"size of blob {digest}", expected=str(size), actual=str(self.size)
            )
        return self._finish(digest)

    @property
    def path(self) -> str:
        """The temporary file that is written, until the block ends."""
        return self._path

    def fileno(self) -> int:
        """The file that is written, so that pieces of it can be read again. Not to be closed."""
        return self._descriptor

    def _finish(self, digest: Digest) -> Digest:
        if self._expected is not None and digest != self._expected:
            raise DigestMismatch("blob", expected=str(self._expected), actual=str(digest))
        if self._publisher.use(digest, self._media_type):
            return digest  # the block's end removes the new copy
        with reported(f"store blob {digest}"):
            if self.size < SYNC_LIMIT:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        self._publisher.publish(self._path, digest, self.size, self._media_type)
        self._path = ""
        return digest

    def _abort(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._path:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass  # the store was removed beneath us
            self._path = ""
