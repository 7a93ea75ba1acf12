"""Write the tar of a layer: the same entries always give the same bytes.

Nothing but the entries goes in: no user names, no clock, no directory order. The bytes are hashed
as they are made, so the diff id costs no second pass, and a layer needs no unpacked copy to exist.
"""

from __future__ import annotations

import os
from hashlib import sha256

from tierce.errors import CorruptLayer, LayerError
from tierce.layer.entry import (
    OPAQUE_NAME,
    PATH_ENCODING,
    PATH_ERRORS,
    WHITEOUT_PREFIX,
    Content,
    Entry,
    LiveItem,
    OpenFile,
    encode_path,
    sort_key,
)
from tierce.layer.header import BLOCK, TYPES, HeaderEncoder, is_plain
from tierce.layer.pipeline import BUFFER, HashingPipeline
from tierce.oci.digest import Digest
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from tierce.layer.earlier import Run

_NANOSECONDS = 1_000_000_000
_SMALL = BUFFER // 4  # fits into a buffer with its header and padding
_PADDING = [bytes(-size % BLOCK) for size in range(BLOCK)]
_LET_GO = 8 * BUFFER  # of an earlier tar at once
_SYMLINK_MODE = 0o777  # Linux has no other
_END = bytes(2 * BLOCK)
# O_NONBLOCK: a file that was replaced by a FIFO since it was listed must fail, not hang.
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LayerResult(Value):
    """`diff_id` and `size` are of the uncompressed tar; `entries` are as a reader of it sees them.

    Their files have an offset, and a digest if it was asked for.
    """

    diff_id: Digest
    size: int
    entries: list[Entry]


def write_layer(
    items: Iterable[LiveItem | Run],
    sink: Callable[[memoryview], object] | None,
    *,
    clamp_mtime: int | None = None,
    hash_files: bool = True,
) -> LayerResult:
    """Write items as the uncompressed tar of a layer.

    `items` come sorted by `sort_key` of their path (an "opaque" after its "dir"); a hard link
    comes after the file it names. `sink` gets the tar in order, called in another thread, and
    must not keep the memory it is given; without a sink the tar is only hashed. Modification
    times later than `clamp_mtime` (in seconds since 1970) become that; fractions of a second are
    dropped. With `hash_files` each entry of a file gets its sha256, unless it brought one. What a
    run stands for is copied as it is, whatever `clamp_mtime` and `hash_files` say.

    Raises LayerError for an item that a layer cannot hold, CorruptLayer for a file that changed
    while it was read, or an earlier tar that is too short; errors of `items` and `sink` pass
    through. What was given to `sink` before an error is worthless.
    """
    with HashingPipeline(sink) as pipeline:
        writer = _Writer(pipeline, clamp_mtime, hash_files)
        try:
            for item in items:
                if len(item) == 2:
                    writer.add(*item)
                else:
                    writer.take_over(item)
            return writer.finish()
        finally:
            writer.close()


