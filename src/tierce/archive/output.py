"""Writes the members of an archive into a tar, or into a directory."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
from contextlib import ExitStack, contextmanager

from tierce.archive.extent import CHUNK, Extent
from tierce.errors import ArchiveError
from tierce.layer.header import BLOCK, HeaderEncoder

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Protocol

    Content = bytes | Extent | IO[bytes]

    class Output(Protocol):
        """Takes members in the order they come. All methods raise ArchiveError."""

        def directory(self, name: str) -> None:
            """Add an empty directory."""

        def file(self, name: str, content: Content, size: int) -> None:
            """Add a file of exactly `size` bytes."""

        def finish(self) -> None:
            """Complete the archive."""


_CANNOT_SEND = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF}
_NO_LOCKS = {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
_SEND_AT_MOST = 1 << 30
_TAR_END = bytes(2 * BLOCK)


class TarOutput:
    """A tar with fixed times and owners: equal members give equal bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._sink = Sink(stream)
        self._headers = HeaderEncoder()

    def directory(self, name: str) -> None:
        self._sink.write(self._headers.plain(f"{name}/".encode(), b"5", 0o755, 0, 0, 0, 0))

    def file(self, name: str, content: Content, size: int) -> None:
        self._sink.write(self._headers.plain(name.encode(), b"0", 0o644, 0, 0, size, 0))
        _copy(name, content, size, self._sink)
        self._sink.write(bytes(-size % BLOCK))

    def finish(self) -> None:
        self._sink.write(_TAR_END)
        self._sink.flush()


class DirectoryOutput:
    """The members as files, each of which appears when it is complete."""

    def __init__(self, path: str) -> None:
        self._path = path

    def directory(self, name: str) -> None:
        try:
            os.makedirs(os.path.join(self._path, name), exist_ok=True)
        except OSError as error:
            raise unwritable(name, error) from error

    def file(self, name: str, content: Content, size: int) -> None:
        path = os.path.join(self._path, name)
        partial = f"{path}.partial-{os.getpid()}"
        try:
            with open(partial, "wb", buffering=0) as file:
                _copy(name, content, size, Sink(file))
            os.replace(partial, path)
        except OSError as error:
            raise unwritable(name, error) from error
        finally:
            if os.path.lexists(partial):
                os.unlink(partial)

    def finish(self) -> None:
        """Nothing is left to be done."""


@contextmanager
def locked_directory(path: str) -> Iterator[None]:
    """Be the only one who changes a layout, which is made if it is not there, for the block.

    Its index is read and written again: two at once would lose what one of them adds. Where the
    file system knows no locks there are none. Raises ArchiveError.
    """
    with ExitStack() as cleanup:
        try:
            os.makedirs(path, exist_ok=True)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            cleanup.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise unwritable(path, error) from error
        yield


class Sink:
    """Where bytes go: by the kernel alone where the stream is a file, else through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._descriptor = -1
        try:
            stream.flush()
            self._descriptor = stream.fileno()
        except (AttributeError, io.UnsupportedOperation):
            pass  # in memory, or compressing

    def write(self, data: bytes | memoryview) -> None:
        try:
            if self._descriptor < 0:
                self._stream.write(data)
                return
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable("", error) from error

    def send(self, extent: Extent) -> None:
        """All bytes of an extent."""
        done = 0
        try:
            while self._descriptor >= 0 and done < extent.size:
                count = min(extent.size - done, _SEND_AT_MOST)
                sent = os.sendfile(self._descriptor, extent.descriptor, extent.offset + done, count)
                if not sent:
                    raise ArchiveError(f"read {extent.name}: it is cut short")
                done += sent
        except BrokenPipeError:
            raise
        except OSError as error:
            if done or error.errno not in _CANNOT_SEND:
                raise unwritable("", error) from error
        if done < extent.size:
            for chunk in extent.chunks():
                self.write(chunk)

    def flush(self) -> None:
        if self._descriptor < 0:
            self._stream.flush()


@contextmanager
def replaced_file(path: str, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """A file that appears at `path` when the block ends well; until then what was there stays.

    Its mode is by default that of docker's archives, as an image may hold what is nobody else's
    business; the umask is taken off. Raises ArchiveError.
    """
    with ExitStack() as cleanup:
        try:
            if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
                yield cleanup.enter_context(open(path, "wb", buffering=0))
                return
            # Through a symbolic link the file it leads to is replaced, not the link.
            path = os.path.realpath(path)
            partial = os.path.join(
                os.path.dirname(path), f".{os.path.basename(path)}.partial-{os.getpid()}"
            )
            descriptor = os.open(
                partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode
            )
        except OSError as error:
            raise unwritable(path, error) from error
        cleanup.callback(remove_file, partial)
        with open(descriptor, "wb", buffering=0) as file:
            yield file
        try:
            os.replace(partial, path)
        except OSError as error:
            raise unwritable(path, error) from error


def remove_file(path: str) -> None:
    """Remove what is at a path, if there is anything."""
    if os.path.lexists(path):
        os.unlink(path)


def _copy(name: str, content: Content, size: int, sink: Sink) -> None:
    if isinstance(content, bytes):
        sink.write(content)
        done = len(content)
    elif isinstance(content, Extent):
        done = content.size
        if done == size:
            sink.send(content)
    else:
        done = 0
        while chunk := content.read(CHUNK):
            sink.write(chunk)
            done += len(chunk)
    if done != size:
        raise ArchiveError(f"write archive: {name} has {done} bytes instead of {size}")


def unwritable(name: str, error: OSError) -> ArchiveError:
    """The error to raise when an archive cannot be written."""
    cause = (error.strerror or str(error)).lower()
    return ArchiveError(f"write archive: {name}: {cause}" if name else f"write archive: {cause}")
