"""Where the members of an archive are: in a directory, in a tar on disk, or in a stream.

A tar on disk is scanned once, header by header, and its content stays where it is. A stream can
be read only once, in the order it comes: small members are kept in memory, large ones go into
the staging at once, hashed on the way, since their use is only known at the end (docker writes
its manifest last).
"""

from __future__ import annotations

import fcntl
import io
import os
import stat
from contextlib import ExitStack, contextmanager

from tierce.archive.extent import Extent, unreadable
from tierce.archive.names import BLOBS, link_target, normalized
from tierce.errors import ArchiveError, InvalidValue, LayerError
from tierce.layer.compression import (
    BZIP2_MAGIC,
    GZIP_MAGIC,
    XZ_MAGIC,
    ZSTD_MAGIC,
    open_decompressed,
)
from tierce.layer.limits import Limits
from tierce.layer.reader import read_layer
from tierce.oci.digest import Digest

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any, Protocol

    from tierce.archive.staging import Staging
    from tierce.layer.entry import Entry

    class Archive(Protocol):
        """Members by name. All methods raise ArchiveError for what cannot be read."""

        def find(self, name: str) -> Extent | None:
            """The content of a member, links followed; None if there is none."""


_SMALL = 1 << 18
_SMALL_TOTAL = 1 << 26
_LINKS_LIMIT = 40
_LIMITS = Limits(entries=200_000)
_PIPE_BYTES = 1 << 20
_ZEROS = bytes(1 << 20)
_HEADERS = 1 << 13
"""Read at once where headers are expected: a few small members come with them."""


def member(archive: Archive, name: str) -> Extent:
    """The content of a member that must be there. Raises ArchiveError."""
    extent = archive.find(name)
    if extent is None:
        raise ArchiveError(f"read archive: {name[:200]} is not in it")
    return extent


def read(archive: Archive, name: str, limit: int) -> bytes:
    """All bytes of a member that must be there and be small. Raises ArchiveError."""
    return member(archive, name).content(limit)


@contextmanager
def open_archive(source: IO[bytes] | str | os.PathLike[str], staging: Staging) -> Iterator[Archive]:
    """Open what `source` is: a path of a directory or file, or a stream; compressed or not.

    Raises ArchiveError.
    """
    with ExitStack() as cleanup:
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            if os.path.isdir(path):
                yield cleanup.enter_context(_DirectoryArchive(path))
                return
            source = cleanup.enter_context(_open_file(path))
        extent = _plain_file(source)
        if extent is not None:
            yield _TarArchive.scan(extent)
        else:
            stream_archive = cleanup.enter_context(_StreamArchive(staging))
            stream_archive.take_in(source)
            yield stream_archive


def stage(staging: Staging, source: IO[bytes] | str | os.PathLike[str]) -> tuple[Digest, str]:
    """Take in a whole file or stream; its digest, and how it is compressed.

    It is kept as it is, unless compressed by something that layers are not. Raises ArchiveError.
    """
    with ExitStack() as cleanup:
        if isinstance(source, str | os.PathLike):
            source = cleanup.enter_context(_open_file(os.fspath(source)))
        extent = _file_on_disk(source)
        buffered = _Borrowed(source).buffered() if extent is None else extent.buffered()
        if buffered.peek(6)[:6].startswith((BZIP2_MAGIC, XZ_MAGIC)):
            with archive_errors(), open_decompressed(buffered) as plain:
                digest = staging.take_stream(plain, "the archive", 0)
        elif extent is None:
            digest = staging.take_stream(buffered, "the archive", 0)
        else:
            (digest,) = staging.take_in([(extent, None)])
    return digest, compression_of(staging.read(digest))


def compression_of(content: Extent) -> str:
    """How content is compressed as layers are ("gzip", "zstd", "none"), by its first bytes."""
    content.seek(0)
    head = content.read(4) or b""
    return "gzip" if head[:2] == GZIP_MAGIC else "zstd" if head == ZSTD_MAGIC else "none"


def _open_file(path: str) -> IO[bytes]:
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise unreadable(path, error) from error


def _plain_file(source: IO[bytes]) -> Extent | None:
    """The stream's file from its position on, if it is on disk and an uncompressed tar."""
    extent = _file_on_disk(source)
    if extent is None or os.pread(extent.descriptor, 5, extent.offset + 257) != b"ustar":
        return None
    return extent


def _file_on_disk(source: IO[bytes]) -> Extent | None:
    try:
        descriptor = source.fileno()
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        start = source.tell()
    except (OSError, AttributeError, ValueError):
        return None
    return Extent(descriptor, start, status.st_size - start, "the archive")