class _Writer:
    """Fills the pipeline's buffers.

    `add`, `_file` and `_read_small` run once per file: with 50,000 of them, a microsecond more
    is 50 ms more.
    """

    def __init__(
        self, pipeline: HashingPipeline, clamp_mtime: int | None, hash_files: bool
    ) -> None:
        self._pipeline = pipeline
        self._clamp = clamp_mtime
        self._hash_files = hash_files
        self._headers = HeaderEncoder()
        self._entries: list[Entry] = []
        self._previous: str | None = None
        self._container = ("", -1)
        self._flushed = 0
        self._buffer = pipeline.take()
        self._view = memoryview(self._buffer)
        self._used = 0

    def add(self, entry: Entry, content: Content | OpenFile | bytes | None) -> None:
        path, kind, mode, uid, gid, size, mtime_ns, link, device, xattrs, digest, _ = entry
        key = path.replace("/", "\0")
        if self._previous is None or key <= self._previous:
            self._check_order(entry, key)
        self._previous = key
        if ".wh." in path:
            _check_name(path)
        mtime = mtime_ns // _NANOSECONDS
        if self._clamp is not None and mtime > self._clamp:
            mtime = self._clamp
        offset = -1
        if kind == "file":
            name = path.encode(PATH_ENCODING, PATH_ERRORS)
            if not xattrs and is_plain(name, uid, gid, size, mtime):
                header = self._headers.plain(name, b"0", mode, uid, gid, size, mtime)
            else:
                header = self._headers.any(entry, name, mtime)
            offset = self._flushed + self._used + len(header)
            digest = self._file(path, header, size, content, digest)
        elif kind in {"whiteout", "opaque"}:
            entry = Entry(path, kind, 0)
            self._write(self._headers.any(entry, _whiteout_name(entry), 0))
            self._entries.append(entry)
            return
        else:
            if kind == "symlink" and mode != _SYMLINK_MODE:
                mode = _SYMLINK_MODE
                entry = entry._replace(mode=mode)
            self._write(self._headers.any(entry, _other_name(entry, key), mtime))
        self._entries.append(
            Entry(
                path, kind, mode, uid, gid, size, mtime * _NANOSECONDS, link, device, xattrs,
                digest, offset,
            )
        )  # fmt: skip

    def take_over(self, run: Run) -> None:
        """Append a piece of an earlier tar.

        What was read of it need not be in memory twice, and the kernel has no pages as good for
        the new tar as those that were just freed: in virtual machines, which give back what they
        do not use, others have to be fetched from the host first, which takes longer than all else.
        """
        first, last = run.entries[0], run.entries[-1]
        key = sort_key(first.path)
        if self._previous is not None and key <= self._previous:
            self._check_order(first, key)
        self._previous = sort_key(last.path)
        shift = self._flushed + self._used - run.start
        at = let_go = run.start
        while at < run.stop:
            if self._used == BUFFER:
                self._flush()
            view = self._view[self._used : self._used + run.stop - at]
            try:
                got = os.preadv(run.descriptor, (view,), at)
            except OSError as error:
                raise _unreadable(first.path, error) from error
            if not got:
                raise CorruptLayer(
                    f"write layer entry {last.path}: the layer that has it is cut short",
                    entry=last.path,
                )
            self._used += got
            at += got
            if at - let_go >= _LET_GO:
                os.posix_fadvise(run.descriptor, let_go, at - let_go, os.POSIX_FADV_DONTNEED)
                let_go = at
        self._entries += (
            [
                entry if entry.offset < 0 else entry._replace(offset=entry.offset + shift)
                for entry in run.entries
            ]
            if shift
            else run.entries
        )

    def finish(self) -> LayerResult:
        self._write(_END)
        self._pipeline.put(self._buffer, self._used)
        diff_id = self._pipeline.finish()
        return LayerResult(diff_id, self._pipeline.size, self._entries)

    def close(self) -> None:
        if self._container[1] >= 0:
            os.close(self._container[1])

    def _file(
        self,
        path: str,
        header: bytes,
        size: int,
        content: Content | OpenFile | bytes | None,
        digest: bytes,
    ) -> bytes:
        """Append header and content; the content's sha256."""
        if size > _SMALL or len(header) > _SMALL or type(content) is not Content:
            return self._unusual_file(path, header, size, content, digest)
        start = self._used + len(header)
        if start + size + BLOCK > BUFFER:
            self._flush()
            start = len(header)
        buffer = self._buffer
        buffer[self._used : start] = header
        self._read_small(path, content, start, size)
        end = start + size
        if self._hash_files and not digest:
            digest = sha256(self._view[start:end]).digest()
        padding = _PADDING[size % BLOCK]
        self._used = end + len(padding)
        buffer[end : self._used] = padding
        return digest

    def _read_small(self, path: str, content: Content, start: int, size: int) -> None:
        host, offset, length = content
        try:
            if offset:
                # Many files in a row come out of one tar.
                got = os.preadv(
                    self._open_container(host), (self._view[start : start + size],), offset
                )
            else:
                descriptor = os.open(host, _OPEN)
                try:
                    # One byte more than it should have, to see that it has not grown.
                    got = os.readv(descriptor, (self._view[start : start + size + 1],))
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise _unreadable(path, error) from error
        if got != size or length != size:
            raise _changed(path, size)

    def _unusual_file(
        self,
        path: str,
        header: bytes,
        size: int,
        content: Content | OpenFile | bytes | None,
        digest: bytes,
    ) -> bytes:
        """As `_file`, for large files, for bytes, and for no content at all."""
        self._write(header)
        hasher = sha256() if self._hash_files and not digest else None
        if isinstance(content, OpenFile):
            self._take(path, content.descriptor, size, hasher)
        elif isinstance(content, Content):
            if content.size != size:
                raise _changed(path, size)
            self._copy(path, content, hasher)
        else:
            data = content or b""
            if len(data) != size:
                raise LayerError(
                    f"write layer entry {path}: {len(data)} bytes given for a file of {size}",
                    entry=path,
                )
            self._write(data)
            if hasher is not None:
                hasher.update(data)
        self._write(_PADDING[size % BLOCK])
        return digest if hasher is None else hasher.digest()

    def _copy(self, path: str, content: Content, hasher: Any) -> None:
        """Read a file of any size straight into the pipeline's buffers."""
        host, offset, left = content
        descriptor = -1
        try:
            descriptor = source = self._open_container(host) if offset else os.open(host, _OPEN)
            while left:
                if self._used == BUFFER:
                    self._flush()
                view = self._view[self._used : self._used + left]
                got = os.preadv(source, (view,), offset)
                if not got:
                    raise _changed(path, content.size)
                if hasher is not None:
                    hasher.update(view[:got])
                self._used += got
                offset += got
                left -= got
            if not content.offset and os.pread(source, 1, offset):
                raise _changed(path, content.size)
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            if not content.offset and descriptor >= 0:
                os.close(descriptor)

    def _take(self, path: str, descriptor: int, size: int, hasher: Any) -> None:
        """Read so much of a file that may be changing; what it lacks is zeros."""
        done = 0
        while done < size:
            if self._used == BUFFER:
                self._flush()
            view = self._view[self._used : self._used + size - done]
            try:
                got = os.preadv(descriptor, (view,), done)
            except OSError as error:
                raise _unreadable(path, error) from error
            if not got:
                got = len(view)
                view[:] = bytes(got)
            if hasher is not None:
                hasher.update(view[:got])
            self._used += got
            done += got

    def _open_container(self, host: str) -> int:
        """A descriptor of the tar that the last files came from, kept open for the next ones."""
        if self._container[0] != host:
            self.close()
            self._container = (host, os.open(host, _OPEN))
        return self._container[1]

    def _write(self, data: bytes) -> None:
        """Append bytes of any length."""
        start = 0
        while len(data) - start > BUFFER - self._used:
            step = BUFFER - self._used
            self._buffer[self._used :] = data[start : start + step]
            self._used = BUFFER
            start += step
            self._flush()
        end = self._used + len(data) - start
        self._buffer[self._used : end] = data[start:]
        self._used = end

    def _flush(self) -> None:
        self._pipeline.put(self._buffer, self._used)
        self._flushed += self._used
        self._buffer = self._pipeline.take()
        self._view = memoryview(self._buffer)
        self._used = 0

    def _check_order(self, entry: Entry, key: str) -> None:
        """Refuse what would make the tar depend on more than the set of its entries."""
        previous = self._entries[-1] if self._entries else None
        if previous is None or (
            entry.kind == "opaque" and previous.kind == "dir" and previous.path == entry.path
        ):
            return
        raise LayerError(
            f"write layer entry {entry.path}: it comes after {previous.path or '/'}, out of order",
            entry=entry.path,
        )


