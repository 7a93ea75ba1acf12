"""The tty display on a real (pseudo) terminal, and the choice of a display."""

import errno
import fcntl
import io
import os
import pty
import struct
import termios
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from support.progress import failing, start, successful
from tierce.cli.progress import MODES, make_renderer
from tierce.cli.progress.plain import PlainRenderer
from tierce.cli.progress.quiet import QuietRenderer
from tierce.cli.progress.screen import Screen
from tierce.cli.progress.tty import HIDE_CURSOR, SHOW_CURSOR, TtyRenderer, window_lines
from tierce.errors import StepFailed, UsageError
from tierce.solver.progress import VertexFinished, VertexLog, VertexStarted, VertexWarning


class Terminal:
    """A terminal whose screen is read by a thread, so that whoever writes to it never waits."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self.resize(rows, columns)
        self.text = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def resize(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, size)

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.text, timeout=60), self.text

    def screen(self) -> list[str]:
        screen = Screen(self.rows, self.columns)
        screen.write(self.text)
        return screen.rows()

    def close(self) -> None:
        if not self.stream.closed:
            self.stream.close()
        self._reader.join()
        os.close(self.master)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: nobody has the other end open any more
                return
            with self._changed:
                self.text += data.decode()
                self._changed.notify_all()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()


def test_finished_build_stays_on_the_terminal(terminal: Terminal) -> None:
    renderer = make_renderer("tty", terminal.stream, {})
    for event in successful():
        renderer(event)
    renderer.close()
    terminal.wait_for("1 warning found")
    screen = terminal.screen()
    assert screen[0].startswith("[+] Building ")
    assert screen[0].endswith("(7/7) FINISHED")
    assert screen[5].startswith(" => CACHED [1/3] FROM docker.io/library/alpine:3.15")
    assert screen[-2:] == [
        " 1 warning found (use tierce --debug to expand):",
        " - JSONArgsRecommended: JSON arguments recommended for CMD (line 3)",
    ]
    assert "\x1b[34m => [2/3] RUN make all" in terminal.text
    assert terminal.text.count(HIDE_CURSOR) == terminal.text.count(SHOW_CURSOR)


def test_failed_build_shows_all_output_of_the_step_that_failed(terminal: Terminal) -> None:
    renderer = make_renderer("tty", terminal.stream, {})
    for event in failing():
        renderer(event)
    renderer.close(StepFailed("x", vertex="v1", command=(), status=1))
    terminal.wait_for("npm ERR! 11\r\n------\r\n")
    assert "------\r\n > [a 2/2] RUN npm installer:\r\n0.399 npm ERR! 0\r\n" in terminal.text
    assert "sleeping" not in terminal.text[terminal.text.index("------") :]


def test_picture_is_drawn_while_the_build_goes_on(terminal: Terminal) -> None:
    renderer = make_renderer("tty", terminal.stream, {})
    now = time.time()
    renderer(VertexStarted("a", "[1/2] RUN make", now))
    terminal.wait_for(" => [1/2] RUN make")
    renderer(VertexLog("a", now, 1, b"compiling\n"))
    terminal.wait_for(" => => # compiling")
    renderer(VertexFinished("a", now + 1))
    renderer.close()
    terminal.wait_for("(1/1) FINISHED")
    terminal.wait_for(SHOW_CURSOR)
    screen = terminal.screen()
    assert len(screen) == 2, "the window of the step is gone, and so are earlier pictures"


def test_what_was_on_the_terminal_before_stays(terminal: Terminal) -> None:
    terminal.stream.write("$ tierce build .\n")
    renderer = make_renderer("tty", terminal.stream, {})
    renderer(start("a", "A", 0))
    terminal.wait_for(" => A")
    renderer(start("b", "B", 0))
    terminal.wait_for(" => B")
    renderer.close()
    assert terminal.screen()[0] == "$ tierce build ."
    assert len(terminal.screen()) == 4


def test_picture_follows_the_size_of_the_terminal(terminal: Terminal) -> None:
    renderer = make_renderer("tty", terminal.stream, {})
    renderer(start("a", "a" * 200, 0))
    terminal.wait_for("a" * 60)
    terminal.resize(10, 40)
    renderer(start("b", "b" * 200, 0))
    terminal.wait_for("b" * 20)
    renderer.close()
    last = terminal.text.rpartition(HIDE_CURSOR)[2]
    assert "\x1b[4A" in last or "\x1b[3A" in last
    assert "b" * 40 not in last


def test_flood_of_output_is_shown_at_its_end_and_kept_for_a_failure(terminal: Terminal) -> None:
    renderer = make_renderer("tty", terminal.stream, {})
    now = time.time()
    renderer(VertexStarted("a", "RUN flood", now))
    for number in range(2000):
        renderer(VertexLog("a", now, 1, b"%06d\n" % number))
    renderer(VertexFinished("a", now, error="exit code: 1"))
    renderer.close(StepFailed("x", vertex="a", command=(), status=1))
    terminal.wait_for("001999\r\n------\r\n")
    block = terminal.text[terminal.text.index("------") :]
    assert all(f"{number:06}\r\n" in block for number in range(2000))


class Gone(io.StringIO):
    """A stream whose other end is closed."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError(errno.EIO, "Input/output error")

    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("mode", ["tty", "plain", "quiet", "rawjson"])
