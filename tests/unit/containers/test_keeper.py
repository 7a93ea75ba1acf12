"""The process beside a container, without the container."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tierce.containers.keeper import REOPEN, Keeper
from tierce.containers.logfiles import LogFiles
from tierce.containers.logs import LogOptions, read_log

SECONDS = 30.0
HEAD = b"2026-01-01T00:00:00.000000000+00:00 stdout F "


class Conmon:
    """Writes a log, and begins another file of it when it is told to."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "log"
        self._control = directory / "ctl"
        os.mkfifo(self._control)
        self._told = os.open(self._control, os.O_RDWR | os.O_NONBLOCK)
        self._file = self._log.open("ab", buffering=0)

    def write(self, text: bytes) -> None:
        try:
            told = os.read(self._told, 100)
        except BlockingIOError:
            told = b""
        if told:
            assert told == REOPEN
            other = self._log.with_name("log.tmp")
            self._file.close()
            self._file = other.open("ab", buffering=0)
            other.rename(self._log)
        self._file.write(HEAD + text)

    def close(self) -> None:
        self._file.close()
        os.close(self._told)


@contextmanager
def kept(task: dict[str, object]) -> Iterator[threading.Thread]:
    """A keeper at work during the block; the container has ended at the end of it."""
    ended, ends = os.pipe()
    thread = threading.Thread(target=lambda: Keeper(task, ended).run())
    thread.start()
    try:
        yield thread
    finally:
        os.close(ends)
        thread.join(SECONDS)
        assert not thread.is_alive()
        os.close(ended)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_full_files_move_on_and_no_line_is_lost(tmp_path: Path) -> None:
    conmon = Conmon(tmp_path)
    log = {"size": 10_000, "files": 1000, "control": str(tmp_path / "ctl")}
    lines = [b"line %d\n" % number for number in range(20_000)]
    try:
        with kept({"files": str(tmp_path), "log": log}):
            for line in lines:
                conmon.write(line)
            while not (tmp_path / "log.1").exists():
                conmon.write(line := b"one more\n")
                lines.append(line)
    finally:
        conmon.close()
    files = LogFiles(str(tmp_path))
    found = [line.text for line in read_log(files, LogOptions(), lambda: False)]
    assert found == lines


def test_keeper_of_a_log_ends_with_conmon(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(HEAD + b"x\n")
    log = {"size": 10, "files": 3, "control": str(tmp_path / "ctl")}
    with kept({"files": str(tmp_path), "log": log}) as thread:
        until(lambda: not thread.is_alive())
    assert (tmp_path / "log.1").exists()


def test_probes_are_started_again_and_again_one_at_a_time(tmp_path: Path) -> None:
    script = 'mkdir "$0/one" && echo . >> "$0/probes" && rmdir "$0/one" || echo both >> "$0/probes"'
    health = {
        "probe": ["/bin/sh", "-c", script, str(tmp_path)],
        "started": time.time(),
        "interval": 0.005,
        "start_interval": 1000.0,
        "start_period": 0.0,
    }
    probes = tmp_path / "probes"
    with kept({"files": str(tmp_path), "health": health}):
        until(lambda: probes.exists() and len(probes.read_text().split()) >= 3)
    assert set(probes.read_text().split()) == {"."}


def test_container_that_starts_is_probed_at_other_intervals_until_it_is_well(
    tmp_path: Path,
) -> None:
    script = 'echo . >> "$0/probes"; echo "{\\"status\\": \\"healthy\\"}" > "$0/health"'
    health = {
        "probe": ["/bin/sh", "-c", script, str(tmp_path)],
        "started": time.time(),
        "interval": 1000.0,
        "start_interval": 0.001,
        "start_period": 1000.0,
    }
    (tmp_path / "health").write_text(json.dumps({"status": "starting"}))
    with kept({"files": str(tmp_path), "health": health}):
        until((tmp_path / "probes").exists)
        until(lambda: "healthy" in (tmp_path / "health").read_text())
    assert (tmp_path / "probes").read_text() == ".\n"
