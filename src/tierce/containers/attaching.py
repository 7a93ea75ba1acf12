"""Our streams on those of a container in the background, by the socket of its conmon.

conmon gives everybody who is connected what the container writes, each packet with the number of
the stream first, and writes to the container what comes from any of them.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from contextlib import contextmanager

from tierce import containers
from tierce.containers.create import NO_STEP, create, find_source
from tierce.containers.detaching import DETACHED, DetachKeys
from tierce.containers.following import Running
from tierce.containers.foreground import Streams
from tierce.containers.relay import Insistence, Relay, SignalPipe, write_all
from tierce.containers.request import RunRequest
from tierce.containers.run import run
from tierce.containers.start import ATTENDED, start
from tierce.containers.state import CREATED, RUNNING, ContainerState
from tierce.containers.sweep import find, finish, lock_name, remove
from tierce.containers.terminal import RawMode, size_of
from tierce.errors import RuntimeUnavailable, TierceError
from tierce.runtime.monitor import ENDED, exit_status, find_monitor
from tierce.store import Store
from tierce.store.containers import ContainerRow
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The modules for sockets and terminals take 5 ms to import; see `terminal`.

_SOCKET, _CONTROL = "attach", "ctl"
_RESIZE = 1
"""A line "1 ROWS COLUMNS" in conmon's control file gives the terminal this size."""

_STDOUT, _STDERR = 2, 3
_PACKET = 8192
"""conmon reads no more at once, and what a packet has beyond is lost."""

_CHUNK = 1 << 12
_READ_SECONDS = 1.0
_POLL_SECONDS = 0.001


class AttachOptions(Value):
    """Which of our streams are used, and what else is passed on.

    `keys` are as for `DetachKeys`. `signals`: those that we get go to the container. When somebody
    `insists` by three that should end it, it is killed.
    """

    stdin: bool = True
    stdout: bool = True
    stderr: bool = True
    keys: str = ""
    signals: bool = True
    insists: bool = False


def attach(
    store: Store, row: ContainerRow, options: AttachOptions, streams: Streams | None = None
) -> int:
    """Attaches to a container that runs, until its end; returns its exit status.

    Raises TierceError when it does not run, is paused or is somebody's foreground, and when
    somebody detached by the keys.
    """
    streams = streams or Streams()
    state = ContainerState.decode(row.state)
    if not row.running or state.status != RUNNING:
        raise TierceError("cannot attach to a stopped container, start it first")
    if containers.stop.is_paused(store, row):
        raise TierceError("cannot attach to a paused container, unpause it first")
    if not state.detached:
        raise TierceError(
            f"attach to {row.name}: its streams are those of the command that runs it",
            hint=f"see what it writes with: tierce logs -f {row.name}",
        )
    if state.terminal:
        options = options.replace(signals=False)  # the keys for them are passed on
    attached = _Attachment(store, row, state, options, streams)
    with attached:
        attached.connect()
        status = attached.until_end(row, redraws=True)
    if status is None:
        raise TierceError(DETACHED)
    return status


def start_attached(
    store: Store, row: ContainerRow, options: AttachOptions, streams: Streams | None = None
) -> int:
    """Starts a container and attaches before it has written anything; returns its exit status.

    Who detaches by the keys gets 0, as in docker. Raises as `start`.
    """
    streams = streams or Streams()
    state = ContainerState.decode(row.state)
    attached = _Attachment(store, row, state, options, streams)
    with attached:
        size = size_of(streams.stdout) if state.terminal else None
        begun = start(store, row, size=size, created=attached.attend)
        if not attached.connected:  # it has run already
            attached.connect()
        return attached.until_end(begun) or 0


def run_attached(
    store: Store,
    request: RunRequest,
    options: AttachOptions,
    streams: Streams | None = None,
    *,
    must: bool = True,
) -> int:
    """Makes, starts and attaches to a container, as `container run`; returns its exit status.

    Unless that `must` be, it is run as by `run` where it could not outlive us: without conmon, and
    in the place of a failed step. Raises as `create` and `start`.
    """
    used = streams or Streams()
    _check_terminal(used, needed=options.stdin and request.stdin and request.terminal)
    row = None
    with store.leases.ensure("container run"):
        source = find_source(store, request)
        if must or (source.step == NO_STEP and _has_monitor()):
            find_monitor()  # before anything is made
            row = create(store, request, source)
    if row is None:
        return run(store, request, streams)
    try:
        return start_attached(store, row, options, streams)
    except BaseException:
        _discard(store, row)
        raise


def _discard(store: Store, row: ContainerRow) -> None:
    """Removes a container that goes with its end, and has not even begun."""
    with store.locks.hold(lock_name(row.id)):
        found = find(store, row.id)
        if found is not None:
            state = ContainerState.decode(found.state)
            if state.remove and state.status == CREATED:
                remove(store, found)


def _check_terminal(streams: Streams, *, needed: bool) -> None:
    if needed and not os.isatty(streams.stdin):
        raise TierceError("the input device is not a TTY")


def _has_monitor() -> bool:
    try:
        find_monitor()
    except RuntimeUnavailable:
        return False
    return True


