"""What a container has written, read from its log.

The form is the one in which conmon writes (and Kubernetes reads, see its "CRI logging"):
`TIME stdout|stderr F|P TEXT`, one line each; P is for a part of a line, to be continued.
"""

from __future__ import annotations

import os
import time
from itertools import groupby
from operator import itemgetter

from tierce.containers.logfiles import LogFiles, LogMark, identity
from tierce.values import NamedTuple, Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STDOUT, STDERR = 1, 2
_STREAMS = {b"stdout": STDOUT, b"stderr": STDERR}
_CHUNK = 1 << 18
_NANO = 1_000_000_000
_FIELDS = ((0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2))
"""Where year, month … second are in a time."""

_UTC = b"+00:00"
_ZONE, _TIME, _TEXT = 29, 35, 45
"""Where a time has its zone, where it ends, and where the text begins: as long as the year has four
digits."""

_KINDS = {
    b" stdout F ": (STDOUT, b"\n"),
    b" stdout P ": (STDOUT, b""),
    b" stderr F ": (STDERR, b"\n"),
    b" stderr P ": (STDERR, b""),
}
_kind_of = itemgetter(slice(_TIME, _TEXT))


class LogOptions(Value):
    """Which part of a log: the last `tail` lines (None: all), from `since` until `until`.

    These are in nanoseconds since the epoch, None for no bound. With `follow`, what comes until
    the container's end, too. `joined`: lines of one stream that follow each other may come as one
    piece, with the time of the first, which is quicker. `times` and `prefix` are put in front of
    each line, the time as docker shows it.
    """

    follow: bool = False
    since: int | None = None
    until: int | None = None
    tail: int | None = None
    joined: bool = False
    times: bool = False
    prefix: bytes = b""


class LogLine(NamedTuple):
    """A piece of output: when, from STDOUT or STDERR, and the bytes, which end most lines."""

    time: bytes
    stream: int
    text: bytes

    @property
    def moment(self) -> int:
        """The time in nanoseconds since the epoch."""
        return parse_time(self.time)

    @property
    def stamp(self) -> bytes:
        """The time as docker shows it: in UTC, with `Z`."""
        if self.time.endswith(_UTC):
            return self.time[: -len(_UTC)] + b"Z"
        return _written(self.moment) + b"Z"


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
    files: LogFiles,
    options: LogOptions,
    wait: Callable[[], bool],
    *,
    start: LogMark | None = None,
    end: Callable[[], LogMark | None] = lambda: None,
) -> Iterator[LogLine]:
    """The lines of a log that the options ask for, from `start` on.

    With `follow`, an empty piece of output stands where nothing more is there for now.

    To follow it, `wait` returns when there may be more to read; False when there never will be,
    and then `end` may say up to which place.
    """
    with _Reader(files) as reader:
        if options.tail is not None:
            reader.skip_to_tail(options.tail)
        elif start is not None:
            reader.skip_to(start)
        yield from _chosen(reader.chunks(wait if options.follow else None, end), options)


def _chosen(chunks: Iterator[bytes], options: LogOptions) -> Iterator[LogLine]:
    bounds = _Bounds(options.since, options.until)
    heads = _Heads(options) if options.times or options.prefix else None
    rest = b""
    for chunk in chunks:
        if not chunk:
            yield LogLine(b"", STDOUT, b"")
            continue
        *whole, rest = (rest + chunk).split(b"\n")
        lines = bounds.within(whole)
        if heads is not None:
            yield from heads.joined(lines) if options.joined else heads.single(lines)
        else:
            yield from _joined(lines) if options.joined else filter(None, map(_parsed, lines))
        if bounds.passed:
            return


