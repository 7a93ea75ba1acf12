"""Drivers and options of logs, and logs that are large, bounded, and read meanwhile."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import files_of, inspected, nothing_outlives, run_file, start, until
from support.program import BASE, PROGRAM, Tierce, outcome_of

LINE = 72
LINES = 200_000_000 // LINE
MEBIBYTE = 1 << 20

BOUNDED = ("--log-opt", "max-size=1m", "--log-opt", "max-file=3")


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test, and nothing of one is left."""
    with nothing_outlives(shared):
        yield shared


@pytest.fixture(scope="module")
def many_lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with 200 MB of numbered lines in a file, which `cat` writes in a second."""
    directory = tmp_path_factory.mktemp("lines")
    with (directory / "lines").open("wb") as file:
        for first in range(0, LINES, 10_000):
            numbers = range(first, min(first + 10_000, LINES))
            file.write(b"".join(numbered(number) for number in numbers))
    yield directory
    (directory / "lines").unlink()


def numbered(number: int) -> bytes:
    return b"%010d %s\n" % (number, b"x" * (LINE - 12))


def assert_all_lines(path: Path) -> None:
    """Fails unless the file holds every line once, in order."""
    with path.open("rb") as file:
        for number in range(LINES):
            assert file.readline() == numbered(number)
        assert not file.read(1)


def follow(program: Tierce, name: str, output: Path) -> "subprocess.Popen[bytes]":
    """`logs -f` into a file: nobody who reads slowly holds it up."""
    with output.open("wb") as file:
        return subprocess.Popen(
            [str(PROGRAM), "--root", str(program.root), "logs", "-f", name], stdout=file
        )


def log_names(directory: Path) -> list[str]:
    """The files of a container's log, in order."""
    return sorted(path.name for path in directory.glob("log*"))


# Much


def test_followed_log_of_200_mb_at_full_speed_loses_no_line(
    program: Tierce, many_lines: Path, tmp_path: Path
) -> None:
    start(program, "--name", "fast", "-v", f"{many_lines}:/data:ro", BASE, "cat", "/data/lines")
    with follow(program, "fast", tmp_path / "output") as process:
        assert process.wait() == 0
    assert_all_lines(tmp_path / "output")


def test_bounded_log_of_200_mb_loses_no_line_of_who_follows_it(
    program: Tierce, many_lines: Path, tmp_path: Path
) -> None:
    """Some twenty times a new file is begun while it is written, and read."""
    (tmp_path / "go").mkdir()
    command = "echo ready; while ! test -e /go/now; do sleep 0.01; done; exec cat /data/lines"
    identifier = start(
        program,
        *("--name", "fast", "--log-opt", "max-size=20m", "--log-opt", "max-file=5"),
        *("-v", f"{many_lines}:/data:ro", "-v", f"{tmp_path}/go:/go", BASE, "sh", "-c", command),
    )
    output = tmp_path / "output"
    with follow(program, "fast", output) as process:
        until(lambda: output.read_bytes() == b"ready\n")
        (tmp_path / "go/now").touch()
        assert process.wait() == 0
    with output.open("rb") as file:
        assert file.readline() == b"ready\n"
        (tmp_path / "rest").write_bytes(file.read())
    output.unlink()
    assert_all_lines(tmp_path / "rest")
    assert log_names(files_of(program, identifier)) == ["log", "log.1", "log.2", "log.3", "log.4"]


