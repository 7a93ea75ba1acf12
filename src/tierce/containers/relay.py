"""Copying between our streams and those of a container, and passing signals on, in one loop."""

from __future__ import annotations

import errno
import os
import select
import threading

from tierce.lean import signal

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from tierce.containers.detaching import DetachKeys

_CHUNK = 1 << 16

_FORWARDED = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1),
    *(signal.SIGUSR2, signal.SIGALRM, signal.SIGCONT),
)
_INSISTENCE = 3
"""After so many SIGINT or SIGTERM that changed nothing, the container is killed, as docker does."""


def _no_log(data: bytes) -> None:
    """What is written nowhere but to the sink."""


def _nothing_to_do() -> None:
    """Without keys, nobody detaches."""


class Relay:
    """Runs until the container has ended and all that it wrote is copied.

    `ended` is a descriptor that is readable from then on.
    """

    def __init__(self, ended: int) -> None:
        self._loop = _Loop()
        self._sources: set[int] = set()
        self._feeders: list[_Feeder] = []
        self._over = False
        self.detached = False
        """Whether the keys for that were typed."""

        def end() -> None:
            self._over = True
            self._loop.forget(ended)

        self._loop.watch(ended, select.POLLIN, end)

    def copy(self, source: int, sink: int, log: Callable[[bytes], None] = _no_log) -> None:
        """Copies what the container writes to `source` to our `sink`; takes over `source`.

        `log` is called with it before.

        When nobody reads the sink any more, the source is closed: the container's process then
        gets SIGPIPE, as it would without us.
        """
        self._sources.add(source)
        self._loop.watch(source, select.POLLIN, lambda: self._pass_on(source, sink, log))

    def receive(self, source: int, deliver: Callable[[bytes], None]) -> None:
        """Calls `deliver` with each part (of a pipe) or packet (of a socket) that `source` brings.

        Takes over `source`. BrokenPipeError of `deliver` is the end of it.
        """
        self._sources.add(source)
        self._loop.watch(source, select.POLLIN, lambda: self._deliver(source, deliver))

    def feed(
        self,
        source: int,
        sink: int,
        *,
        keys: DetachKeys | None = None,
        most: int = _CHUNK,
        finish: Callable[[int], None] = os.close,
    ) -> None:
        """Copies our `source` to what the container reads, `sink`; takes over `sink`.

        A container that does not read does not hold up the rest. At the end of the source, or
        when nobody reads, `finish` is called with the sink. With `keys`, these end the relay.
        No more than `most` bytes are written at once.
        """
        os.set_blocking(sink, False)
        feeder = _Feeder(self._loop, source, sink, finish, most)
        if keys is not None:
            feeder.watch_for(keys, self._detach)
        self._feeders.append(feeder)
        self._loop.watch(source, select.POLLIN, feeder.read)

    def on_signal(self, descriptor: int, deliver: Callable[[int], None]) -> None:
        """Calls `deliver` with the number of each signal that `descriptor` (a pipe) brings."""

        def read() -> None:
            for number in os.read(descriptor, _CHUNK):
                deliver(number)

        self._loop.watch(descriptor, select.POLLIN, read)

    def run(self, *, linger: bool = True) -> None:
        """Copies until the end; what was taken over is closed then.

        Without `linger`, what has been written before the end is copied, and what processes
        write that still have the streams after the end is not waited for.
        """
        try:
            while not self.detached and (not self._over or (linger and self._sources)):
                self._loop.turn()
            while not self.detached and self._sources and self._loop.turn(0):
                pass
        finally:
            for feeder in self._feeders:
                feeder.finish()
            for source in self._sources:
                os.close(source)

    def _detach(self) -> None:
        self.detached = True

    def _pass_on(self, source: int, sink: int, log: Callable[[bytes], None]) -> None:
        def deliver(data: bytes) -> None:
            log(data)
            write_all(sink, data)

        self._deliver(source, deliver)

    def _deliver(self, source: int, deliver: Callable[[bytes], None]) -> None:
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            # How terminals and sockets say that the other side is closed.
            if error.errno not in {errno.EIO, errno.ECONNRESET}:
                raise
            data = b""
        try:
            if data:
                deliver(data)
                return
        except BrokenPipeError:
            pass
        self._loop.forget(source)
        self._sources.discard(source)
        os.close(source)


