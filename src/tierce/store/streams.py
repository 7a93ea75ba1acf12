"""Streams of layers that are verified while they are read."""

from __future__ import annotations

import fcntl
import io
import os
import threading

from tierce.errors import DigestMismatch
from tierce.layer.writer import write_layer
from tierce.oci.digest import Digest, new_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from _typeshed import WriteableBuffer

    from tierce.layer.entry import Item

_BUFFER = 1 << 20


class VerifiedStream(io.RawIOBase):
    """Passes a stream on; the read that finds its end compares the digest of all that was read."""

    def __init__(self, source: BinaryIO, expected: Digest) -> None:
        self._source = source
        self._expected = expected
        self._hash = new_hash(expected.algorithm)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length: int = self._source.readinto(view)  # type: ignore[attr-defined]
        if length:
            self._hash.update(view[:length])
        elif view:
            _compare(self._expected, Digest.from_hash(self._hash))
        return length

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()

    def buffered(self) -> BinaryIO:
        """With a buffer of a good size."""
        return io.BufferedReader(self, _BUFFER)


class RegeneratedTar(io.RawIOBase):
    """The tar of items, written by a thread while it is read; verified at its end."""

    def __init__(self, items: Iterator[Item], expected: Digest) -> None:
        self._items = items
        self._expected = expected
        self._error: BaseException | None = None
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, _BUFFER)
        self._thread = threading.Thread(target=self._write, name="layer-tar", daemon=True)
        self._thread.start()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length = os.readv(self._reading, [view])
        if not length and view:
            self._thread.join()
            if self._error is not None:
                raise self._error
        return length

    def close(self) -> None:
        if not self.closed:
            # The writer's next write fails, if it is not done.
            os.close(self._reading)
            self._thread.join()
        super().close()

    def buffered(self) -> BinaryIO:
        """With a buffer of a good size."""
        return io.BufferedReader(self, _BUFFER)

    def _write(self) -> None:
        try:
            written = write_layer(self._items, self._put, hash_files=False)
            _compare(self._expected, written.diff_id)
        except BaseException as error:  # noqa: BLE001  (raised again by the reader)
            self._error = error
        finally:
            os.close(self._writing)

    def _put(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._writing, data) :]


def _compare(expected: Digest, actual: Digest) -> None:
    if actual != expected:
        raise DigestMismatch("layer", expected=str(expected), actual=str(actual))
