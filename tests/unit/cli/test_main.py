"""The way in and out: exit statuses, errors on one line, interrupts, broken pipes."""

import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tierce import __version__
from tierce.cli import main as main_module
from tierce.cli import table
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.main import INTERRUPTED, main
from tierce.cli.session import Session
from tierce.errors import (
    BuildError,
    Cancelled,
    ContainerError,
    DockerfileError,
    NotFound,
    StoreError,
    UsageError,
)

Run = Callable[[Parsed, Session], int]
Install = Callable[[Run], None]

COMMAND = Command(
    name="probe it",
    usage="[OPTIONS] [X]",
    short="Probe",
    flags=(Flag("all", "a"),),
    maximum=1,
    usage_status=125,
)


MARKED = "--------------------\n   1 | >>> X\n--------------------\n"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a command of the test's own, `probe it`, into the table."""

    def put(run: Run) -> None:
        module = SimpleNamespace(COMMAND=COMMAND, run=run)
        load = table.load
        monkeypatch.setitem(table.COMMANDS, "probe it", "Probe")
        monkeypatch.setitem(table.GROUPS, "probe", "Probes")
        monkeypatch.setattr(table, "load", lambda p: module if p == "probe it" else load(p))

    return put


def raising(error: BaseException) -> Run:
    def run(_options: Parsed, _session: Session) -> int:
        raise error

    return run


