"""Compressed layers: gzip by ISA-L, zstd, told apart by their first bytes.

bzip2 and xz are read as well: no registry takes such layers, but ADD, `load` and `import` do.
"""

from __future__ import annotations

import io
import os

from tierce.errors import CorruptLayer
from tierce.layer.deflate import gzip_pieces
from tierce.oci.digest import Digest, new_hash

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO

    from _typeshed import WriteableBuffer

    _Opened = tuple[Any, type[Exception]]
    """A decompressing file, and what it raises for a broken stream."""

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\0"
_MAGIC_BYTES = len(XZ_MAGIC)
_ZSTD_LEVEL = 3
_WORKERS_AT_MOST = 4
_CHUNK = 1 << 20


def open_decompressed(
    source: BinaryIO | str | os.PathLike[str], *, buffer: int = _CHUNK
) -> BinaryIO:
    """The content of a stream or a file, decompressed if it is gzip, zstd, bzip2 or xz.

    The first bytes tell. It comes in pieces of `buffer` bytes. Reading raises CorruptLayer for a
    broken stream. How much comes out is for the caller to bound. Closing the result closes a file
    that was opened here.
    """
    raw: Any = open(source, "rb") if isinstance(source, str | os.PathLike) else source  # noqa: SIM115
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw, _CHUNK)
    head = buffered.peek(_MAGIC_BYTES)[:_MAGIC_BYTES]
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            inner, error = opener(buffered)
            return io.BufferedReader(_Checked(inner, error, buffered), buffer)
    return buffered


# Each library is imported only where something is compressed in its way.


def _open_gzip(stream: BinaryIO) -> _Opened:
    from isal import igzip, igzip_lib  # see above

    # Neither has useful types.
    opener: Any = igzip.open
    error: Any = igzip_lib.IsalError
    return opener(stream, "rb"), error


def _open_zstd(stream: BinaryIO) -> _Opened:
    from backports import zstd  # see above

    return zstd.ZstdFile(stream, "rb"), zstd.ZstdError


def _open_bzip2(stream: BinaryIO) -> _Opened:
    import bz2  # see above

    return bz2.BZ2File(stream), OSError


def _open_xz(stream: BinaryIO) -> _Opened:
    import lzma  # see above

    return lzma.LZMAFile(stream), lzma.LZMAError


_OPENERS: dict[bytes, Callable[[BinaryIO], _Opened]] = {
    GZIP_MAGIC: _open_gzip,
    ZSTD_MAGIC: _open_zstd,
    BZIP2_MAGIC: _open_bzip2,
    XZ_MAGIC: _open_xz,
}
"""By the first bytes of what they read."""


def compress(
    source: BinaryIO,
    sink: Callable[[bytes], object],
    kind: str = "gzip",
    level: int | None = None,
) -> tuple[Digest, int]:
    """Compress a stream as "gzip" or "zstd" into `sink`; the digest and size of what came out.

    A `level` is 0 to 9 for gzip, 0 to 22 for zstd; without one, it is the quickest way that
    compresses well: gzip by ISA-L, zstd at level 3.
    The same content gives the same bytes on every machine, with any number of processors: no
    name, no time, and blocks of a fixed size.
    """
    digest = new_hash("sha256")
    size = 0
    for piece in _pieces(source, kind, level):
        digest.update(piece)
        size += len(piece)
        sink(piece)
    return Digest.from_hash(digest), size


def _pieces(source: BinaryIO, kind: str, level: int | None) -> Iterator[bytes]:
    if kind == "gzip":
        return gzip_pieces(source, level)
    if kind == "zstd":
        return _zstd_pieces(source, _ZSTD_LEVEL if level is None else level)
    raise ValueError(f"no such compression: {kind}")


def _zstd_pieces(source: BinaryIO, level: int) -> Iterator[bytes]:
    from backports import zstd  # see above

    # Any number of workers makes the same frame, but none another one.
    option = zstd.CompressionParameter
    workers = min(_WORKERS_AT_MOST, os.cpu_count() or 1)
    compressor = zstd.ZstdCompressor(
        options={option.compression_level: level, option.nb_workers: workers}
    )
    while chunk := source.read(_CHUNK):
        if piece := compressor.compress(chunk):
            yield piece
    yield compressor.flush()


class _Checked(io.RawIOBase):
    """A decompressor whose errors are those of a layer."""

    def __init__(self, inner: Any, error: type[Exception], raw: BinaryIO) -> None:
        self._inner = inner
        self._errors = (error, OSError, EOFError)
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        try:
            data = self._inner.read(len(view))
        except self._errors as error:
            raise CorruptLayer(f"decompress layer: {error}") from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._raw.close()
        super().close()
