"""A layer on its way in: hashed, inflated, hashed again, stored and indexed while it arrives.

The file that it is downloaded to is read by another thread, as far as it is written. So what has
come before a line broke, in this process or an earlier one, is read again, but not fetched again.
"""

from __future__ import annotations

import io
import os
import threading

from tierce.errors import DigestMismatch, LayerError, StoreError, TierceError
from tierce.layer.building import build_index
from tierce.layer.compression import open_decompressed
from tierce.layer.pipeline import HashingReader
from tierce.oci.media_types import OCI_LAYER
from tierce.store.failures import reported

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

    from _typeshed import WriteableBuffer

    from tierce.layer.index import LayerIndex
    from tierce.oci.descriptor import Descriptor
    from tierce.oci.digest import Digest
    from tierce.store import Store
    from tierce.store.blob_writer import BlobWriter

_CHUNK = 1 << 18
"""Of more at a time, the memory would come from the kernel and go back there, page by page."""


class Spoiled(DigestMismatch):
    """What came is not what was asked for: the registry has it so, or the line has spoiled it."""


class Arrival:
    """How far a file is written. One thread writes and tells; another one waits and reads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._there = 0
        self._ended = False
        self._changed = threading.Condition()

    def reached(self, there: int) -> None:
        """So many bytes are in the file now."""
        with self._changed:
            self._there = there
            self._changed.notify_all()

    def end(self) -> None:
        """No more will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def beyond(self, position: int) -> int:
        """How many bytes there are behind a position: waits for some; 0 if no more will come."""
        with self._changed:
            while self._there <= position and not self._ended:
                self._changed.wait()
            return max(self._there - position, 0)


class _Following(io.RawIOBase):
    """The content of a file that is being written."""

    def __init__(self, descriptor: int, arrival: Arrival) -> None:
        self._descriptor = descriptor
        self._arrival = arrival
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        ready = min(len(view), self._arrival.beyond(self._at))
        if not ready:
            return 0
        with reported("read download"):
            got = os.preadv(self._descriptor, [view[:ready]], self._at)
        self._at += got
        return got


class _Hashed(io.RawIOBase):
    """A `HashingReader` as the raw stream that decompressors want."""

    def __init__(self, reader: HashingReader) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._reader.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Kept:
    """What is read from a stream is kept as a blob."""

    def __init__(self, stream: Any, writer: BlobWriter) -> None:
        self._stream = stream
        self._writer = writer

    def read(self, size: int, /) -> bytes:
        data: bytes = self._stream.read(min(size, _CHUNK))
        if data:
            self._writer.write_unhashed(data)
        return data


class Intake(threading.Thread):
    """Takes in one layer from a file that is written meanwhile.

    Start it, tell `arrival` how far the file is, and then call `finish`: the layer's tar and its
    index are in the store then, and the file is worth to be kept.
    """

    def __init__(self, store: Store, descriptor: int, layer: Descriptor, diff_id: Digest) -> None:
        super().__init__(name="layer-intake", daemon=True)
        self._store = store
        self._file = descriptor
        self._layer = layer
        self._diff_id = diff_id
        self.arrival = Arrival(layer.size)
        self._writer: BlobWriter | None = None
        self._digest: Digest | None = None
        self._size = 0
        self._found: tuple[LayerIndex, Digest, int] | None = None
        self._error: BaseException | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the layer is not compressed: the file is its tar then."""
        return bool(self._layer.digest == self._diff_id)

    def run(self) -> None:
        try:
            if self.is_plain:
                self._take_in(None)
                return
            with self._store.blobs.writer(media_type=OCI_LAYER) as writer:
                self._take_in(writer)
                self._store_tar(writer)
        except BaseException as error:  # noqa: BLE001 - raised again by `finish`
            self._error = error

    def check(self) -> None:
        """Raises StoreError when what comes cannot be kept."""
        if isinstance(self._error, StoreError):
            raise self._error

    def finish(self) -> None:
        """Wait for the end. Raises DigestMismatch, LayerError, StoreError."""
        self.arrival.end()
        self.join()
        layer = self._layer
        if isinstance(self._error, TierceError) and not isinstance(self._error, LayerError):
            raise self._error
        if self._size != layer.size or self._digest != layer.digest:
            raise Spoiled(
                f"layer {layer.digest.short}",
                expected=f"{layer.digest} of {layer.size} bytes",
                actual=f"{self._digest} of {self._size} bytes",
            )
        if self._error is not None:
            if isinstance(self._error, LayerError):
                error = type(self._error)(
                    f"take in layer {layer.digest}: {self._error.message}",
                    entry=self._error.entry,
                    hint=self._error.hint,
                )
                raise error from self._error
            raise self._error
        assert self._found is not None
        index, diff_id, _ = self._found
        if diff_id != self._diff_id:
            raise DigestMismatch(
                f"diff id of layer {layer.digest}",
                expected=str(self._diff_id),
                actual=str(diff_id),
            )
        self._store.layers.put_index(diff_id, index)

    def abandon(self) -> None:
        """Nothing will come of it."""
        self.arrival.end()
        self.join()

    def _take_in(self, writer: BlobWriter | None) -> None:
        with HashingReader(
            _Buffered(self._file, self.arrival), self._layer.digest.algorithm
        ) as hashed:
            try:
                raw = io.BufferedReader(_Hashed(hashed), _CHUNK)
                stream = open_decompressed(raw, buffer=_CHUNK)
                kept = stream if writer is None else _Kept(stream, writer)
                self._found = build_index(kept)
            except BaseException as error:  # noqa: BLE001 - the digest tells whose fault it is
                self._error = error
            # Also what follows the end of the compressed stream belongs to the blob.
            while hashed.read(_CHUNK):
                pass
            self._digest = hashed.digest()
            self._size = hashed.size

    def _store_tar(self, writer: BlobWriter) -> None:
        """The tar is in the store before the blob is: who has that has all."""
        if self._error is not None or self._found is None:
            return
        _, diff_id, size = self._found
        if diff_id == self._diff_id and self._digest == self._layer.digest:
            writer.adopt(diff_id, size)


class _Buffered:
    """Reads from the file that is followed; as a `Stream`."""

    def __init__(self, descriptor: int, arrival: Arrival) -> None:
        self._raw = _Following(descriptor, arrival)

    def read(self, size: int, /) -> bytes:
        return self._raw.read(min(size, _CHUNK)) or b""
