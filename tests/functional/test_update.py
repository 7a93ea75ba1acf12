"""`tierce update`: limits that are changed, in running containers and in those that are not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, Tierce
from tierce.linux import cgroups

SETUP = cgroups.detect()
pytestmark = pytest.mark.skipif(SETUP.mode not in {"legacy", "hybrid"}, reason="files of version 1")
KEEP = "echo ready; trap 'exit 0' TERM; while :; do sleep 0.05; done"
FORM = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}}"
MEBIBYTE = 1 << 20


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", identifier)


def start(program: Tierce, *flags: str) -> int:
    """A container in the background; the number of its process."""
    words = ("run", "-d", "--name", "kept", "--network", "none", *flags, BASE, "sleep", "1000")
    program.run(*words)
    return int(program.run("inspect", "-f", "{{.State.Pid}}", "kept").stdout)


def in_force(pid: int, controller: str, name: str) -> str:
    """What a file of the process's group says."""
    paths = cgroups.own_paths(pid)
    [directory] = [
        mount.path + paths[mount.controllers]
        for mount in SETUP.mounts
        if mount.version == 1 and controller in mount.controllers
    ]
    return Path(directory, name).read_text().strip()


def memory(pid: int) -> tuple[int, int]:
    names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    first, second = (int(in_force(pid, "memory", name)) // MEBIBYTE for name in names)
    return first, second


def test_limits_of_a_running_container_change_at_once(program: Tierce) -> None:
    pid = start(program, "-m", "64m", "--pids-limit", "20")
    assert memory(pid) == (64, 128)
    flags = ("-m", "256m", "--memory-swap", "300m", "--pids-limit", "9", "--cpus", "0.5")
    assert program.run("update", *flags, "kept").stdout == "kept\n"
    assert memory(pid) == (256, 300)
    assert in_force(pid, "pids", "pids.max") == "9"
    assert in_force(pid, "cpu", "cpu.cfs_quota_us") == "50000"
    program.run("update", "-m", "32m", "--memory-swap", "40m", "kept")
    assert memory(pid) == (32, 40)
    program.run("update", "-m", "36m", "kept")
    assert memory(pid) == (36, 40)
    program.run("update", "--pids-limit", "-1", "kept")
    assert in_force(pid, "pids", "pids.max") == "max"
    found = program.run("inspect", "-f", FORM, "kept").stdout
    assert found == f"{36 * MEBIBYTE} {40 * MEBIBYTE} -1\n"


def test_limits_of_one_that_does_not_run_count_from_its_start(program: Tierce) -> None:
    words = ("create", "--name", "kept", "--network", "none", "-m", "64m", BASE, "sleep", "1000")
    program.run(*words)
    program.run("update", "-m", "48m", "kept")
    program.run("start", "kept")
    pid = int(program.run("inspect", "-f", "{{.State.Pid}}", "kept").stdout)
    assert memory(pid) == (48, 128)


def test_limits_of_one_in_the_foreground_stay_when_it_has_ended(program: Tierce) -> None:
    words = ("run", "--name", "front", "--network", "none", "-m", "64m", BASE, "sh", "-c", KEEP)
    with program.running(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        pid = int(program.run("inspect", "-f", "{{.State.Pid}}", "front").stdout)
        program.run("update", "-m", "48m", "front")
        assert memory(pid) == (48, 128)
        program.run("stop", "front")
        process.communicate()
    found = program.run("inspect", "-f", FORM, "front").stdout
    assert found.startswith(f"{48 * MEBIBYTE} {128 * MEBIBYTE} ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-m", "1g"), "Memory limit should be smaller than already set memoryswap limit"),
        (("-m", "4m"), "Minimum memory limit allowed is 6MB"),
        (("--memory-swap", "8m"), "Minimum memoryswap limit should be larger than memory limit"),
        (("--cpu-quota", "5000"), "CPU Quota cannot be updated as NanoCPUs has already been set"),
        (("--cpuset-cpus", "4095"), "Requested CPUs are not available"),
    ],
)
def test_what_is_refused_changes_nothing(
    program: Tierce, flags: tuple[str, ...], message: str
) -> None:
    pid = start(program, "-m", "64m", "--cpus", "0.5")
    assert message in program.run("update", *flags, "kept", status=1).stderr
    assert memory(pid) == (64, 128)
    found = program.run("inspect", "-f", FORM, "kept").stdout
    assert found.startswith(f"{64 * MEBIBYTE} {128 * MEBIBYTE} ")


def test_calls_that_mean_nothing(program: Tierce) -> None:
    refused = program.run("update", "kept", status=2).stderr
    assert "you must provide one or more flags when using this command" in refused
    refused = program.run("update", "--restart", "always", "kept", status=2).stderr
    assert "restart policy always: not supported" in refused
    refused = program.run("update", "-m", "64m", "nobody", status=1).stderr
    assert "no such container: nobody" in refused.lower()
