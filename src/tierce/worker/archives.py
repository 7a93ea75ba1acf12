"""ADD of tar archives: plain, or compressed in any of the ways that docker unpacks.

The entries go onto a draft with the rules of docker's Untar, which sees the destination as its
root: absolute names and links count from there. Two things that Untar takes are refused: a name
with "..", and that of a whiteout, which to Untar is a file, and would mean deletion in a layer.
"""

from __future__ import annotations

import io
import os

from tierce.errors import BuildError, LayerError
from tierce.layer.compression import open_decompressed
from tierce.layer.decoder import check_sum
from tierce.layer.entry import WHITEOUT_PREFIX, Content
from tierce.layer.reader import read_layer
from tierce.store.failures import reported
from tierce.worker.owners import ROOT

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from typing import BinaryIO

    from tierce.layer.entry import Entry
    from tierce.store.blob_writer import BlobWriter
    from tierce.worker.draft import LayerDraft
    from tierce.worker.owners import Owner

_BLOCK = 512
_CHUNK = 1 << 20
MAX_BYTES = 64 << 30
"""Of an archive, once it is decompressed; a few kilobytes may stand for any number of zeros."""

_IMPLIED_MODE = 0o755  # of directories that an archive has no entry for; they are root's


class Archive:
    """An uncompressed tar that is a part of a host file. Close it by the end of a `with`."""

    def __init__(self, name: str, path: str, offset: int, size: int, spool: Spool) -> None:
        self.name = name
        self.spool = spool
        self._path = path
        self._offset = offset
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  (closed by __exit__)
        self.stream = _Window(self._file, offset, size)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def content(self, entry: Entry, data: BinaryIO | None) -> Content | bytes:
        """Where the bytes of a file in it are."""
        if not entry.size or data is None:
            return b""
        if entry.offset < 0:
            return self.spool.keep(data)  # sparse: its bytes are in no one place
        return Content(self._path, self._offset + entry.offset, entry.size)


class Spool:
    """A temporary file for what no file holds in the form that is needed."""

    def __init__(self, temporary: Callable[[], BlobWriter], cleanup: ExitStack) -> None:
        """The file is made when it is needed, and goes with `cleanup`."""
        self._temporary = temporary
        self._cleanup = cleanup
        self._writer: BlobWriter | None = None
        self._end = _BLOCK  # a `Content` at offset 0 would stand for the whole file

    def keep(self, stream: BinaryIO, head: bytes = b"") -> Content:
        """Append all that a stream holds, after `head`; zeros become holes.

        Raises StoreError, what reading raises, and BuildError beyond MAX_BYTES.
        """
        if self._writer is None:
            self._writer = self._cleanup.enter_context(self._temporary())
        descriptor = self._writer.fileno()
        start = self._end
        while chunk := head or stream.read(_CHUNK):
            head = b""
            if self._end - start + len(chunk) > MAX_BYTES:
                raise BuildError(f"decompress archive: larger than {MAX_BYTES} bytes")
            if not chunk.strip(b"\0"):
                self._end += len(chunk)
                continue
            left = memoryview(chunk)
            with reported("unpack archive"):
                while left:
                    written = os.pwrite(descriptor, left, self._end)
                    self._end += written
                    left = left[written:]
        with reported("unpack archive"):
            os.ftruncate(descriptor, self._end)
        return Content(self._writer.path, start, self._end - start)


def open_archive(content: Content, name: str, spool: Spool) -> Archive | None:
    """The archive that some content is, decompressed; None when it is anything else.

    As with docker, whatever begins with a tar header is one; what does not decompress that far
    is an ordinary file. Raises BuildError when it cannot be decompressed to its end.
    """
    try:
        with open(content.path, "rb", buffering=0) as file:
            window = io.BufferedReader(_Window(file, content.offset, content.size), _CHUNK)
            stream = open_decompressed(window)
            if stream is window:
                is_tar = is_tar_header(window.peek(_BLOCK)[:_BLOCK])
                return Archive(name, *content, spool) if is_tar else None
            try:
                # No more than the header: an archive that is cut short later is one, too.
                head = stream.raw.read(_BLOCK)  # type: ignore[attr-defined]
            except LayerError:
                return None
            if not is_tar_header(head):
                return None
            return Archive(name, *spool.keep(stream, head), spool)
    except (LayerError, OSError) as error:
        raise _failed(name, error) from error


