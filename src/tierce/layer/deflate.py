"""gzip on several processors, with the same bytes on any number of them.

The stream is cut into blocks of a fixed size. Each is deflated on its own, with the 32 KiB before
it as dictionary, and ends on a byte boundary; behind each other they are one deflate stream
(RFC 1951) in one gzip member (RFC 1952), which every reader takes.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    _Job = tuple[bytes, bytes, bool]
    """A block, what came before it, and whether it is the last one."""

_BLOCK = 1 << 20
_WINDOW = 32 << 10
_ISAL_LEVEL = 2  # the highest that gives the same bytes on every processor
_RAW = -15  # wbits: a bare deflate stream with a window of 32 KiB
_THREADS_AT_MOST = 4
# Deflate, no flags, no name, no time; the file system it was made on is unknown.
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def gzip_pieces(source: BinaryIO, level: int | None) -> Iterator[bytes]:
    """The gzip form of a stream; its threads end with the iterator.

    By ISA-L, or at a `level` of 0 to 9 by zlib, which takes ten times as long to make it a
    little smaller.
    """
    from isal import isal_zlib  # only where something is compressed

    crc = size = 0
    yield _HEADER
    with _Deflaters(level) as deflaters:
        for job in _jobs(source):
            crc = isal_zlib.crc32(job[0], crc)
            size += len(job[0])
            if deflaters.full:
                yield deflaters.get()
            deflaters.put(job)
        while deflaters.busy:
            yield deflaters.get()
    yield crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def _jobs(source: BinaryIO) -> Iterator[_Job]:
    window = b""
    block = _read_block(source)
    while following := _read_block(source):
        yield block, window, False
        window, block = block[-_WINDOW:], following
    yield block, window, True


def _read_block(source: BinaryIO) -> bytes:
    """A whole block, however little each read gives; less only at the end."""
    data = source.read(_BLOCK)
    if not data or len(data) == _BLOCK:
        return data
    parts = [data]
    left = _BLOCK - len(data)
    while left and (data := source.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def _deflate(job: _Job, level: int | None) -> bytes:
    deflater: Any
    if level is None:
        from isal import isal_zlib as deflater  # as above

        level = _ISAL_LEVEL
    else:
        import zlib as deflater  # as above

    block, window, last = job
    if window:
        compressor = deflater.compressobj(level, wbits=_RAW, zdict=window)
    else:
        compressor = deflater.compressobj(level, wbits=_RAW)
    end = deflater.Z_FINISH if last else deflater.Z_SYNC_FLUSH
    done: bytes = compressor.compress(block) + compressor.flush(end)
    return done


class _Deflaters:
    """Threads that take jobs in turn, so that what they make comes back in order."""

    def __init__(self, level: int | None) -> None:
        self._level = level
        self._count = min(_THREADS_AT_MOST, os.cpu_count() or 1)
        self._jobs: list[SimpleQueue[_Job | None]] = []
        self._pieces: list[SimpleQueue[bytes | Exception]] = []
        self._threads: list[threading.Thread] = []
        self._given = self._taken = 0

    @property
    def busy(self) -> bool:
        return self._given > self._taken

    @property
    def full(self) -> bool:
        """Whether every thread has a job in work and one to go on with."""
        return self._given - self._taken == 2 * self._count

    def put(self, job: _Job) -> None:
        turn = self._given % self._count
        if turn == len(self._threads):
            self._start()
        self._jobs[turn].put(job)
        self._given += 1

    def get(self) -> bytes:
        piece = self._pieces[self._taken % self._count].get()
        self._taken += 1
        if isinstance(piece, Exception):
            raise piece
        return piece

    def __enter__(self) -> _Deflaters:
        return self

    def __exit__(self, *_: object) -> None:
        for jobs in self._jobs:
            jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        jobs: SimpleQueue[_Job | None] = SimpleQueue()
        pieces: SimpleQueue[bytes | Exception] = SimpleQueue()
        self._jobs.append(jobs)
        self._pieces.append(pieces)
        thread = threading.Thread(target=self._work, args=(jobs, pieces), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, jobs: SimpleQueue[_Job | None], pieces: SimpleQueue[bytes | Exception]) -> None:
        while (job := jobs.get()) is not None:
            try:
                pieces.put(_deflate(job, self._level))
            except Exception as error:  # noqa: BLE001 - raised again by `get`
                pieces.put(error)