def _whiteout_name(entry: Entry) -> bytes:
    if entry.kind == "opaque":
        return encode_path(f"{entry.path}/{OPAQUE_NAME}" if entry.path else OPAQUE_NAME)
    parent, slash, name = entry.path.rpartition("/")
    return encode_path(f"{parent}{slash}{WHITEOUT_PREFIX}{name}")


def _other_name(entry: Entry, key: str) -> bytes:
    if entry.kind not in TYPES:
        raise LayerError(
            f"write layer entry {entry.path}: a tar cannot hold a {entry.kind}", entry=entry.path
        )
    if entry.kind == "hardlink" and sort_key(entry.link) >= key:
        raise LayerError(
            f"write layer entry {entry.path}: hard link to {entry.link}, which comes later",
            entry=entry.path,
        )
    name = encode_path(entry.path)
    if entry.kind == "dir":
        return name + b"/" if name else b"./"
    return name


def _check_name(path: str) -> None:
    """`path` contains ".wh.": refuse it where that starts a name."""
    if path.startswith(WHITEOUT_PREFIX) or f"/{WHITEOUT_PREFIX}" in path:
        raise LayerError(
            f'write layer entry {path}: names that begin with "{WHITEOUT_PREFIX}" mean deletion'
            " in an image layer",
            entry=path,
            hint="rename or remove that file",
        )


def _changed(path: str, size: int) -> CorruptLayer:
    return CorruptLayer(
        f"write layer entry {path}: the file changed while it was read (it had {size} bytes)",
        entry=path,
    )


def _unreadable(path: str, error: OSError) -> LayerError:
    return LayerError(f"write layer entry {path}: {error.strerror}", entry=path)