def newest_time(content: Content) -> int | None:
    """The time of the newest file in an archive, in seconds since 1970; None if it is none.

    Raises BuildError for one that is too large, OSError.
    """
    newest = None
    try:
        with open(content.path, "rb", buffering=0) as file:
            window = io.BufferedReader(_Window(file, content.offset, content.size), _CHUNK)
            for entry, _ in read_layer(_Bounded(open_decompressed(window))):
                if entry.kind in {"file", "hardlink"}:
                    newest = max(entry.mtime_ns, entry.mtime_ns if newest is None else newest)
    except LayerError:
        return None
    return None if newest is None else newest // 10**9


def unpack(archive: Archive, draft: LayerDraft, top: str, owner: Owner | None) -> None:
    """Put all entries of an archive below `top`, which is a directory of the draft.

    `owner` is whom everything belongs to, or None for what the archive says. Raises BuildError.
    """
    last = ("", top)
    try:
        for entry, data in read_layer(archive.stream):
            if entry.kind in {"whiteout", "opaque"}:
                raise BuildError(
                    f"add {archive.name}: a whiteout of /{entry.path} cannot be added: names that"
                    f' begin with "{WHITEOUT_PREFIX}" mean deletion in an image layer'
                )
            if not entry.path:
                continue  # the destination keeps its own mode and owner
            parent, _, name = entry.path.rpartition("/")
            if parent != last[0]:
                last = (parent, _parent(draft, parent, top))
            uid, gid = owner or (entry.uid, entry.gid)
            path = _join(last[1], name)
            made = entry._replace(path=path, uid=uid, gid=gid, digest=b"", offset=-1)
            if entry.kind == "hardlink":
                draft.link(made._replace(link=_linked(draft, entry.link, top)), replace=True)
            else:
                draft.replace(made, archive.content(entry, data) if data is not None else None)
            if last[1] != _join(top, parent):
                last = ("", top)  # a link led there, which the next entry may find replaced
    except (LayerError, OSError) as error:
        raise _failed(archive.name, error) from error


def is_tar_header(block: bytes) -> bool:
    """Whether 512 bytes are the header of a tar member: their checksum tells."""
    if len(block) < _BLOCK or not any(block):
        return False
    try:
        check_sum(block)
    except ValueError:
        return False
    return True


def _parent(draft: LayerDraft, path: str, top: str) -> str:
    """The directory that a member goes to, made where an archive has no entry for it."""
    where = draft.resolve(path, top)
    if draft.lookup(where) is None:
        # mkdir(2) makes nothing at the end of a link that leads nowhere.
        at = 0
        while at >= 0:
            at = path.find("/", at + 1)
            here = path[:at] if at >= 0 else path
            link = draft.lookup(draft.resolve(here, top, last=False))
            if link is not None and link.kind == "symlink":
                target = draft.resolve(here, top)
                if draft.lookup(target) is None:
                    raise BuildError(f"mkdir /{target}: /{here} leads there, but it does not exist")
    draft.make_directories(where, _IMPLIED_MODE, ROOT)
    return where


def _linked(draft: LayerDraft, path: str, top: str) -> str:
    """What a hard link names: as link(2), it follows links among the parents only."""
    parent, _, name = path.rpartition("/")
    return _join(draft.resolve(parent, top), name)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory and name else directory or name


def _failed(name: str, error: LayerError | OSError) -> BuildError:
    message = error.message if isinstance(error, LayerError) else error.strerror or str(error)
    return BuildError(f"add {name}: {message}")


class _Bounded:
    """A stream that is refused once it has given too much."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_BYTES

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BuildError(f"decompress archive: larger than {MAX_BYTES} bytes")
        return data


class _Window(io.RawIOBase):
    """The bytes of a part of a file, from its own position on."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._descriptor = file.fileno()
        self._at = offset
        self._end = offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._end - self._at)
        # RawIOBase.read hands in a bytearray, of which a slice would be a copy.
        got = os.preadv(self._descriptor, (memoryview(buffer)[:wanted],), self._at)
        self._at += got
        return got
