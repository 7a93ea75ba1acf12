"""Content-addressed storage: one file per digest, one row per file."""

from __future__ import annotations

import os

from tierce.errors import NotFound
from tierce.oci.digest import Digest, new_hash
from tierce.store.blob_writer import BlobWriter, Publisher
from tierce.store.durability import SYNC_LIMIT
from tierce.store.failures import reported, store_error
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from tierce.store.database import Database
    from tierce.store.durability import Durability
    from tierce.store.leases import Leases
    from tierce.store.paths import Paths

_CHUNK = 1 << 20


class Blob(Value):
    """What is known of a blob; `diff_id` is that of the layer it is, compressed or not."""

    digest: Digest
    size: int
    media_type: str
    diff_id: Digest | None
    created: float


class Blobs:
    """The blobs of a store.

    A blob appears whole or not at all, and putting one that is there already changes nothing.
    """

    def __init__(
        self, database: Database, paths: Paths, leases: Leases, durability: Durability
    ) -> None:
        self._database = database
        self._paths = paths
        self._leases = leases
        self._durability = durability
        self._publisher = Publisher(database, paths, leases, durability, self.has)

    def has(self, digest: Digest) -> bool:
        """Whether the blob is here and may be trusted."""
        return self.find(digest) is not None

    def find(self, digest: Digest) -> Blob | None:
        """The blob, or None when it is not here, or turned out not to have survived a crash."""
        row = self._database.one(
            "SELECT size, media_type, diff_id, created, boot FROM blobs WHERE digest = ?",
            (str(digest),),
        )
        if row is None:
            return None
        size, media_type, diff_id, created, boot = row
        try:
            whole = os.stat(self._paths.blob_file(digest)).st_size == size
        except FileNotFoundError:
            whole = False
        except OSError as error:
            raise store_error(f"look at blob {digest}", error) from error
        if not whole or (self._durability.doubtful(boot) and not self._survived(digest)):
            return None
        known = None if diff_id is None else Digest.parse(diff_id)
        return Blob(digest, size, media_type, known, created)

    def get(self, digest: Digest) -> Blob:
        """The blob. Raises NotFound."""
        blob = self.find(digest)
        if blob is None:
            raise NotFound("blob", str(digest))
        return blob

    def size(self, digest: Digest) -> int:
        """Bytes of the blob. Raises NotFound."""
        return int(self.get(digest).size)

    def path(self, digest: Digest) -> Path:
        """The file with the blob, never to be written to. Raises NotFound."""
        self.get(digest)
        return self._paths.blob(digest)

    def open(self, digest: Digest) -> BinaryIO:
        """The blob's content; the caller closes it. Raises NotFound."""
        self.get(digest)
        try:
            return open(self._paths.blob_file(digest), "rb")
        except FileNotFoundError:
            raise NotFound("blob", str(digest)) from None
        except OSError as error:
            raise store_error(f"read blob {digest}", error) from error

    def read(self, digest: Digest) -> bytes:
        """All of a small blob. Raises NotFound."""
        with self.open(digest) as file, reported(f"read blob {digest}"):
            return file.read()

    def all(self) -> Iterator[Blob]:
        """Every blob that has a row, sorted by digest; their files are not looked at."""
        for digest, size, media_type, diff_id, created in self._database.all(
            "SELECT digest, size, media_type, diff_id, created FROM blobs ORDER BY digest"
        ):
            known = None if diff_id is None else Digest.parse(diff_id)
            yield Blob(Digest.parse(digest), size, media_type, known, created)

    def put_bytes(self, data: bytes, media_type: str = "", algorithm: str = "sha256") -> Digest:
        """Store content in memory. Raises StoreError."""
        digest = Digest.of(data, algorithm)
        with self._leases.ensure("store blob"):
            if self._publisher.use(digest, media_type):
                return digest
            with self.writer(media_type=media_type, algorithm=algorithm) as writer:
                writer.write_unhashed(data)
                writer.adopt(digest, len(data))
        return digest

    def writer(
        self, *, media_type: str = "", expected: Digest | None = None, algorithm: str = "sha256"
    ) -> BlobWriter:
        """Store content that comes in pieces. Use as a context manager.

        Leaving the block without `commit` or `adopt`, or by an exception, leaves nothing.
        """
        return BlobWriter(self._publisher, media_type, expected, algorithm)

    def add_file(
        self,
        path: Path,
        media_type: str = "",
        *,
        expected: Digest | None = None,
        move: bool = False,
    ) -> Digest:
        """Store the content of a file; `move` lets go of the file itself.

        Raises DigestMismatch when it is not what was expected, NotFound when it is not there.
        """
        try:
            source = open(path, "rb")  # noqa: SIM115  (closed by the block below)
        except FileNotFoundError:
            raise NotFound("file", str(path)) from None
        except OSError as error:
            raise store_error(f"read {path}", error) from error
        with source, self.writer(media_type=media_type, expected=expected) as writer:
            while True:
                with reported(f"read {path}"):
                    chunk = source.read(_CHUNK)
                if not chunk:
                    break
                writer.write(chunk)
            digest = writer.commit()
        if move:
            with reported(f"remove {path}"):
                path.unlink(missing_ok=True)
        return digest

    def adopt_file(self, path: str, digest: Digest, size: int, media_type: str = "") -> None:
        """Make a file, on the store's own file system, the blob that its content is known to be.

        The file itself is gone then. Raises StoreError.
        """
        with self._leases.ensure("store blob"), reported(f"store blob {digest}"):
            if self._publisher.use(digest, media_type):
                os.unlink(path)
                return
            if size < SYNC_LIMIT:
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
            self._publisher.publish(path, digest, size, media_type)

    def set_diff_id(self, digest: Digest, diff_id: Digest) -> None:
        """Remember which layer the blob is. Idempotent. Raises NotFound."""
        changed = self._database.execute(
            "UPDATE blobs SET diff_id = ? WHERE digest = ?", (str(diff_id), str(digest))
        )
        if not changed.rowcount:
            raise NotFound("blob", str(digest))

    def by_diff_id(self, diff_id: Digest) -> list[Digest]:
        """The blobs that are this layer: the plain tar first, then compressed ones, smallest first.

        Their files are not looked at.
        """
        rows = self._database.all(
            "SELECT digest FROM blobs WHERE diff_id = ?1 OR digest = ?1"
            " ORDER BY digest <> ?1, size",
            (str(diff_id),),
        )
        return [Digest.parse(digest) for (digest,) in rows]

    def find_layer(self, diff_id: Digest) -> Digest | None:
        """The best blob that is here with this layer's content, or None; see `by_diff_id`."""
        for digest in self.by_diff_id(diff_id):
            if self.has(digest):
                return digest
        return None

    def remove(self, digest: Digest) -> bool:
        """Remove a blob, whoever may refer to it; says whether it was there."""
        with self._database.transaction(), reported(f"remove blob {digest}"):
            self._database.execute("DELETE FROM blobs WHERE digest = ?", (str(digest),))
            try:
                os.unlink(self._paths.blob(digest))
            except FileNotFoundError:
                return False
        return True

    def verify(self, digest: Digest) -> bool:
        """Whether the file has the digest it is named by; reads all of it."""
        actual = new_hash(digest.algorithm)
        try:
            with open(self._paths.blob(digest), "rb", buffering=0) as file:
                buffer = memoryview(bytearray(_CHUNK))
                while length := file.readinto(buffer):
                    actual.update(buffer[:length])
        except FileNotFoundError:
            return False
        except OSError as error:
            raise store_error(f"read blob {digest}", error) from error
        return bool(actual.hexdigest() == digest.hex)

    def _survived(self, digest: Digest) -> bool:
        """Verifies a blob of another boot, once; removes it when it is damaged."""
        if not self.verify(digest):
            self.remove(digest)
            return False
        self._database.execute("UPDATE blobs SET boot = NULL WHERE digest = ?", (str(digest),))
        return True
