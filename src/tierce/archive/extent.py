"""Bytes inside an open file: what members of an archive are, wherever it keeps them."""

from __future__ import annotations

import io
import os

from tierce.errors import ArchiveError

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tierce.oci.digest import Digest

CHUNK = 1 << 18
"""What is read at once: stays in the processor's cache between reading, hashing and writing."""


class Extent(io.RawIOBase):
    """A readable file of `size` bytes at `offset` of the file that `descriptor` is.

    It has a position of its own, so that several may read one descriptor at once. The descriptor
    belongs to somebody else and has to outlive it. `digest` is None unless the content is known
    to have this digest; `name` is for errors.
    """

    def __init__(
        self, descriptor: int, offset: int, size: int, name: str, digest: Digest | None = None
    ) -> None:
        super().__init__()
        self.digest = digest
        self.descriptor = descriptor
        self.offset = offset
        self.size = size
        self.name = name
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as possible. Raises ArchiveError if the file is cut short."""
        wanted = min(len(buffer), self.size - self._at)
        if wanted <= 0:
            return 0
        with memoryview(buffer) as view:
            try:
                got = os.preadv(self.descriptor, (view[:wanted],), self.offset + self._at)
            except OSError as error:
                raise unreadable(self.name, error) from error
        if not got:
            raise ArchiveError(f"read archive: {self.name} is cut short")
        self._at += got
        return got

    def buffered(self) -> io.BufferedReader:
        """The extent as a buffered file, from its start."""
        self._at = 0
        return io.BufferedReader(self, CHUNK)

    def chunks(self) -> Iterator[memoryview]:
        """All bytes from the start; each piece is valid until the next is asked for."""
        buffer = memoryview(bytearray(min(CHUNK, max(self.size, 1))))
        self._at = 0
        while got := self.readinto(buffer):
            yield buffer[:got]

    def content(self, limit: int) -> bytes:
        """All of a small member. Raises ArchiveError if it has more than `limit` bytes."""
        if self.size > limit:
            raise ArchiveError(
                f"read archive: {self.name} has {self.size} bytes, more than {limit}"
            )
        return b"".join(bytes(chunk) for chunk in self.chunks())


def unreadable(name: str, error: OSError) -> ArchiveError:
    """The error to raise when a part of an archive cannot be read."""
    return ArchiveError(f"read archive: {name}: {(error.strerror or str(error)).lower()}")
