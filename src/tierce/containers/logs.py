"""What a container has written: the file of it, and reading that.

The form is the one in which conmon writes (and Kubernetes reads, see its "CRI logging"):
`TIME stdout|stderr F|P TEXT`, one line each; P is for a part of a line, to be continued.
"""

from __future__ import annotations

import os
import time

from tierce.errors import StoreError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

STDOUT, STDERR = 1, 2
_STREAMS = {b"stdout": STDOUT, b"stderr": STDERR}
_CHUNK = 1 << 18
_NANO = 1_000_000_000
_FIELDS = ((0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2))
"""Where year, month … second are in a time."""


class LogWriter:
    """Writes the log of a container in the foreground; the file is made when something comes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def stdout(self, data: bytes) -> None:
        self._write(b"stdout", data)

    def stderr(self, data: bytes) -> None:
        self._write(b"stderr", data)

    def _write(self, stream: bytes, data: bytes) -> None:
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            try:
                self._file = os.open(self._path, flags, 0o600)
            except FileNotFoundError:  # removed by force; it still may write to us
                return
        seconds, rest = divmod(time.time_ns(), _NANO)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        head = f"{stamp}.{rest:09}+00:00 ".encode() + stream
        *whole, part = data.split(b"\n")
        text = b"".join(b"%s F %s\n" % (head, line) for line in whole)
        if part:
            text += b"%s P %s\n" % (head, part)
        try:
            while text:
                text = text[os.write(self._file, text) :]
        except OSError as error:
            raise StoreError(f"write log {self._path}: {error.strerror}") from error


class LogOptions(Value):
    """Which part of a log: the last `tail` lines (None: all), from `since` until `until`.

    These are in nanoseconds since the epoch, None for no bound. With `follow`, what comes until
    the container's end, too.
    """

    follow: bool = False
    since: int | None = None
    until: int | None = None
    tail: int | None = None


class LogLine(Value):
    """A piece of output: when, from STDOUT or STDERR, and the bytes, which end most lines."""

    time: bytes
    stream: int
    text: bytes

    @property
    def moment(self) -> int:
        """The time in nanoseconds since the epoch."""
        return parse_time(self.time)


def parse_time(text: bytes) -> int:
    """`2024-05-01T10:00:00.123456789+00:00`, in nanoseconds since the epoch."""
    import calendar  # for few

    stamp = text.decode("ascii")
    seconds = calendar.timegm(tuple(int(stamp[at : at + size]) for at, size in _FIELDS))
    rest = stamp[19:]
    fraction = 0
    if rest.startswith("."):
        digits = rest[1:]
        count = 0
        while count < len(digits) and digits[count].isdigit():
            count += 1
        fraction = int(digits[:count].ljust(9, "0")[:9])
        rest = digits[count:]
    if rest[:1] in {"+", "-"}:
        offset = int(rest[1:3]) * 3600 + int(rest[4:6]) * 60
        seconds -= offset if rest[0] == "+" else -offset
    return seconds * _NANO + fraction


def read_log(
    path: str, options: LogOptions, wait: Callable[[], bool], *, start: int = 0
) -> Iterator[LogLine]:
    """The lines of a log that the options ask for, from the byte at `start`.

    With `follow`, an empty piece of output stands where nothing more is there for now.

    To follow it, `wait` returns when there may be more to read; False when there never will be.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        while options.follow and wait():
            if os.path.exists(path):
                break
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # nothing was written
            return
    try:
        if options.tail is not None:
            os.lseek(descriptor, _start_of_tail(descriptor, options.tail), os.SEEK_SET)
        else:
            os.lseek(descriptor, start, os.SEEK_SET)
        for line in _lines(descriptor, wait if options.follow else None):
            if not line.text:
                yield line
                continue
            if options.since is not None and line.moment < options.since:
                continue
            if options.until is not None and line.moment > options.until:
                return
            yield line
    finally:
        os.close(descriptor)


def _lines(descriptor: int, wait: Callable[[], bool] | None) -> Iterator[LogLine]:
    rest = b""
    last = wait is None
    while True:
        data = os.read(descriptor, _CHUNK)
        if data:
            *whole, rest = (rest + data).split(b"\n")
            for text in whole:
                if (line := _parsed(text)) is not None:
                    yield line
        elif last:
            return
        elif wait is not None:
            yield LogLine(b"", STDOUT, b"")
            last = not wait()  # what came before the end is still to be read


def _parsed(text: bytes) -> LogLine | None:
    """None for what is none, as after a crash of the machine."""
    parts = text.split(b" ", 3)
    if len(parts) < 4 or parts[1] not in _STREAMS:
        return None
    ending = b"" if parts[2] == b"P" else b"\n"
    return LogLine(parts[0], _STREAMS[parts[1]], parts[3] + ending)


def _start_of_tail(descriptor: int, count: int) -> int:
    """Where the last `count` whole lines begin, with the parts that they have."""
    end = os.fstat(descriptor).st_size
    if count <= 0:
        return end
    position, found, text = end, 0, b""
    while position > 0:
        size = min(_CHUNK, position)
        position -= size
        text = os.pread(descriptor, size, position) + text
        lines = text.split(b"\n")
        # The first may be cut off by the chunk, unless it begins the file.
        whole = lines if position == 0 else lines[1:]
        ends = [number for number, line in enumerate(whole) if b" F " in line[:60]]
        found = len(ends)
        if found > count:
            first = ends[-count - 1] + 1
            skipped = lines[: len(lines) - len(whole) + first]
            return position + sum(len(line) + 1 for line in skipped)
    return 0
