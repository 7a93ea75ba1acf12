"""Compressed layers: gzip by ISA-L, zstd, told apart by their first bytes.

bzip2 and xz are read as well: no registry takes such layers, but ADD, `load` and `import` do.
"""

from __future__ import annotations

import io
import os

from tierce.errors import CorruptLayer
from tierce.oci.digest import Digest, new_hash

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\0"
_GZIP_LEVEL = 2  # of ISA-L: the highest that gives the same bytes on every processor
_ZSTD_LEVEL = 3
_CHUNK = 1 << 20


def open_decompressed(source: BinaryIO | str | os.PathLike[str]) -> BinaryIO:
    """The content of a stream or a file, decompressed if it is gzip, zstd, bzip2 or xz.

    The first bytes tell. Reading raises CorruptLayer for a broken stream. How much comes out is
    for the caller to bound. Closing the result closes a file that was opened here.
    """
    raw = source if hasattr(source, "read") else open(source, "rb")  # noqa: SIM115
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw, _CHUNK)  # type: ignore[arg-type,type-var]
    magic = buffered.peek(6)[:6]
    if magic.startswith(GZIP_MAGIC):
        from isal import igzip  # only where something is compressed

        return _Checked(igzip.GzipFile(fileobj=buffered, mode="rb"), buffered).buffered()
    if magic.startswith(ZSTD_MAGIC):
        from backports import zstd

        return _Checked(zstd.ZstdFile(buffered, "rb"), buffered).buffered()
    if magic.startswith(BZIP2_MAGIC):
        import bz2  # as above

        return _Checked(bz2.BZ2File(buffered), buffered).buffered()
    if magic.startswith(XZ_MAGIC):
        import lzma  # as above

        return _Checked(lzma.LZMAFile(buffered), buffered).buffered()
    return buffered


def compress(
    source: BinaryIO,
    sink: Callable[[bytes], object],
    kind: str = "gzip",
    level: int | None = None,
) -> tuple[Digest, int]:
    """Compress a stream into `sink`; the digest and size of what came out.

    The same content gives the same bytes on every machine: no name, no time.
    """
    digest = new_hash("sha256")
    size = 0

    def put(data: bytes) -> None:
        nonlocal size
        if data:
            digest.update(data)
            size += len(data)
            sink(data)

    if kind == "gzip":
        from isal import isal_zlib

        # wbits of 31: with gzip's header, whose fields ISA-L leaves zero.
        compressor = isal_zlib.compressobj(_GZIP_LEVEL if level is None else level, wbits=31)
    elif kind == "zstd":
        from backports import zstd

        compressor = zstd.ZstdCompressor(_ZSTD_LEVEL if level is None else level)
    else:
        raise ValueError(f"no such compression: {kind}")
    while chunk := source.read(_CHUNK):
        put(compressor.compress(chunk))
    put(compressor.flush())
    return Digest.from_hash(digest), size


class _Checked(io.RawIOBase):
    """A decompressor whose errors are those of a layer."""

    def __init__(self, inner: BinaryIO, raw: BinaryIO) -> None:
        self._inner = inner
        self._raw = raw

    def buffered(self) -> BinaryIO:
        return io.BufferedReader(self, _CHUNK)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._inner.read(len(buffer))
        except (OSError, EOFError, ValueError) as error:
            raise CorruptLayer(f"decompress layer: {error}") from error
        except Exception as error:
            if type(error).__name__ in {"ZstdError", "IsalError", "LZMAError", "error"}:
                raise CorruptLayer(f"decompress layer: {error}") from error
            raise
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._raw.close()
        super().close()