class _Reader:
    """Reads the files of a log one after the other, whatever numbers they get meanwhile."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._open: list[int] = []
        self._newest: tuple[int, int] | None = None

    def __enter__(self) -> _Reader:
        self._look_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open:
            os.close(descriptor)

    def skip_to(self, mark: LogMark) -> None:
        """Leaves out what is before a place, if that still is in the log."""
        identities = [identity(descriptor) for descriptor in self._open]
        if mark.file in identities:
            self._drop(identities.index(mark.file))
            os.lseek(self._open[0], mark.position, os.SEEK_SET)

    def skip_to_tail(self, count: int) -> None:
        """Leaves out all but the last lines, so many."""
        # The end of one line more says where the first of them begins.
        left = count + 1
        unended = True
        for number in range(len(self._open) - 1, -1, -1):
            start, left = _before_last_ends(self._open[number], left, unended=unended)
            if left == 0:
                self._drop(number)
                os.lseek(self._open[0], start, os.SEEK_SET)
                return
            unended = unended and not os.fstat(self._open[number]).st_size

    def _drop(self, count: int) -> None:
        for descriptor in self._open[:count]:
            os.close(descriptor)
        del self._open[:count]

    def chunks(
        self, wait: Callable[[], bool] | None, end: Callable[[], LogMark | None]
    ) -> Iterator[bytes]:
        """The bytes in order; where there are no more for now, nothing, before it waits."""
        over = wait is None
        mark: LogMark | None = None
        while True:
            # Before it is read: nothing is written to a file any more once there is a newer one.
            complete = len(self._open) > 1
            most = _CHUNK if mark is None else self._up_to(mark)
            data = os.read(self._open[0], most) if self._open else b""
            if most == 0:
                return
            if data:
                yield data
                if wait is not None:
                    self._look_for_more()  # what is held is not lost when it loses its name
            elif complete:
                self._drop(1)
            elif wait is not None and self._look_for_more():
                continue
            elif over or wait is None:
                return
            else:
                yield b""
                over = not wait()  # what came before the end is still to be read
                mark = end() if over else None

    def _up_to(self, mark: LogMark) -> int:
        """How much may be read of the oldest file to get no further than to a place."""
        if not self._open or identity(self._open[0]) != mark.file:
            return _CHUNK
        position = os.lseek(self._open[0], 0, os.SEEK_CUR)
        return max(min(mark.position - position, _CHUNK), 0)

    def _look_for_more(self) -> bool:
        """Opens the files that are newer than those that are open; says whether there are any."""
        newest = self._files.newest()
        if self._open and newest in (None, self._newest):
            return False
        found = self._files.open()
        keys = [identity(descriptor) for descriptor in found]
        known = keys.index(self._newest) + 1 if self._newest in keys else 0
        for descriptor in found[:known]:
            os.close(descriptor)
        self._open += found[known:]
        if keys:
            self._newest = keys[-1]
        return known < len(found)


class _Bounds:
    """The moments between which lines are to be, None for none."""

    def __init__(self, since: int | None, until: int | None) -> None:
        self._since = since
        self._until = until
        self._first, self._last = _in_utc(since), _in_utc(until)
        self._are_texts = b"" not in (self._first, self._last)
        self.passed = False
        """Whether there was a line after the last moment."""

    def within(self, lines: list[bytes]) -> list[bytes]:
        """Those of the lines that are between."""
        if self._since is None and self._until is None:
            return lines
        if {line[_ZONE:_TIME] for line in lines} <= {_UTC} and self._are_texts:
            # As they are in UTC, their times can be compared as text.
            if self._since is not None:
                lines = [line for line in lines if line[:_TIME] >= self._first]
            if self._until is not None:
                known = [line for line in lines if line[:_TIME] <= self._last]
                self.passed = len(known) < len(lines)
                lines = known
            return lines
        return [line for line in lines if self._is_within(line)]

    def _is_within(self, text: bytes) -> bool:
        line = _parsed(text)
        if line is None or self.passed:
            return False
        moment = line.moment
        if self._until is not None and moment > self._until:
            self.passed = True
        return not self.passed and (self._since is None or moment >= self._since)


def _in_utc(moment: int | None) -> bytes:
    """A moment as it would be in a log; empty for no year of a calendar."""
    try:
        return _written(moment or 0) + _UTC
    except (OverflowError, ValueError, OSError):
        return b""


class _Heads:
    """Puts times and a prefix in front of lines, and not in front of what goes on with one."""

    def __init__(self, options: LogOptions) -> None:
        self._times = options.times
        self._prefix = options.prefix
        self._begun = {STDOUT: False, STDERR: False}

    def single(self, lines: Sequence[bytes]) -> Iterator[LogLine]:
        """The lines one by one."""
        for line in filter(None, map(_parsed, lines)):
            head = b""
            if not self._begun[line.stream]:
                head = (line.stamp + b" " if self._times else b"") + self._prefix
            self._begun[line.stream] = not line.text.endswith(b"\n")
            yield line._replace(text=head + line.text)

    def joined(self, lines: Sequence[bytes]) -> Iterator[LogLine]:
        """Lines of one stream that follow each other as one piece."""
        prefix = self._prefix
        for kind, texts in _groups(lines):
            stream, end = _KINDS.get(kind, (STDOUT, b""))
            if self._begun[stream]:
                yield from self.single(texts[:1])
                texts = texts[1:]
            if not texts:
                continue
            if not end or self._begun[stream] or {line[_ZONE:_TIME] for line in texts} != {_UTC}:
                yield from self.single(texts)
            elif self._times:
                shown = [line[:_ZONE] + b"Z " + prefix + line[_TEXT:] for line in texts]
                yield LogLine(texts[0][:_TIME], stream, b"\n".join(shown) + end)
            else:
                shown = [prefix + line[_TEXT:] for line in texts]
                yield LogLine(texts[0][:_TIME], stream, b"\n".join(shown) + end)


def _written(moment: int) -> bytes:
    """A moment in UTC, as it is in a log, without the zone."""
    seconds, rest = divmod(moment, _NANO)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}".encode()


def _groups(lines: Sequence[bytes]) -> Iterator[tuple[bytes, Sequence[bytes]]]:
    """Lines of one kind that follow each other, with that kind."""
    kinds = {line[_TIME:_TEXT] for line in lines}
    if len(kinds) == 1:
        yield kinds.pop(), lines
        return
    for kind, group in groupby(lines, _kind_of):
        yield kind, list(group)


def _joined(lines: Sequence[bytes]) -> Iterator[LogLine]:
    """Lines of one stream that follow each other as one piece."""
    for kind, texts in _groups(lines):
        if kind in _KINDS:
            stream, end = _KINDS[kind]
            text = end.join([line[_TEXT:] for line in texts]) + end
            if text:
                yield LogLine(texts[0][:_TIME], stream, text)
        else:
            yield from filter(None, map(_parsed, texts))


def _parsed(text: bytes) -> LogLine | None:
    """None for what is none, as after a crash of the machine."""
    if (kind := text[_TIME:_TEXT]) in _KINDS:
        stream, ending = _KINDS[kind]
        rest = text[_TEXT:] + ending
        return LogLine(text[:_TIME], stream, rest) if rest else None
    parts = text.split(b" ", 3)  # of a year with five digits, or without fractions of a second
    if len(parts) < 4 or parts[1] not in _STREAMS:
        return None
    ending = b"" if parts[2] == b"P" else b"\n"
    if not parts[3] + ending:
        return None
    return LogLine(parts[0], _STREAMS[parts[1]], parts[3] + ending)


def _before_last_ends(descriptor: int, count: int, *, unended: bool) -> tuple[int, int]:
    """Where the `count`th line from the end of a file has ended.

    Returns that position and 0, or how many more there are to be in older files. `unended`: what
    is last may lack its end, and is a line nevertheless.
    """
    position = os.fstat(descriptor).st_size
    carried = b""
    first = True
    while position > 0:
        size = min(_CHUNK, position)
        position -= size
        text = os.pread(descriptor, size, position) + carried
        lines = text.split(b"\n")
        cursor = position + len(text)
        if first:  # behind the last end is nothing, or what is just being written
            cursor -= len(lines.pop()) + 1
            first = False
        # The first may be cut off, unless it begins the file.
        carried = lines.pop(0) if position and lines else b""
        for line in reversed(lines):
            if unended or line[_TEXT - 2 : _TEXT] == b"F ":
                count -= 1
                if count == 0:
                    return cursor + 1, 0
            unended = False
            cursor -= len(line) + 1
    return 0, count