# A process begins with the peak of the one that it was spawned from; see test_memory.
MEASURE = """
import os, sys
nothing = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                     file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("flags", [(), ("-f",), ("--tail", "2000000"), ("-t", "-n", "100000")])
def test_logs_of_200_mb_take_less_than_40_mib(
    program: Tierce, many_lines: Path, flags: tuple[str, ...]
) -> None:
    start(program, "--name", "large", "-v", f"{many_lines}:/data:ro", BASE, "cat", "/data/lines")
    program.run("wait", "large")
    words = [str(PROGRAM), "--root", str(program.root), "logs", *flags, "large"]
    found = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, *words], check=True, capture_output=True
    )
    assert int(found.stdout) < 40 * MEBIBYTE


# Bounded logs


class Writer:
    """A container that writes what it is given, when it is given it."""

    def __init__(self, program: Tierce, directory: Path, *words: str) -> None:
        directory.mkdir()
        os.mkfifo(directory / "pipe")
        self._pipe = directory / "pipe"
        command = "while :; do cat /data/pipe; done"
        self.id = start(program, *words, "-v", f"{directory}:/data", BASE, "sh", "-c", command)
        self.files = files_of(program, self.id)

    def write(self, text: bytes) -> None:
        self._pipe.write_bytes(text)


def inode_of(path: Path) -> int:
    """0 for a file that is not there, as a log between two files."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def test_bounded_log_keeps_so_many_files_and_is_read_over_all(
    program: Tierce, tmp_path: Path
) -> None:
    writer = Writer(program, tmp_path / "data", "--name", "bounded", *BOUNDED)
    for part in range(5):
        before = inode_of(writer.files / "log")
        writer.write(b"".join(b"%d %05d\n" % (part, number) for number in range(30_000)))
        until(
            lambda before=before: (
                inode_of(writer.files / "log") not in {0, before}  # type: ignore[misc]
                and (writer.files / "log.1").exists()
            )
        )
    writer.write(b"end\n")
    until(lambda: program.run("logs", "-n", "1", "bounded").stdout == "end\n")
    assert log_names(writer.files) == ["log", "log.1", "log.2"]
    lines = program.run("logs", "bounded").stdout.splitlines()
    kept = [f"{part} {number:05}" for part in range(5) for number in range(30_000)] + ["end"]
    assert lines == kept[-len(lines) :]
    assert len(lines) > 30_000
    for count in (1, 2, 30_000, len(lines)):
        assert (
            program.run("logs", "-n", str(count), "bounded").stdout.splitlines() == (lines[-count:])
        )


def test_killed_keeper_is_replaced_by_the_next_command(program: Tierce, tmp_path: Path) -> None:
    writer = Writer(program, tmp_path / "data", "--name", "kept", *BOUNDED)
    record = run_file(program, writer.id, "keeper")
    before = int(record.read_text().split()[0])
    os.kill(before, signal.SIGKILL)
    # As if it had been killed when conmon was to begin another file.
    until(lambda: not Path(f"/proc/{before}").exists())
    writer.write(b"one\n")
    until((writer.files / "log").exists)
    (writer.files / "log").rename(writer.files / "log.1")
    program.run("ps")
    assert int(record.read_text().split()[0]) != before
    until((writer.files / "log").exists)
    writer.write(b"two\n")
    until(lambda: program.run("logs", "kept").stdout == "one\ntwo\n")
    program.run("rm", "-f", "kept")
    assert not record.exists()