class _DirectoryArchive:
    """An unpacked layout. Blobs may be links to elsewhere: it is the user's own directory."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: dict[str, Extent] = {}

    def __enter__(self) -> _DirectoryArchive:
        return self

    def __exit__(self, *_: object) -> None:
        for extent in self._open.values():
            os.close(extent.descriptor)

    def find(self, name: str) -> Extent | None:
        name = normalized(name)
        if name in self._open:
            return self._open[name]
        try:
            # Not to hang on a fifo that has nobody at its other end.
            descriptor = os.open(
                os.path.join(self._path, name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(name, error) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise ArchiveError(f"read archive: {name} is not a file")
        self._open[name] = Extent(descriptor, 0, status.st_size, name)
        return self._open[name]


class _TarArchive:
    """Members of a tar, by name. Of two with one name the later counts, as when unpacking."""

    def __init__(self) -> None:
        self._members: dict[str, Extent] = {}
        self._links: dict[str, str] = {}

    @classmethod
    def scan(cls, tar: Extent) -> _TarArchive:
        archive = cls()
        skimmer = _Skimmer(tar)
        with archive_errors():
            for entry, content in read_layer(skimmer, _LIMITS):
                if content is not None:
                    archive._add(tar, entry)
                    skimmer.skim(entry.offset, entry.size)
                elif entry.link:
                    archive._link(entry.path, entry.link, symbolic=entry.kind == "symlink")
        return archive

    def find(self, name: str) -> Extent | None:
        name = normalized(name)
        for _ in range(_LINKS_LIMIT):
            if name not in self._links:
                return self._at(name)
            name = self._links[name]
        raise ArchiveError(f"read archive: {name} is a link that leads to itself")

    def _at(self, name: str) -> Extent | None:
        return self._members.get(name)

    def _add(self, tar: Extent, entry: Entry) -> None:
        if entry.offset < 0:
            raise ArchiveError(f"read archive: {entry.path} is a sparse file")
        if entry.offset + entry.size > tar.size:
            raise ArchiveError(f"read archive: it is cut short in {entry.path}")
        self._members[entry.path] = Extent(
            tar.descriptor, tar.offset + entry.offset, entry.size, entry.path
        )

    def _link(self, name: str, target: str, *, symbolic: bool) -> None:
        # Docker before 1.10 saved a layer that several images share once, with links to it.
        self._links[name] = link_target(name, target) if symbolic else normalized(target)


class _Skimmer:
    """Gives the headers of a tar to its reader, and zeros in the place of content.

    So that finding the members of an archive of gigabytes reads a few kilobytes of it.
    """

    def __init__(self, tar: Extent) -> None:
        self._tar = tar
        self._at = 0
        self._from = self._until = 0

    def skim(self, offset: int, size: int) -> None:
        """The reader may have zeros for what lies there, as far as it has not read it yet."""
        self._from, self._until = offset, offset + size

    def read(self, size: int, /) -> bytes:
        if self._from <= self._at < self._until:
            piece = _ZEROS[: min(size, self._until - self._at)]
            self._at += len(piece)
        else:
            self._tar.seek(self._at)
            piece = self._tar.read(min(size, _HEADERS)) or b""
            self._at += len(piece)
        return piece


class _StreamArchive(_TarArchive):
    """Members of a tar that can be read once."""

    def __init__(self, staging: Staging) -> None:
        super().__init__()
        self._staging = staging
        self._staged: dict[str, Digest] = {}
        self._memory = -1
        self._memory_used = 0

    def __enter__(self) -> _StreamArchive:
        self._memory = os.memfd_create("archive", os.MFD_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._memory)

    def take_in(self, stream: IO[bytes]) -> None:
        """Read the whole stream: whoever writes a pipe would get an error otherwise."""
        _widen_pipe(stream)
        with archive_errors(), open_decompressed(_Borrowed(stream).buffered()) as plain:
            for entry, content in read_layer(plain, _LIMITS):
                if content is not None:
                    self._take_member(entry.path, entry.size, content)
                elif entry.link:
                    self._link(entry.path, entry.link, symbolic=entry.kind == "symlink")

    def _at(self, name: str) -> Extent | None:
        if name in self._staged:
            return self._staging.read(self._staged[name])
        return super()._at(name)

    def _take_member(self, name: str, size: int, content: IO[bytes]) -> None:
        if size <= _SMALL and self._memory_used + size <= _SMALL_TOTAL:
            self._staged.pop(name, None)
            self._members[name] = self._remember(name, size, content)
            return
        expected = _digest_of_blob(name)
        if expected is None or not self._staging.has(expected):
            expected = self._staging.take_stream(content, name, size, expected)
        self._staged[name] = expected

    def _remember(self, name: str, size: int, content: IO[bytes]) -> Extent:
        data = content.read(size)
        extent = Extent(self._memory, self._memory_used, size, name)
        os.pwrite(self._memory, data, self._memory_used)
        self._memory_used += size
        return extent


class _Borrowed(io.RawIOBase):
    """A stream of the caller's, which is not ours to close."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream

    def buffered(self) -> io.BufferedReader:
        return io.BufferedReader(self, 1 << 20)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            got: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        except OSError as error:
            raise unreadable("the archive", error) from error
        return got


def _widen_pipe(stream: IO[bytes]) -> None:
    """Let a pipe hold more at once, so that its two ends seldom wait for each other."""
    try:
        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (OSError, AttributeError):
        pass  # no pipe, or the user has many (pipe(7), pipe-user-pages-soft)


def _digest_of_blob(name: str) -> Digest | None:
    parts = name.split("/")
    if len(parts) != 3 or parts[0] != BLOBS:
        return None
    try:
        return Digest.parse(f"{parts[1]}:{parts[2]}")
    except InvalidValue:
        return None


@contextmanager
def archive_errors() -> Iterator[None]:
    """An archive is read as layers are, but is none: errors speak of the archive."""
    try:
        yield
    except LayerError as error:
        cause = error.message.partition(": ")[2] or error.message
        raise ArchiveError(f"read archive: {cause}") from error
