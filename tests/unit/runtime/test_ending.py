"""Ending what is left in groups, and who sees to it."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.linux import cgroups
from tierce.runtime import ending

SETUP = cgroups.detect()
LEGACY = [mount for mount in SETUP.mounts if mount.version == 1 and "pids" in mount.controllers]
pytestmark = pytest.mark.skipif(not LEGACY or os.geteuid() != 0, reason="makes groups")
SLEEP = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]


@pytest.fixture
def group() -> Iterator[Path]:
    directory = Path(LEGACY[0].path, f"tierce-ending{os.getpid()}")
    directory.mkdir()
    yield directory
    cgroups.remove_soon(cgroups.Cgroup(tuple(ending.below([str(directory)]))))
    assert not directory.exists()


def start(group: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(SLEEP, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    (group / "cgroup.procs").write_text(str(process.pid))
    return process


def test_processes_in_groups_and_below_are_ended_but_for_those_spared(group: Path) -> None:
    (group / "inner").mkdir()
    with start(group) as first, start(group / "inner") as second, start(group) as spared:
        ending.end_processes(ending.below([str(group)]), spare={spared.pid})
        assert first.wait() == -9
        assert second.wait() == -9
        assert spared.poll() is None
        spared.kill()


def test_groups_that_are_gone_are_empty(tmp_path: Path) -> None:
    ending.end_processes([str(tmp_path / "gone")])
    assert ending.processes_in(str(tmp_path / "gone")) == set()


def test_guard_ends_what_is_in_groups_of_its_launcher_alone(group: Path, tmp_path: Path) -> None:
    other = group / "others"
    other.mkdir()
    (tmp_path / "cgroups").write_text(f"{other}\n{group}\n")
    name = group.name.removeprefix("tierce-")
    with start(group) as ours:
        for wanted in ("another", name):
            words = ["sh", "-c", ending.GUARD, "sh", str(tmp_path), wanted]
            with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guard:
                output, _ = guard.communicate(b"\n")
                assert output == b"\n"  # it tells that it is there
            if wanted != name:
                assert ours.poll() is None
        assert ours.wait() == -9


def test_follower_calls_at_the_end_of_the_first_process(tmp_path: Path) -> None:
    called, calls = os.pipe()
    with (
        subprocess.Popen(SLEEP, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as runtime,
        subprocess.Popen(SLEEP, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first,
    ):
        ended = os.pidfd_open(runtime.pid)
        path = tmp_path / "first"
        follower = ending.Follower(str(path), ended, lambda: os.close(calls))
        path.write_text(str(first.pid))
        first.communicate()
        assert select.select([called], [], [], 60)[0]
        runtime.communicate()
        follower.join()
        os.close(ended)
    os.close(called)


def test_follower_ends_with_a_runtime_that_started_nothing(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError

    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as runtime:
        ended = os.pidfd_open(runtime.pid)
        follower = ending.Follower(str(tmp_path / "first"), ended, never)
        runtime.communicate()
        follower.join()
        os.close(ended)
