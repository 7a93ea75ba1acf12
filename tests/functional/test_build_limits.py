"""`tierce build` with limits: they hold, hitting one is said, and none changes the result."""

import json
from pathlib import Path

import pytest

from support.program import Tierce, write_context
from tierce.linux import cgroups

SETUP = cgroups.detect()
LEGACY = SETUP.mode in {"legacy", "hybrid"}


def test_step_beyond_its_memory_fails_and_says_what_the_limit_was(
    shared: Tierce, tmp_path: Path
) -> None:
    context = write_context(
        tmp_path / "context",
        "FROM golden-base\nRUN true\nRUN dd if=/dev/zero of=/dev/null bs=300M count=1\n",
    )
    said = shared.build(context, "--memory", "64m", status=1).stderr
    assert "exit code: 137: cannot allocate memory: the step ran out of memory" in said
    assert "its limit is 64 MiB" in said
    assert "--memory" in said
    shared.build(context, "--memory", "512m")


@pytest.mark.skipif(not LEGACY, reason="files of version 1")
def test_limits_are_seen_inside(shared: Tierce, tmp_path: Path) -> None:
    script = (
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us"
        " /sys/fs/cgroup/cpu/cpu.cfs_period_us /sys/fs/cgroup/cpu/cpu.shares;"
        " ulimit -Sn; ulimit -Hn; grep Cpus_allowed_list /proc/self/status;"
        " df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2"
    )
    context = write_context(tmp_path / "context", f"FROM golden-base\nRUN ({script}) > /out\n")
    shared.build(
        *(context, "-t", "limited", "-m", "96m", "--memory-swap", "128m", "-c", "300"),
        *("--cpu-period", "50000", "--cpu-quota", "20000", "--cpuset-cpus", "0"),
        *("--cpuset-mems", "0", "--ulimit", "nofile=90:100", "--shm-size", "2m"),
    )
    found = shared.output("limited", "cat", "/out").split()
    assert found == [
        *(str(96 << 20), "20000", "50000", "300", "90", "100"),
        *("Cpus_allowed_list:", "0", "2048"),
    ]
    shared.build(context, "-t", "limited", "--no-cache", "--cpus", "0.5", "--resource",
                 "memory=32m")  # fmt: skip
    assert shared.output("limited", "cat", "/out").split()[:3] == [
        str(32 << 20), "50000", "100000"
    ]  # fmt: skip


def test_limits_have_no_part_in_the_cache(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context", "FROM golden-base\nRUN cat /proc/sys/kernel/random/uuid > /id\n"
    )
    first = shared.image_id(context, "-m", "64m", "--ulimit", "nofile=100")
    assert shared.image_id(context) == first
    assert shared.image_id(context, "-m", "128m", "--shm-size", "1m") == first
    assert json.loads(shared.run("inspect", first).stdout)[0]["Config"]["Env"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-m", "5m"), "Minimum memory limit allowed is 6MB"),
        (("-m", "64m", "--memory-swap", "32m"), "Minimum memoryswap limit should be larger"),
        (("--memory-swap", "32m"), "You should always set the Memory limit"),
        (("-m", "lots"), 'invalid argument "lots" for "-m, --memory" flag'),
        (("--cpuset-cpus", "4095"), "Requested CPUs are not available - requested 4095"),
        (("--cpuset-cpus", "x"), "Invalid value x for cpuset cpus"),
        (("--cpu-quota", "10"), "CPU cfs quota can not be less than 1ms"),
        (("--cpu-period", "10"), "CPU cfs period can not be less than 1ms"),
        (("--ulimit", "nofile=9:1"), "ulimit soft limit must be less than or equal to hard limit"),
        (("--ulimit", "files=1"), "invalid ulimit type: files"),
        (("--isolation", "hyperv"), "invalid isolation 'hyperv' on linux"),
        (("--resource", "disk=1"), 'unknown resource "disk"'),
        (("--cgroup-parent", "../x"), "invalid cgroup parent"),
    ],
)
def test_limits_that_cannot_be(
    shared: Tierce, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nRUN true\n")
    assert message in shared.build(context, *flags, status=2).stderr


def test_default_isolation_is_taken(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nRUN true\n")
    shared.build(context, "--isolation", "default")


@pytest.mark.skipif(not LEGACY, reason="hierarchies of version 1")
def test_parent_of_groups(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context", "FROM golden-base\nRUN cat /proc/self/cgroup > /out\n"
    )
    shared.build(context, "-t", "grouped", "--cgroup-parent", "/tierce-functional/builds")
    assert ":/tierce-functional/builds/tierce-" in shared.output("grouped", "cat", "/out")
    assert not [
        mount.path for mount in SETUP.mounts if Path(mount.path, "tierce-functional").exists()
    ]


def test_limit_of_the_machine_that_is_exceeded_is_told(shared: Tierce, tmp_path: Path) -> None:
    """Raising a hard limit takes CAP_SYS_RESOURCE, and a kernel has a largest number of files."""
    context = write_context(tmp_path / "context", "FROM golden-base\nRUN true\n")
    said = shared.build(context, "--no-cache", "--ulimit", "nofile=999999999999", status=1).stderr
    assert "did not complete successfully" in said
    assert "NOFILE" in said
