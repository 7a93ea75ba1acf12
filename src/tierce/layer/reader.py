"""Read the tar of a layer: strictly, in a stream, within bounded memory.

Not `tarfile`: that one is lenient where a layer must be refused, knows no limits, and takes
150 µs a file.
"""

from __future__ import annotations

import io

from tierce.errors import CorruptLayer, UnsafeLayer
from tierce.layer import pax
from tierce.layer.decoder import (
    EXTENSION_TYPES,
    SPARSE_TYPE,
    Extensions,
    HeaderDecoder,
    check_sum,
)
from tierce.layer.entry import Entry, decode_path
from tierce.layer.header import BLOCK
from tierce.layer.limits import DEFAULT_LIMITS, Limits

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from tierce.layer.pipeline import Stream

_CHUNK = 1 << 20
_ZERO_BLOCK = bytes(BLOCK)


def read_layer(
    stream: Stream, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[Entry, BinaryIO | None]]:
    """The entries of an uncompressed tar, in its order, with the content of files.

    Content can be read until the next entry is asked for. Times have nanoseconds where the tar
    has them; a sparse file reads as what it stands for, and has no `offset`. The stream is read
    to its end. Raises CorruptLayer for what is no tar or is cut short, UnsafeLayer for names that
    point outside and for more than `limits`.
    """
    reader = TarReader(stream, limits)
    while (entry := reader.next()) is not None:
        content: BinaryIO | None = None
        if entry.kind == "file":
            content = io.BufferedReader(_Content(reader, entry.size))
        yield entry, content
    reader.drain()


