"""Copying in both directions at the pace of the slower, and passing signals on."""

import os
import signal
import threading

import pytest

from tierce.containers.relay import Insistence, Relay, SignalPipe


class Ends:
    """Both ends of the pipes of a container that never was."""

    def __init__(self) -> None:
        self.ended, self.end = os.pipe()
        self.out, self.out_writer = os.pipe()
        self.ours, self.ours_writer = os.pipe()
        self.relay = Relay(self.ended)


@pytest.fixture
def ends() -> Ends:
    return Ends()


def test_what_was_written_before_the_end_is_copied(ends: Ends) -> None:
    ends.relay.copy(ends.out, ends.ours_writer)
    os.write(ends.out_writer, b"last words")
    os.close(ends.end)
    os.close(ends.out_writer)
    ends.relay.run()
    assert os.read(ends.ours, 100) == b"last words"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ends.out)


def test_end_alone_is_not_the_end_of_the_output(ends: Ends) -> None:
    ends.relay.copy(ends.out, ends.ours_writer)
    os.close(ends.end)
    thread = threading.Thread(target=ends.relay.run)
    thread.start()
    os.write(ends.out_writer, b"late")
    assert os.read(ends.ours, 100) == b"late"
    os.close(ends.out_writer)
    thread.join()


def test_sink_without_a_reader_closes_the_source(ends: Ends) -> None:
    ends.relay.copy(ends.out, ends.ours_writer)
    os.close(ends.ours)
    os.write(ends.out_writer, b"unread")
    os.close(ends.end)
    ends.relay.run()
    with pytest.raises(BrokenPipeError):
        os.write(ends.out_writer, b"more")


def test_container_that_does_not_read_holds_up_nothing(ends: Ends) -> None:
    """More input than a pipe holds waits, while output goes on."""
    theirs, theirs_writer = os.pipe()
    source, source_writer = os.pipe()
    text = bytes(range(256)) * 4096
    ends.relay.copy(ends.out, ends.ours_writer)
    ends.relay.feed(source, theirs_writer)
    feeder = threading.Thread(target=_write_and_close, args=(source_writer, text))
    relay = threading.Thread(target=ends.relay.run)
    feeder.start()
    relay.start()
    os.write(ends.out_writer, b"output")
    assert os.read(ends.ours, 100) == b"output"
    received = b""
    while chunk := os.read(theirs, 1 << 16):
        received += chunk
    assert received == text
    os.close(ends.end)
    os.close(ends.out_writer)
    feeder.join()
    relay.join()


def test_container_that_closes_its_input_stops_the_feeding(ends: Ends) -> None:
    theirs, theirs_writer = os.pipe()
    source, source_writer = os.pipe()
    ends.relay.feed(source, theirs_writer)
    os.close(theirs)
    os.write(source_writer, b"unread")
    os.close(ends.end)
    ends.relay.run()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(theirs_writer)


def test_signals_are_delivered_by_number_and_handlers_restored(ends: Ends) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    got: list[int] = []

    def deliver(number: int) -> None:
        got.append(number)
        os.close(ends.end)

    with SignalPipe() as signals:
        ends.relay.on_signal(signals.reader, deliver)
        os.kill(os.getpid(), signal.SIGUSR1)
        ends.relay.run()
    assert got == [signal.SIGUSR1]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_signals_are_left_alone_outside_of_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with SignalPipe():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_third_request_to_end_is_enough() -> None:
    insistence = Insistence()
    numbers = [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGINT]
    assert [insistence.enough(number) for number in numbers] == [False, False, False, True]


def _write_and_close(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.close(descriptor)