def test_reader_that_goes_away_does_not_end_the_build(mode: str) -> None:
    renderer = make_renderer(mode, Gone(), {})
    for event in failing():
        renderer(event)
    renderer.close(StepFailed("x", vertex="v1", command=(), status=1))
    renderer(start("late", "a step that ends later", 0))


def test_no_color_leaves_no_colour(terminal: Terminal) -> None:
    renderer = make_renderer("tty", terminal.stream, {"NO_COLOR": "1"})
    for event in successful():
        renderer(event)
    renderer.close()
    terminal.wait_for("1 warning found")
    assert "\x1b[3" not in terminal.text
    assert "\x1b[0m" not in terminal.text


def test_mistake_in_the_colours_is_told(terminal: Terminal) -> None:
    make_renderer("tty", terminal.stream, {"BUILDKIT_COLORS": "x=y"}).close()
    terminal.wait_for("BUILDKIT_COLORS: unknown key x")


@pytest.mark.parametrize(("text", "lines"), [("", 6), ("12", 12), ("0", 6), ("-1", 6), ("many", 6)])
def test_number_of_lines_of_output_can_be_chosen(text: str, lines: int) -> None:
    assert window_lines({"BUILDKIT_TTY_LOG_LINES": text}) == lines


def test_quiet_shows_only_the_output_of_a_failure() -> None:
    stream = io.StringIO()
    renderer = make_renderer("quiet", stream, {})
    for event in successful():
        renderer(event)
    renderer.close()
    assert stream.getvalue() == ""
    renderer = make_renderer("quiet", stream, {})
    for event in failing():
        renderer(event)
    renderer.close(StepFailed("x", vertex="v1", command=(), status=1))
    assert stream.getvalue().startswith("------\n > [a 2/2] RUN npm installer:\n0.399 npm ERR! 0\n")


@pytest.mark.parametrize(
    ("mode", "environ", "kind"),
    [
        ("", {}, PlainRenderer),
        ("auto", {}, PlainRenderer),
        ("auto", {"BUILDKIT_PROGRESS": "quiet"}, QuietRenderer),
        ("plain", {"BUILDKIT_PROGRESS": "quiet"}, PlainRenderer),
        ("auto", {"BUILDKIT_PROGRESS": "auto"}, PlainRenderer),
    ],
)
def test_display_is_chosen_by_flag_environment_and_stream(
    mode: str, environ: dict[str, str], kind: type
) -> None:
    assert isinstance(make_renderer(mode, io.StringIO(), environ), kind)


def test_display_on_a_terminal_is_tty(terminal: Terminal) -> None:
    assert isinstance(make_renderer("auto", terminal.stream, {}), TtyRenderer)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("fancy", "invalid progress mode: fancy"),
        ("tty", "--progress=tty: standard error is not a terminal"),
    ],
)
def test_display_that_cannot_be_is_refused(mode: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_renderer(mode, io.StringIO(), {})
    assert caught.value.message == message


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "tty"])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_build_without_events_shows_nothing(mode: str, error: BaseException | None) -> None:
    stream = io.StringIO()
    renderer = make_renderer(mode, stream, {})
    renderer.close(error)
    renderer.close(error)
    assert stream.getvalue() == ""


def test_warning_of_the_whole_build_is_in_the_summary() -> None:
    stream = io.StringIO()
    renderer = make_renderer("plain", stream, {})
    renderer(VertexWarning("", "something is odd"))
    renderer.close()
    assert stream.getvalue() == (
        "\n 1 warning found (use tierce --debug to expand):\n - something is odd\n"
    )