class TarReader:
    """Reads entry by entry; the "current" one is what `next` returned last."""

    def __init__(self, stream: Stream, limits: Limits = DEFAULT_LIMITS) -> None:
        self._read = stream.read
        self._limits = limits
        self._decoder = HeaderDecoder(limits)
        self._buffer = b""
        self._at = 0
        self._base = 0  # of the buffer in the stream
        self._padding = 0
        self._entries = 0
        self.left = 0
        """Bytes of the current entry's data that have not been taken yet."""
        self.extents: pax.Extents | None = None
        """Where the data goes, if the current entry is a sparse file."""

    def next(self) -> Entry | None:
        """The next entry, or None at the end of the archive."""
        extensions = _NONE
        while True:
            end = self._at + self.left + self._padding
            if end <= len(self._buffer):
                self._at = end
            else:
                self._skip(self.left + self._padding)
            self.left = self._padding = 0
            block = self._block()
            if block == _ZERO_BLOCK:
                self._end(extensions)
                return None
            try:
                check_sum(block)
                type_ = block[156:157]
                if extensions is _NONE and type_ in _EXTENDED:
                    extensions = Extensions()
                if type_ in EXTENSION_TYPES:
                    self._extend(extensions, type_, block)
                    continue
                entry = self._entry(block, extensions)
            except ValueError as error:
                name = decode_path(block[:100].partition(b"\0")[0])
                raise CorruptLayer(f"read layer entry {name!r}: {error}", entry=name) from error
            self._entries += 1
            if self._entries > self._limits.entries:
                raise UnsafeLayer(f"read layer: more than {self._limits.entries} entries")
            if entry is not None:
                return entry
            extensions = _NONE

    def chunk(self) -> memoryview:
        """The next bytes of the current entry's data: what is at hand; none at its end."""
        if not self.left:
            return memoryview(b"")
        if self._at == len(self._buffer):
            self._fill(1)
        start = self._at
        size = min(self.left, len(self._buffer) - start)
        self._at += size
        self.left -= size
        return memoryview(self._buffer)[start : start + size]

    def drain(self) -> None:
        """Read what follows the end of the archive, so that the whole stream has been seen."""
        while self._read(_CHUNK):
            pass

    def _entry(self, block: bytes, extensions: Extensions) -> Entry | None:
        decoder = self._decoder
        entry = decoder.entry(block, extensions, self._base + self._at)
        size = self.left = decoder.data_size
        self._padding = -size % BLOCK
        self.extents = None
        if entry is None or entry.kind != "file":
            return entry
        if extensions is not _NONE and (extensions.sparse or block[156:157] == SPARSE_TYPE):
            return entry._replace(size=self._sparse(block, extensions), offset=-1)
        return entry

    def _sparse(self, block: bytes, extensions: Extensions) -> int:
        """Read the map of a sparse file; the file's real size."""
        values = extensions.values
        data_size = self.left
        if block[156:157] == SPARSE_TYPE and not extensions.sparse:
            extents = self._old_gnu_map(block, extensions)
            size = pax.parse_number(block[483:495])
        elif values.get(b"GNU.sparse.major") == b"1" and values.get(b"GNU.sparse.minor") == b"0":
            extents = self._leading_map(extensions)
            data_size = self.left
            size = extensions.number(b"GNU.sparse.realsize", 0)
        else:
            extents = pax.sparse_extents(extensions.records)
            size = extensions.number(b"GNU.sparse.size", 0)
        pax.check_extents(extents, size, data_size)
        self.extents = extents
        return size

    def _old_gnu_map(self, block: bytes, extensions: Extensions) -> pax.Extents:
        extents = pax.old_sparse_extents(block, 386, 4)
        more = block[482]
        while more:
            self._grow(extensions, BLOCK)
            block = self._block()
            extents += pax.old_sparse_extents(block, 0, 21)
            more = block[504]
        return extents

    def _leading_map(self, extensions: Extensions) -> pax.Extents:
        """The map of format 1.0: decimal lines at the head of the data, padded to a block."""
        raw = bytearray()
        lines = 0
        wanted = 1
        while lines < wanted:
            if self.left < BLOCK:
                raise ValueError("sparse map is cut short")
            self._grow(extensions, BLOCK)
            self.left -= BLOCK
            block = self._block()
            raw += block
            lines += block.count(b"\n")
            if wanted == 1 and lines:
                wanted += 2 * pax.parse_decimal(bytes(raw.partition(b"\n")[0]))
        return pax.pair([pax.parse_decimal(line) for line in bytes(raw).split(b"\n")[1:wanted]])

    def _extend(self, extensions: Extensions, type_: bytes, block: bytes) -> None:
        """Take the data of a header that is about the next entry."""
        size = pax.parse_number(block[124:136])
        if size < 0:
            raise ValueError("negative size")
        self._grow(extensions, BLOCK + size)
        extensions.add(type_, self._take(size))
        self._skip(-size % BLOCK)

    def _grow(self, extensions: Extensions, size: int) -> None:
        extensions.size += size
        if extensions.size > self._limits.header_bytes:
            raise UnsafeLayer(
                f"read layer: headers of more than {self._limits.header_bytes} bytes for an entry"
            )

    def _end(self, extensions: Extensions) -> None:
        """Two zero blocks end an archive; one will do at the end of the stream (as GNU tar)."""
        if extensions.size:
            raise CorruptLayer("read layer: it ends after an extended header")
        if self._at == len(self._buffer):
            self._base += self._at
            self._buffer, self._at = self._read(_CHUNK), 0
            if not self._buffer:
                return
        if self._block() != _ZERO_BLOCK:
            raise CorruptLayer("read layer: a zero block among its entries")

    def _block(self) -> bytes:
        end = self._at + BLOCK
        if end > len(self._buffer):
            return self._take(BLOCK)
        self._at = end
        return self._buffer[end - BLOCK : end]

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._buffer):
            self._fill(size)
        self._at += size
        return self._buffer[self._at - size : self._at]

    def _skip(self, size: int) -> None:
        while size > len(self._buffer) - self._at:
            size -= len(self._buffer) - self._at
            self._at = len(self._buffer)
            self._fill(1)
        self._at += size

    def _fill(self, least: int) -> None:
        """Have at least so many bytes in the buffer. What the stream lacks is never allocated."""
        parts = [self._buffer[self._at :]]
        have = len(parts[0])
        while have < least:
            data = self._read(_CHUNK)
            if not data:
                raise CorruptLayer("read layer: it is cut short")
            parts.append(data)
            have += len(data)
        self._base += self._at
        self._buffer = parts[1] if len(parts) == 2 and not parts[0] else b"".join(parts)
        self._at = 0


class _Content(io.RawIOBase):
    """The content of the current entry of a reader; holes of a sparse file are zeros."""

    def __init__(self, reader: TarReader, size: int) -> None:
        self._reader = reader
        self._extents = iter(reader.extents if reader.extents is not None else [(0, size)])
        self._size = size
        self._position = 0
        self._extent = (0, 0)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        while self._position >= sum(self._extent) and self._position < self._size:
            # Behind the last one, all is a hole.
            self._extent = next(self._extents, (self._size, self._size))
        start, length = self._extent
        wanted = min(len(target), self._size - self._position)
        if self._position < start:
            count = min(wanted, start - self._position)
            target[:count] = bytes(count)
        else:
            if not self._rest:
                self._rest = self._reader.chunk()
            count = min(wanted, start + length - self._position, len(self._rest))
            target[:count] = self._rest[:count]
            self._rest = self._rest[count:]
        self._position += count
        return count


_EXTENDED = EXTENSION_TYPES | {SPARSE_TYPE}
_NONE = Extensions()  # of most entries; never changed