class _Attachment:
    """A connection to the conmon of a container. Context manager."""

    def __init__(
        self,
        store: Store,
        row: ContainerRow,
        state: ContainerState,
        options: AttachOptions,
        streams: Streams,
    ) -> None:
        stdin = options.stdin and state.stdin
        _check_terminal(streams, needed=stdin and state.terminal)
        self._store = store
        self._stdin = stdin
        self._terminal = state.terminal
        self._options = options
        self._streams = streams
        self._keys = DetachKeys(options.keys) if state.terminal else None
        self._directory = f"{store.paths.detached}/{row.id}"
        self._socket = self._ended = -1

    def __enter__(self) -> _Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (self._socket, self._ended):
            if descriptor >= 0:
                os.close(descriptor)
        self._socket = self._ended = -1

    @property
    def connected(self) -> bool:
        return self._socket >= 0

    def connect(self) -> None:
        """Connects, and holds on to the file that will have the exit status."""
        import socket  # see above

        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            bundle = os.open(f"{self._directory}/bundle", flags)
            try:
                self._ended = os.open(f"{self._directory}/{ENDED}", os.O_RDONLY | os.O_CLOEXEC)
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                    # struct sockaddr_un has room for 107 bytes, and the path may be longer.
                    connection.connect(f"/proc/self/fd/{bundle}/{_SOCKET}")
                    self._socket = connection.detach()
            finally:
                os.close(bundle)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise TierceError("cannot attach to a stopped container, start it first") from error

    def attend(self) -> None:
        """Connects, and has us clear up at the container's end instead of conmon's command."""
        with open(f"{self._directory}/{ATTENDED}", "x", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        self.connect()

    def until_end(self, row: ContainerRow, *, redraws: bool = False) -> int | None:
        """Copies until the container's end; returns its exit status, None for who detached.

        What is on a terminal is drawn anew if it `redraws`.
        """
        with Running(self._store, row) as running:
            if self._relay(running, redraws=redraws):
                self._leave(row)
                return None
            with SignalPipe():  # who interrupts us now would leave to others what is nearly done
                self._await_status(running, row)
                self._finish(row)
        text = os.pread(self._ended, _CHUNK, 0)
        return int(text) if text else containers.stop.wait(self._store, row)

    def _await_status(self, running: Running, row: ContainerRow) -> None:
        """Waits for what conmon notes right after it has closed our connection.

        It then waits for the command that clears up. Whoever comes first does.
        """
        while exit_status(self._directory, row.id) is None:
            if running.end < 0 or select.select([running.end], [], [], _POLL_SECONDS)[0]:
                running.await_end()
                break

    def _leave(self, row: ContainerRow) -> None:
        """Leaves clearing up to conmon's command, unless that has relied on us already."""
        try:
            os.unlink(f"{self._directory}/{ATTENDED}")
        except FileNotFoundError:  # we have only attached, or somebody has cleared up
            return
        if exit_status(self._directory, row.id) is not None:
            self._finish(row)

    def _finish(self, row: ContainerRow) -> None:
        with self._store.locks.hold(lock_name(row.id)):
            finish(self._store, row.id, monitored=exit_status(self._directory, row.id) is not None)

    def _relay(self, running: Running, *, redraws: bool) -> bool:
        """Copies until the end; says whether somebody detached."""
        more = (signal.SIGWINCH,) if self._terminal else ()
        pipe = SignalPipe(*more) if self._options.signals else SignalPipe(only=more)
        with _readable() as over, pipe as signals:
            relay = Relay(over)  # it is over when nothing more comes
            relay.receive(os.dup(self._socket), self._show)
            if self._stdin:
                relay.feed(
                    self._streams.stdin,
                    os.dup(self._socket),
                    keys=self._keys,
                    most=_PACKET,
                    finish=_half_close,
                )
            relay.on_signal(signals.reader, self._deliverer(running))
            if self._terminal and (size := size_of(self._streams.stdout)):
                # Programs draw everything anew only for another size than they have.
                other = ((size[0] + 1, size[1] + 1),) if redraws else ()
                self._resize(*other, size)
            if self._terminal and self._stdin and os.isatty(self._streams.stdin):
                with RawMode(self._streams.stdin):
                    relay.run()
            else:
                relay.run()
            return relay.detached

    def _show(self, packet: bytes) -> None:
        if packet[0] == _STDOUT and self._options.stdout:
            write_all(self._streams.stdout, packet[1:])
        elif packet[0] == _STDERR and self._options.stderr:
            write_all(self._streams.stderr, packet[1:])

    def _deliverer(self, running: Running) -> Callable[[int], None]:
        insistence = Insistence()

        def deliver(number: int) -> None:
            if number == signal.SIGWINCH:
                if size := size_of(self._streams.stdout):
                    self._resize(size)
            elif self._options.insists and insistence.enough(number):
                running.send(signal.SIGKILL)
            else:
                running.send(number)

        return deliver

    def _resize(self, *sizes: tuple[int, int]) -> None:
        """Gives the terminal sizes, one after the other; conmon may have gone meanwhile."""
        try:
            control = os.open(
                f"{self._directory}/bundle/{_CONTROL}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENXIO}:
                raise
            return
        try:
            for rows, columns in sizes:
                os.write(control, f"{_RESIZE} {rows} {columns}\n".encode("ascii"))
                _await_reading(control)
        except BrokenPipeError:
            return
        finally:
            os.close(control)


def _await_reading(pipe: int) -> None:
    """Waits until what was written is read: of two lines at once, conmon heeds the first."""
    import fcntl  # see above
    import termios

    deadline = time.monotonic() + _READ_SECONDS
    waiting = bytearray(4)
    while time.monotonic() < deadline:
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        if not any(waiting):
            return
        time.sleep(_POLL_SECONDS)


@contextmanager
def _readable() -> Iterator[int]:
    """A descriptor that is readable at once."""
    reader, writer = os.pipe()
    os.close(writer)
    try:
        yield reader
    finally:
        os.close(reader)


def _half_close(descriptor: int) -> None:
    """Tells conmon that nothing more comes from us, and goes on to hear from it."""
    import socket  # see above

    with socket.socket(fileno=descriptor) as connection:
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno not in {errno.ENOTCONN, errno.EPIPE}:  # it has gone
                raise