def test_version_is_printed_by_flag_and_by_letter(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("--version", "-v"):
        assert main([word]) == 0
        assert capsys.readouterr().out == f"tierce version {__version__}\n"


def test_command_gets_its_words_and_its_status_is_returned(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(options: Parsed, session: Session) -> int:
        session.print(f"{options.flag('all')} {options.arguments} {session.root} {session.debug}")
        return 7

    install(run)
    assert main(["--root", "/r", "-D", "probe", "it", "-a", "x"]) == 7
    assert capsys.readouterr().out == "True ['x'] /r True\n"


@pytest.mark.parametrize(
    ("words", "status", "shown"),
    [
        ("imag", 2, ["'imag' is not a tierce command.", "did you mean 'image'?", ""]),
        ("--rot x", 2, ["unknown flag: --rot", "did you mean --root?", ""]),
        ("image tag x", 2, ['"tierce image tag" requires exactly 2 arguments.', "", "image tag"]),
        ("image ls --quite", 2, ["unknown flag: --quite", "did you mean --quiet?", "image ls"]),
        ("probe it -z", 125, ["unknown shorthand flag: 'z' in -z", "", "probe it"]),
        ("probe it x y", 125, ['"tierce probe it" requires at most 1 argument.', "", "probe it"]),
        ("-H x image ls", 2, ["there is no daemon: --host is not supported", "", "image ls"]),
        ("-c x image ls", 2, ["no such context: x", "", "image ls"]),
    ],
)
def test_wrong_usage_says_what_is_right(
    words: str,
    status: int,
    shown: list[str],
    install: Install,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(lambda _options, _session: 0)
    assert main(words.split()) == status
    captured = capsys.readouterr()
    message, hint, command = shown
    lines = [f"tierce: {message}"] + ([f"hint: {hint}"] if hint else [])
    see = f"tierce {command}".rstrip()
    assert captured.err.splitlines() == [*lines, f"See '{see} --help'."]
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (NotFound("image", "x"), 1, "tierce: no such image: x\n"),
        (StoreError("why", hint="do this"), 1, "tierce: why\nhint: do this\n"),
        (ContainerError("start it: gone", status=127), 127, "tierce: start it: gone\n"),
        (UsageError("no"), 125, "tierce: no\nSee 'tierce probe it --help'.\n"),
        (Cancelled("cancelled"), 130, ""),
        (KeyboardInterrupt(), 130, ""),
        (main_module.Terminated(), 143, ""),
        (BuildError("build: failed"), 1, "ERROR: build: failed\n"),
        (DockerfileError("no", line=1, source="X"), 1, f"Dockerfile:1\n{MARKED}ERROR: no\n"),
        (OSError(28, "No space", "/x"), 1, "tierce: system call failed: /x: No space\n"),
    ],
)
def test_errors_are_one_line_and_a_hint(
    error: BaseException,
    status: int,
    shown: str,
    install: Install,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(raising(error))
    assert main(["probe", "it"]) == status
    assert capsys.readouterr().err == shown


def test_unforeseen_error_is_one_line_and_its_traceback_in_a_private_file(
    install: Install,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    install(raising(ZeroDivisionError("a\nb")))
    assert main(["probe", "it"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "tierce: internal error: ZeroDivisionError: a b"
    [report] = tmp_path.iterdir()
    assert second == f"hint: please report it, with this file: {report}"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert "Traceback (most recent call last)" in text
    assert f"tierce {__version__}" in text


def test_debug_shows_where_an_error_comes_from(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(NotFound("image", "x")))
    assert main(["--debug", "probe", "it"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert shown.endswith("tierce: no such image: x\n")


def test_report_that_cannot_be_written_is_no_second_error(
    install: Install,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    install(raising(ZeroDivisionError()))
    assert main(["probe", "it"]) == 1
    assert capsys.readouterr().err == "tierce: internal error: ZeroDivisionError\n"


def test_help_that_was_asked_for_is_a_result_and_other_help_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["--help"], ["help"], ["image", "--help"], ["help", "image", "ls"]):
        assert main(words) == 0
        captured = capsys.readouterr()
        assert captured.out.startswith("Usage:  tierce")
        assert captured.err == ""
    for words in ([], ["image"]):
        assert main(words) == 0
        captured = capsys.readouterr()
        assert captured.err.startswith("Usage:  tierce")
        assert captured.out == ""


def test_help_of_a_command_needs_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "tag", "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage:  tierce image tag SOURCE")


def test_store_is_opened_only_when_asked_for_and_closed_at_the_end(
    install: Install, tmp_path: Path
) -> None:
    seen: list[Session] = []

    def run(_options: Parsed, session: Session) -> int:
        seen.append(session)
        assert not (tmp_path / "store").exists()
        assert session.store is session.store
        assert (tmp_path / "store/tierce.db").exists()
        return 0

    install(run)
    assert main(["--root", str(tmp_path / "store"), "probe", "it"]) == 0
    assert seen[0]._store is None


# What only a process can show


def start(body: str, *words: str, **options: object) -> "subprocess.Popen[bytes]":
    """The program with a command of its own, `probe it`, whose `run` has that body."""
    program = (
        "import os, sys, time, types\n"
        "from tierce.cli import table\n"
        "from tierce.cli.flags import Command\n"
        "def run(options, session):\n"
        + "".join(f"    {line}\n" for line in body.splitlines())
        + "module = types.SimpleNamespace(COMMAND=Command('probe it', '', ''), run=run)\n"
        "table.COMMANDS['probe it'] = table.GROUPS['probe'] = ''\n"
        "table.load = lambda path: module\n"
        "sys.argv = ['tierce', *sys.argv[1:]]\n"
        "from tierce.cli.main import entry\n"
        "entry()\n"
    )
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [sys.executable, "-c", program, *(words or ("probe", "it"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )
    return process


READY_THEN_WAIT = """\
try:
    os.write(1, b'ready\\n')
    while True:
        time.sleep(60)
finally:
    os.write(1, b'cleaned up\\n')
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_cleans_up_and_says_nothing(number: signal.Signals, status: int) -> None:
    process = start(READY_THEN_WAIT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (status, b"cleaned up\n", b"")


def test_second_interrupt_stops_at_once() -> None:
    process = start(
        "try:\n"
        "    os.write(1, b'ready\\n')\n"
        "    time.sleep(600)\n"
        "finally:\n"
        "    os.write(1, b'cleaning\\n')\n"
        "    time.sleep(600)\n"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"cleaning\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate() == (b"", b"")
    assert process.returncode == INTERRUPTED


def test_reader_that_goes_away_is_no_error() -> None:
    process = start("for _ in range(100000): session.print('x' * 100)\nreturn 0")
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 141


def test_full_disk_under_the_output_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from tierce.cli.main import entry; entry()", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"tierce: system call failed: No space left on device\n"


def test_output_is_utf8_and_keeps_the_bytes_of_file_names() -> None:
    body = r"session.print('\u2026 ' + os.fsdecode(b'\xff')); return 0"
    process = start(body, env={**os.environ, "LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"})
    assert process.communicate() == ("… ".encode() + b"\xff\n", b"")


def test_output_before_an_error_is_not_lost(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = io.StringIO(), io.StringIO()

    def run(_options: Parsed, session: Session) -> int:
        session.print("some")
        raise NotFound("image", "x")

    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    install(run)
    assert main(["probe", "it"]) == 1
    assert (out.getvalue(), err.getvalue()) == ("some\n", "tierce: no such image: x\n")


@pytest.mark.parametrize("error", ["BrokenPipeError()", "KeyboardInterrupt()"])
def test_statuses_are_those_of_a_shell(error: str) -> None:
    process = start(f"raise {error}")
    assert process.communicate() == (b"", b"")
    assert process.returncode in {130, 141}
