"""Attaching our standard streams to a container's process, until it ends."""

from __future__ import annotations

import os

from tierce.containers.relay import Insistence, Relay, SignalPipe
from tierce.containers.terminal import ConsoleSocket, RawMode, copy_size
from tierce.lean import signal
from tierce.runtime.crun import Container
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.containers.logwriter import LogWriter


class Streams(Value):
    """Descriptors to read input from, and to write output and errors to."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


def run_with_pipes(container: Container, streams: Streams, log: LogWriter, *, stdin: bool) -> int:
    """Starts the container and copies its streams through pipes; returns its exit status.

    It does not get our own descriptors: through /proc/self/fd, its process could open what is
    behind them once more, for reading and writing, and runtimes give them to its user.
    """
    out, out_writer = os.pipe()
    err, err_writer = os.pipe()
    in_reader, in_writer = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), -1)
    with SignalPipe() as signals:
        try:
            container.start(stdin=in_reader, stdout=out_writer, stderr=err_writer)
        finally:
            for descriptor in (in_reader, out_writer, err_writer):
                os.close(descriptor)
        relay = Relay(container.ended)
        relay.copy(out, streams.stdout, log.stdout)
        relay.copy(err, streams.stderr, log.stderr)
        if stdin:
            relay.feed(streams.stdin, in_writer)
        relay.on_signal(signals.reader, _deliverer(container))
        relay.run(linger=not container.shares_processes)
        return container.wait()


def run_with_terminal(
    container: Container, streams: Streams, directory: str, log: LogWriter, *, stdin: bool
) -> int:
    """Starts the container on a terminal of its own, shown on ours; returns its exit status.

    `directory` is one that only we can enter.
    """
    console = ConsoleSocket(directory)
    # What the runtime itself says is in its log.
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        with SignalPipe(signal.SIGWINCH) as signals:
            container.start(stdin=nothing, stdout=nothing, stderr=nothing, console=console.path)
            master = console.receive(container.ended)
            if master < 0:
                return container.wait()
            relay = Relay(container.ended)
            relay.copy(master, streams.stdout, log.stdout)

            def resize() -> None:
                copy_size(streams.stdout, master)

            relay.on_signal(signals.reader, _deliverer(container, resize))
            if stdin:
                relay.feed(streams.stdin, os.dup(master))
            if stdin and os.isatty(streams.stdin):
                with RawMode(streams.stdin):
                    relay.run(linger=not container.shares_processes)
            else:
                relay.run(linger=not container.shares_processes)
            return container.wait()
    finally:
        os.close(nothing)
        console.close()


def _deliverer(
    container: Container, resize: Callable[[], None] | None = None
) -> Callable[[int], None]:
    insistence = Insistence()

    def deliver(number: int) -> None:
        if number == signal.SIGWINCH:
            if resize is not None:
                resize()
        elif insistence.enough(number):
            container.kill()
        else:
            container.send(number)

    return deliver