def test_keeper_killed_over_and_over_loses_no_line(program: Tierce, many_lines: Path) -> None:
    """While 43 MB go through some forty files, of which none is dropped."""
    command = (
        "i=0; while [ $i -lt 60 ]; do dd if=/data/lines bs=720000 skip=$i count=1 2>/dev/null;"
        " i=$((i+1)); sleep 0.05; done"
    )
    identifier = start(
        program,
        *("--name", "hurt", "--log-opt", "max-size=1m", "--log-opt", "max-file=100"),
        *("-v", f"{many_lines}:/data:ro", BASE, "sh", "-c", command),
    )
    record = run_file(program, identifier, "keeper")
    killed = set()
    while program.run("ps", "-q").stdout:  # which starts another one
        try:
            number = int(record.read_text().split()[0])
            os.kill(number, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue
        killed.add(number)
    assert len(killed) > 2
    found = program.run("logs", "hurt").stdout.splitlines(keepends=True)
    assert len(found) == 600_000
    assert found == [numbered(number).decode() for number in range(600_000)]
    assert inspected(program, "hurt", "{{.State.ExitCode}}") == "0"


def test_log_in_the_foreground_is_bounded_too(program: Tierce) -> None:
    command = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    program.run(
        *("run", "--name", "front", "--log-opt", "max-size=20k", "--log-opt", "max-file=2"),
        *(BASE, "sh", "-c", command),
    )
    [found] = json.loads(program.run("inspect", "front").stdout)
    assert log_names(Path(found["LogPath"]).parent) == ["log", "log.1"]
    lines = program.run("logs", "front").stdout.splitlines()
    assert lines == [f"line {number}" for number in range(3000 - len(lines), 3000)]
    assert 100 < len(lines) < 3000


# Drivers


def test_container_without_a_log_says_so_in_dockers_words(program: Tierce) -> None:
    for words in (("run",), ("run", "-d")):
        name = f"quiet{len(words)}"
        found = program.run(*words, "--log-driver", "none", "--name", name, BASE, "echo", "x")
        assert words == ("run", "-d") or found.stdout == "x\n"
        program.run("wait", name)
        refused = program.run("logs", name, status=1)
        assert "configured logging driver does not support reading" in refused.stderr
        assert inspected(program, name, "{{.LogPath}} {{.HostConfig.LogConfig.Type}}") == "none"


def test_local_driver_is_bounded_by_itself(program: Tierce) -> None:
    identifier = start(program, "--log-driver", "local", "--name", "own", BASE, "sleep", "600")
    task = json.loads(run_file(program, identifier, "keeper.json").read_text())
    assert (task["log"]["size"], task["log"]["files"]) == (20 * MEBIBYTE, 5)
    assert inspected(program, "own", "{{.HostConfig.LogConfig.Type}}") == "local"


def test_usual_container_has_no_keeper(program: Tierce) -> None:
    identifier = start(program, BASE, "sleep", "600")
    assert not run_file(program, identifier, "keeper").exists()
    assert inspected(program, identifier, "{{json .HostConfig.LogConfig}}") == (
        '{"Type":"json-file","Config":{}}'
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--log-driver", "syslog"), "no log driver named 'syslog' is registered"),
        (("--log-opt", "max-size"), "invalid log opt: 'max-size'"),
        (("--log-opt", "size=1m"), "unknown log opt 'size' for json-file log driver"),
        (("--log-opt", "max-size=-1"), "invalid size: '-1'"),
        (("--log-opt", "compress=true", *BOUNDED), "not compressed"),
        (("--log-driver", "none", "--log-opt", "tag=x"), "invalid logging opts for driver none"),
    ],
)
def test_what_cannot_be_given_is_refused_before_anything_is_made(
    program: Tierce, words: tuple[str, ...], message: str
) -> None:
    assert message in program.run("create", *words, BASE, "true", status=2).stderr
    assert message in program.run("run", *words, BASE, "true", status=125).stderr
    assert program.run("ps", "-aq").stdout == ""


def test_details_are_the_chosen_labels_variables_and_tag(program: Tierce) -> None:
    program.run(
        *("run", "--name", "told", "-l", "tier=front end", "-l", "other=x", "-e", "ZONE=eu"),
        *("--log-opt", "labels=tier", "--log-opt", "env=ZONE", "--log-opt", "tag={{.Name}}"),
        *(BASE, "echo", "hello"),
    )
    found = program.run("logs", "--details", "told").stdout
    assert found == "ZONE=eu,tag=told,tier=front+end hello\n"
    assert program.run("logs", "told").stdout == "hello\n"


# Over the life of a container


def test_follower_ends_with_the_run_and_the_log_goes_on_with_the_next(program: Tierce) -> None:
    command = "echo begun; trap 'echo ended; exit' TERM; while :; do sleep 0.05; done"
    start(program, "--name", "again", BASE, "sh", "-c", command)
    with program.running("logs", "-f", "again") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        program.run("restart", "again")
        assert outcome_of(process).stdout == "ended\n"
    program.run("stop", "again")
    assert program.run("logs", "again").stdout == "begun\nended\n" * 2


def test_follower_of_a_container_removed_by_force_ends(program: Tierce) -> None:
    start(program, "--name", "gone", BASE, "sh", "-c", "echo here; sleep 600")
    with program.running("logs", "-f", "gone") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        program.run("rm", "-f", "gone")
        assert outcome_of(process).status == 0


def test_lines_of_both_streams_and_their_parts_keep_their_order(program: Tierce) -> None:
    """One stream at a time, each waited for: what is written at once has no order of its own."""
    command = "for i in 1 2 3; do echo out $i; sleep 0.1; printf 'err %s' $i >&2; sleep 0.1; done"
    for flags in ((), ("-d",)):
        name = f"both{len(flags)}"
        program.run("run", *flags, "--name", name, BASE, "sh", "-c", command)
        program.run("wait", name)
        with program.start("logs", "-t", name) as process:
            found = outcome_of(process)
        texts = [line.split(" ", 1)[1] for line in found.stdout.splitlines()]
        assert texts == ["out 1", "out 2", "out 3"]
        merged = subprocess.run(
            [str(PROGRAM), "--root", str(program.root), "logs", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
        ).stdout
        assert merged == b"out 1\nerr 1out 2\nerr 2out 3\nerr 3"
