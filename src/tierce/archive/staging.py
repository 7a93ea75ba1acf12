"""Blobs that are complete but not in the store yet, so that a bad archive leaves it as it was."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import ExitStack

from tierce.archive.extent import Extent
from tierce.errors import DigestMismatch
from tierce.layer.pipeline import HashingPipeline
from tierce.oci.digest import Digest, new_hash
from tierce.store.failures import reported

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO, Self

    from tierce.store import Store
    from tierce.store.blob_writer import BlobWriter

    Task = Callable[[threading.Event], None]
    """Work for another thread; returns early when the event is set."""

_HELD_AT_MOST = 256
"""Each held blob has an open file, and a process may have 1,024. Beyond, the oldest are stored
early; should the archive turn out bad, they are garbage."""

_OPEN_AT_ONCE = 128

_SEND_AT_MOST = 1 << 24
"""Bytes copied by one call: between calls a cancelled load can stop."""


class Progress:
    """How far one layer is: `current` of `total` bytes; `name` is short, and tells layers apart."""

    __slots__ = ("current", "name", "total")

    def __init__(self, name: str, current: int, total: int) -> None:
        self.name = name
        self.current = current
        self.total = total


class Staging:
    """Takes content in under its digest, and stores all of it at once, or nothing.

    A context manager: what is not published when the block ends is dropped. Its methods are for
    one thread, which alone talks to the store; `on_progress` is called from several.
    """

    def __init__(
        self, store: Store, on_progress: Callable[[Progress], object] | None = None
    ) -> None:
        self._store = store
        self._on_progress = on_progress
        self._held: dict[Digest, BlobWriter] = {}
        self._opened: dict[Digest, int] = {}
        self._blocks = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.clear()
        self._opened.clear()
        self._blocks.close()

    def has(self, digest: Digest) -> bool:
        """Whether content with the digest is held, or in the store."""
        return digest in self._held or self._store.blobs.has(digest)

    def read(self, digest: Digest) -> Extent:
        """Content that is held, or in the store; valid until more is held."""
        name = f"blob {digest}"
        if digest in self._held:
            writer = self._held[digest]
            return Extent(writer.fileno(), 0, writer.size, name, digest)
        if digest not in self._opened:
            path = self._store.blobs.path(digest)
            with reported(f"read {name}"):
                self._opened[digest] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._blocks.callback(os.close, self._opened[digest])
        size = self._store.blobs.size(digest)
        return Extent(self._opened[digest], 0, size, name, digest)

    def writer(self) -> BlobWriter:
        """A new writer, to be given to `hold` when it has all of the content."""
        return self._blocks.enter_context(self._store.blobs.writer())

    def hold(self, digest: Digest, writer: BlobWriter) -> None:
        """Take what was written, whose digest is known to be this one."""
        if digest not in self._held:
            self._held[digest] = writer
        if len(self._held) > _HELD_AT_MOST:
            self._store_one(next(iter(self._held)))

    def take_in(
        self,
        contents: Sequence[tuple[Extent, Digest | None]],
    ) -> list[Digest]:
        """Copy contents, hashing them meanwhile, several at once; their digests in order.

        One whose expected digest is here already is not read. Raises DigestMismatch.
        """
        digests: list[Digest] = []
        for start in range(0, len(contents), _OPEN_AT_ONCE):
            digests += self._take_in(contents[start : start + _OPEN_AT_ONCE])
        return digests

    def _take_in(
        self,
        contents: Sequence[tuple[Extent, Digest | None]],
    ) -> list[Digest]:
        found: list[_Copy | Digest] = []
        tasks: list[Task] = []
        for extent, expected in contents:
            known = extent.digest or expected
            if known is not None and expected not in (None, known):
                raise DigestMismatch(extent.name, expected=str(expected), actual=str(known))
            if known is not None and self.has(known):
                found.append(known)
                continue
            copy = _Copy(extent, expected, self.writer(), self._on_progress)
            found.append(copy)
            tasks += [copy.hash, copy.copy]
        run_all(tasks)
        for each in found:
            if isinstance(each, _Copy):
                self.hold(each.digest, each.writer)
        return [each if isinstance(each, Digest) else each.digest for each in found]

    def take_stream(
        self, stream: IO[bytes], name: str, size: int, expected: Digest | None = None
    ) -> Digest:
        """Copy a stream to its end; its digest. A `size` of 0 is an unknown one.

        Raises DigestMismatch.
        """
        writer = self.writer()
        algorithm = "sha256" if expected is None else expected.algorithm
        shown = _short_name(name, expected)
        with HashingPipeline(writer.write_unhashed, algorithm) as pipeline:
            while True:
                buffer = pipeline.take()
                got = _fill(stream, memoryview(buffer))
                if not got:
                    break
                pipeline.put(buffer, got)
                if self._on_progress is not None:
                    self._on_progress(Progress(shown, pipeline.size, size))
            digest = pipeline.finish()
        if expected is not None and digest != expected:
            raise DigestMismatch(name, expected=str(expected), actual=str(digest))
        self.hold(digest, writer)
        return digest

    def publish(self) -> None:
        """Store all that is held. Raises StoreError."""
        while self._held:
            self._store_one(next(iter(self._held)))

    def _store_one(self, digest: Digest) -> None:
        writer = self._held.pop(digest)
        writer.adopt(digest, writer.size)


def _fill(stream: IO[bytes], view: memoryview) -> int:
    """Read until the view is full or the stream at its end."""
    filled = 0
    while filled < len(view):
        got = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            break
        filled += got
    return filled


def _short_name(name: str, digest: Digest | None) -> str:
    return name[:12] if digest is None else digest.short


class _Copy:
    """One content on its way: hashed and copied by two tasks, which may run at the same time."""

    def __init__(
        self,
        extent: Extent,
        expected: Digest | None,
        writer: BlobWriter,
        on_progress: Callable[[Progress], object] | None,
    ) -> None:
        self.extent = extent
        self.expected = expected
        self.writer = writer
        self._on_progress = on_progress
        self._name = _short_name(extent.name, expected)
        self._digest: Digest | None = None

    @property
    def digest(self) -> Digest:
        assert self._digest is not None
        return self._digest

    def hash(self, stop: threading.Event) -> None:
        extent, report = self.extent, self._on_progress
        digester = new_hash(self.expected.algorithm if self.expected else "sha256")
        done = 0
        for chunk in extent.chunks():
            digester.update(chunk)
            done += len(chunk)
            if stop.is_set():
                return
            if report is not None:
                report(Progress(self._name, done, extent.size))
        self._digest = Digest.from_hash(digester)
        if self.expected is not None and self._digest != self.expected:
            raise DigestMismatch(extent.name, expected=str(self.expected), actual=str(self._digest))

    def copy(self, stop: threading.Event) -> None:
        extent, done = self.extent, 0
        while done < extent.size and not stop.is_set():
            done += self.writer.write_from(
                extent.descriptor, extent.offset + done, min(extent.size - done, _SEND_AT_MOST)
            )


def run_all(tasks: Sequence[Task]) -> None:
    """Run tasks in as many threads as there are processors; raises the first of their errors.

    The other tasks are stopped then, as they are when the caller is interrupted.
    """
    left = deque(tasks)
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        while not stop.is_set():
            try:
                task = left.popleft()
            except IndexError:
                return
            try:
                task(stop)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller
                errors.append(error)
                stop.set()

    count = min(len(tasks), len(os.sched_getaffinity(0)))
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise
    if errors:
        raise errors[0]