class _Loop:
    """Descriptors that are waited for, and what is to be done when they are ready."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._actions: dict[int, Callable[[], None]] = {}

    def watch(self, descriptor: int, events: int, action: Callable[[], None]) -> None:
        self._poll.register(descriptor, events)
        self._actions[descriptor] = action

    def forget(self, descriptor: int) -> None:
        if self._actions.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def turn(self, milliseconds: int | None = None) -> bool:
        """Waits once, for so long at most; says whether something was ready.

        An action may have taken away what is ready, too.
        """
        ready = self._poll.poll(milliseconds)
        for descriptor, _ in ready:
            if action := self._actions.get(descriptor):
                action()
        return bool(ready)


class _Feeder:
    """Reads from us only as fast as the container reads."""

    def __init__(
        self, loop: _Loop, source: int, sink: int, close: Callable[[int], None], most: int
    ) -> None:
        self._loop = loop
        self._source = source
        self._sink = sink
        self._close = close
        self._most = most
        self._waiting = b""
        self._keys: DetachKeys | None = None
        self._detach: Callable[[], None] = _nothing_to_do

    def watch_for(self, keys: DetachKeys, detach: Callable[[], None]) -> None:
        """Calls `detach` when the keys are typed, which do not go to the container."""
        self._keys = keys
        self._detach = detach

    def read(self) -> None:
        try:
            self._waiting = os.read(self._source, self._most)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # our terminal has gone
                raise
            self._waiting = b""
        if not self._waiting:
            self.finish()
            return
        if self._keys is not None:
            self._waiting, detached = self._keys.filter(self._waiting)
            if detached:
                self._detach()
        if self._waiting:
            self.write()

    def write(self) -> None:
        try:
            written = os.write(self._sink, self._waiting[: self._most])
        except BlockingIOError:
            written = 0
        except OSError:  # the container has closed its side, or is gone
            self.finish()
            return
        self._waiting = self._waiting[written:]
        if self._waiting:
            self._loop.forget(self._source)
            self._loop.watch(self._sink, select.POLLOUT, self.write)
        else:
            self._loop.forget(self._sink)
            self._loop.watch(self._source, select.POLLIN, self.read)

    def finish(self) -> None:
        """Closes the sink. Idempotent."""
        if self._sink >= 0:
            self._loop.forget(self._source)
            self._loop.forget(self._sink)
            self._close(self._sink)
            self._sink = -1


class SignalPipe:
    """While it is open, signals to this process come out of a pipe instead of acting on it.

    These are those that are passed on to a container, and `more`, or `only` some. Outside of the
    main thread, where Python allows no handlers, nothing comes.
    """

    def __init__(self, *more: int, only: Sequence[int] | None = None) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._handlers: dict[int, object] = {}
        self._previous = -1
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            for number in (*_FORWARDED, *more) if only is None else only:
                self._handlers[number] = signal.signal(number, _nothing)

    def __enter__(self) -> SignalPipe:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._handlers:
            signal.set_wakeup_fd(self._previous)
        os.close(self.reader)
        os.close(self._writer)


class Insistence:
    """Counts the signals of somebody who wants an end."""

    def __init__(self) -> None:
        self._count = 0

    def enough(self, number: int) -> bool:
        """Whether this signal is the one after which the container is to be killed."""
        self._count += number in {signal.SIGINT, signal.SIGTERM}
        return self._count >= _INSISTENCE


def _nothing(number: int, frame: FrameType | None) -> None:
    """The number goes through the wakeup descriptor."""


def write_all(sink: int, data: bytes) -> None:
    """Writes all of it, whether or not the descriptor blocks. Raises OSError."""
    while data:
        try:
            data = data[os.write(sink, data) :]
        except BlockingIOError:  # whoever shares our stdout has made it so
            select.select([], [sink], [])
