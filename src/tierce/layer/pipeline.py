"""Hash a stream and hand it on while its producer makes more.

sha256 and file system calls release the GIL, so on two cores the bytes of a layer are read by
one thread while others hash and write the megabyte before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from tierce.oci.digest import Digest, new_hash
from tierce.values import Protocol

BUFFER = 1 << 20
_DEPTH = 8

Sink = Callable[[memoryview], object]


class Stream(Protocol):
    """What can be read; `read` may return less than asked for, and b"" only at the end."""

    def read(self, size: int, /) -> bytes: ...


class HashingPipeline:
    """Buffers go in by `put`, in order; come out hashed, and written by `sink`.

    `take` lends an empty buffer of BUFFER bytes and `put` gives it back filled, so the memory of
    a pipeline is bounded. The first buffer is only worked on when there is a second: a small
    layer needs no threads. An error of `sink` is raised by a later call. Use it as a context
    manager: the threads end with it, also when the producer fails.
    """

    def __init__(self, sink: Sink | None, algorithm: str = "sha256") -> None:
        self._sink = sink
        self._hash = new_hash(algorithm)
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        self._made = 0
        self._held: tuple[bytearray, int] | None = None
        self._to_hash: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
        self._to_write: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self.size = 0
        """Bytes put so far."""

    def take(self) -> bytearray:
        """An empty buffer; waits while too many are in flight."""
        if self._error is not None:
            raise self._error
        if self._made < _DEPTH and self._free.empty():
            self._made += 1
            return bytearray(BUFFER)
        return self._free.get()

    def put(self, buffer: bytearray, length: int) -> None:
        """Pass on the first `length` bytes of a buffer from `take`."""
        self.size += length
        if self._threads:
            self._to_hash.put((buffer, length))
        elif self._held is None:
            self._held = (buffer, length)
        else:
            self._start()
            self._to_hash.put(self._held)
            self._to_hash.put((buffer, length))
            self._held = None

    def finish(self) -> Digest:
        """Wait until all is written; the digest of all that was put."""
        if self._held is not None:
            buffer, length = self._held
            self._held = None
            with memoryview(buffer)[:length] as view:
                self._hash.update(view)
                if self._sink is not None:
                    self._sink(view)
        self._stop()
        if self._error is not None:
            raise self._error
        return Digest.from_hash(self._hash)

    def __enter__(self) -> HashingPipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _start(self) -> None:
        work: list[Callable[[], None]] = [self._hash_all]
        if self._sink is not None:
            work.append(self._write_all)
        self._threads = [threading.Thread(target=each, daemon=True) for each in work]
        for thread in self._threads:
            thread.start()

    def _stop(self) -> None:
        if self._threads:
            self._to_hash.put(None)
            for thread in self._threads:
                thread.join()
            self._threads = []

    def _hash_all(self) -> None:
        done = self._free.put if self._sink is None else None
        update = self._hash.update
        while (item := self._to_hash.get()) is not None:
            buffer, length = item
            update(memoryview(buffer)[:length])
            if done is not None:
                done(buffer)
            else:
                self._to_write.put(item)
        self._to_write.put(None)

    def _write_all(self) -> None:
        sink = self._sink
        assert sink is not None
        while (item := self._to_write.get()) is not None:
            buffer, length = item
            if self._error is None:
                try:
                    sink(memoryview(buffer)[:length])
                except BaseException as error:  # noqa: BLE001 - raised again in the producer
                    self._error = error
            self._free.put(buffer)


class HashingReader:
    """Reads a stream and hashes what is read, in another thread.

    Use it as a context manager: its thread ends with it.
    """

    def __init__(self, stream: Stream, algorithm: str = "sha256") -> None:
        self._stream = stream
        self._hash = new_hash(algorithm)
        self._pending: SimpleQueue[bytes | None] = SimpleQueue()
        self._room = threading.Semaphore(_DEPTH)
        self._thread: threading.Thread | None = None
        self.size = 0
        """Bytes read so far."""

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self.size += len(data)
        if self._thread is None and self.size < BUFFER:
            self._hash.update(data)
        elif data:
            if self._thread is None:
                self._thread = threading.Thread(target=self._hash_all, daemon=True)
                self._thread.start()
            self._room.acquire()
            self._pending.put(data)
        return data

    def digest(self) -> Digest:
        """The digest of all that was read."""
        self._join()
        return Digest.from_hash(self._hash)

    def __enter__(self) -> HashingReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._pending.put(None)
            self._thread.join()
            self._thread = None

    def _hash_all(self) -> None:
        while (data := self._pending.get()) is not None:
            self._hash.update(data)
            self._room.release()
