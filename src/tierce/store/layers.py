"""Layers by their diff id: as tars, wherever these come from, and their indexes."""

from __future__ import annotations

import os
import threading
from itertools import count

from tierce.errors import CorruptLayer, DigestMismatch, NotFound
from tierce.layer.building import read_index
from tierce.layer.compression import open_decompressed
from tierce.layer.earlier import EarlierLayer
from tierce.layer.entry import Content
from tierce.layer.index import LayerIndex
from tierce.layer.limits import DEFAULT_LIMITS, Limits
from tierce.layer.writer import write_layer
from tierce.oci.digest import Digest
from tierce.oci.media_types import OCI_LAYER
from tierce.store.failures import reported, store_error
from tierce.store.snapshots.base import Measured
from tierce.store.streams import RegeneratedTar, VerifiedStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from tierce.layer.entry import Entry, Item, LiveItem
    from tierce.store.blobs import Blobs
    from tierce.store.database import Database
    from tierce.store.leases import Leases
    from tierce.store.locks import Locks
    from tierce.store.paths import Paths
    from tierce.store.snapshots.contents import SnapshotContents

_CHUNK = 1 << 20
_KEPT_INDEXES = 32


class Layers:
    """The layers of a store.

    The uncompressed tar of a layer may be a blob, come out of a compressed one, or be written
    again from a snapshot's directory; it has the same bytes each time.
    """

    def __init__(
        self,
        database: Database,
        paths: Paths,
        leases: Leases,
        locks: Locks,
        blobs: Blobs,
        contents: SnapshotContents,
    ) -> None:
        self._database = database
        self._paths = paths
        self._leases = leases
        self._locks = locks
        self._blobs = blobs
        self._contents = contents
        self._names = count()
        self._guard = threading.Lock()
        self._indexes: dict[Digest, LayerIndex] = {}

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer's content can be had."""
        return (
            self._blobs.find_layer(diff_id) is not None or self._contents.find(diff_id) is not None
        )

    def indexed(self, diff_id: Digest) -> bool:
        """Whether there is an index of the layer already."""
        return diff_id in self._indexes or self._paths.index(diff_id).exists()

    def index(self, diff_id: Digest, limits: Limits = DEFAULT_LIMITS) -> LayerIndex:
        """What the layer holds; made on first use by reading the layer once, and kept.

        Raises NotFound, LayerError (UnsafeLayer for one that is beyond the limits, unless it has
        an index already), StoreError.
        """
        with self._guard:
            known = self._indexes.get(diff_id)
        if known is None:
            known = self._read_index(diff_id)
        if known is None:
            with self.open_tar(diff_id) as tar:
                known = read_index(tar, limits)
            self.put_index(diff_id, known)
        self._remember(diff_id, known)
        return known

    def put_index(self, diff_id: Digest, index: LayerIndex) -> None:
        """Keep the index of a layer that is here or about to be. Idempotent."""
        path = self._paths.index(diff_id)
        with self._leases.ensure("store index"), reported(f"store index of {diff_id}"):
            name = f".{self._leases.current}-{os.getpid()}-{next(self._names)}"
            temporary = path.parent / name
            try:
                # Not synced: it holds a checksum, and can be made again.
                temporary.write_bytes(index.encode())
                os.rename(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        self._remember(diff_id, index)

    def earlier(self, diff_id: Digest) -> EarlierLayer | None:
        """A layer that this store has written, to take over from; the caller closes it.

        None when its tar is not here any more. Raises LayerError, StoreError.
        """
        if not self._blobs.has(diff_id) or not self.indexed(diff_id):
            return None
        index = self.index(diff_id)
        try:
            return EarlierLayer(index, self._paths.blob_file(diff_id))
        except FileNotFoundError:
            return None  # pruned just now
        except OSError as error:
            raise store_error(f"read layer {diff_id}", error) from error

    def open_tar(self, diff_id: Digest) -> BinaryIO:
        """The uncompressed tar as a stream; the caller closes it.

        What does not come from a blob of that digest is verified as it is read: the last read
        raises DigestMismatch. Raises NotFound, LayerError, StoreError.
        """
        blob = self._blobs.find_layer(diff_id)
        if blob == diff_id:
            return self._blobs.open(diff_id)
        snapshot = self._contents.find(diff_id)
        if snapshot is not None:
            items = self._contents.items(snapshot)
            return RegeneratedTar(items, diff_id).buffered()
        if blob is None:
            raise NotFound("layer", str(diff_id))
        with reported(f"read layer {diff_id}"):
            return VerifiedStream(open_decompressed(self._blobs.path(blob)), diff_id).buffered()

    def write_tar(self, diff_id: Digest, sink: Callable[[memoryview], object]) -> int:
        """Give the uncompressed tar to `sink`, piece by piece; returns its size in bytes.

        The quicker way than `open_tar` where the sink decides. A sink must not keep the memory it
        is given; what it got before an error is worthless. Raises as `open_tar`.
        """
        if self._blobs.find_layer(diff_id) != diff_id:
            snapshot = self._contents.find(diff_id)
            if snapshot is not None:
                with reported(f"read snapshot {snapshot}"):
                    items = self._contents.items(snapshot)
                    written = write_layer(items, sink, hash_files=False)
                if written.diff_id != diff_id:
                    raise _mismatch(diff_id, written.diff_id)
                return written.size
        size = 0
        buffer = memoryview(bytearray(_CHUNK))
        with self.open_tar(diff_id) as tar:
            while True:
                with reported(f"read layer {diff_id}"):
                    length = tar.readinto(buffer)  # type: ignore[attr-defined]
                if not length:
                    return size
                sink(buffer[:length])
                size += length

    def ensure_tar(self, diff_id: Digest) -> Path:
        """The uncompressed tar as a file, made a blob if it is none yet. Raises as `open_tar`."""
        if self._blobs.find_layer(diff_id) != diff_id:
            with self._locks.hold(f"tar {diff_id}"), self._leases.ensure("unpack layer"):
                if not self._blobs.has(diff_id):
                    with self._blobs.writer(media_type=OCI_LAYER, expected=diff_id) as writer:
                        self.write_tar(diff_id, writer.write)
                        writer.commit()
        return self._blobs.path(diff_id)

    def tar_size(self, diff_id: Digest) -> int:
        """Bytes of the uncompressed tar, found out by reading it where nobody has before.

        Raises as `open_tar`.
        """
        blob = self._blobs.find(diff_id)
        if blob is not None:
            return int(blob.size)
        row = self._database.one(
            "SELECT tar_size FROM snapshots WHERE diff_id = ? AND tar_size > 0 LIMIT 1",
            (str(diff_id),),
        )
        return self.write_tar(diff_id, len) if row is None else int(row[0])

    def clamp(self, diff_id: Digest, epoch: int) -> Measured | None:
        """Write the layer again, as a blob with an index, with no time after `epoch`.

        None when it has no such time. `epoch` is in seconds since 1970. Raises as `open_tar`.
        """
        limit_ns = epoch * 1_000_000_000
        if not any(entry.mtime_ns > limit_ns for entry in self._entries(diff_id)):
            return None
        return self.write(self.items(diff_id), clamp_mtime=epoch)

    def items(self, diff_id: Digest) -> Iterator[Item]:
        """What the layer holds, with the bytes of its files where they are now, without a copy.

        A directory that the layer came from is read as it is, else its tar. Raises as `open_tar`.
        """
        snapshot = None if self._blobs.has(diff_id) else self._contents.find(diff_id)
        if snapshot is not None:
            return self._contents.items(snapshot)
        tar = str(self.ensure_tar(diff_id))
        return ((entry, _content(entry, tar)) for entry in self.index(diff_id))

    def write(self, items: Iterable[LiveItem], *, clamp_mtime: int | None = None) -> Measured:
        """Store items as a layer: a blob with an index. See `write_layer`. Raises as that does."""
        with self._blobs.writer(media_type=OCI_LAYER) as writer:
            written = write_layer(items, writer.write_unhashed, clamp_mtime=clamp_mtime)
            writer.adopt(written.diff_id, written.size)
        self.put_index(written.diff_id, LayerIndex.of(written.entries))
        size = sum(entry.size for entry in written.entries)
        return Measured(written.diff_id, written.size, size)

    def _entries(self, diff_id: Digest) -> Iterator[Entry]:
        snapshot = None if self._blobs.has(diff_id) else self._contents.find(diff_id)
        if snapshot is None:
            return iter(self.index(diff_id))
        return (entry for entry, _ in self._contents.items(snapshot))

    def _read_index(self, diff_id: Digest) -> LayerIndex | None:
        path = self._paths.index(diff_id)
        try:
            return LayerIndex.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except CorruptLayer:
            path.unlink(missing_ok=True)  # torn by a crash, or of an older form
            return None

    def _remember(self, diff_id: Digest, index: LayerIndex) -> None:
        with self._guard:
            self._indexes[diff_id] = index
            if len(self._indexes) > _KEPT_INDEXES:
                del self._indexes[next(iter(self._indexes))]


def _content(entry: Entry, tar: str) -> Content | None:
    return Content(tar, entry.offset, entry.size) if entry.kind == "file" else None


def _mismatch(expected: Digest, actual: Digest) -> DigestMismatch:
    return DigestMismatch("layer", expected=str(expected), actual=str(actual))
