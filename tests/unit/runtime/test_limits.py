"""Limits of a step: that they hold, that it is said when they are hit, and that none are left."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tierce.errors import ContainerError
from tierce.linux import cgroups
from tierce.linux.resources import Resources
from tierce.runtime import groups
from unit.runtime.conftest import Steps

SETUP = cgroups.detect()
HAS_MEMORY = any("memory" in mount.controllers for mount in SETUP.mounts) or (
    "memory" in SETUP.unified_controllers
)
pytestmark = pytest.mark.skipif(not HAS_MEMORY, reason="no memory controller")

MEBIBYTE = 1 << 20
ALLOCATE = "dd if=/dev/zero of=/dev/null bs={}M count=1"

KILLED = """
import os, sys, threading
from tierce.linux.mounts import MountSpec
from tierce.linux.resources import Resources
from tierce.runtime import probe
from tierce.runtime.bundle import ProcessSpec
from tierce.runtime.steps import StepRunner, StepSpec

bundles, lower, name = sys.argv[1:]
runtime = probe._try(name, probe._programs(os.environ["PATH"])[name], bundles)
with StepRunner(bundles, runtime) as runner:
    print(runner._launcher.name, flush=True)
    runner.run(
        StepSpec(
            (MountSpec("bind", lower, "", ("rbind",)),),
            ProcessSpec(("sh", "-c", "echo running; sleep 86399"), ("PATH=/bin",)),
            resources=Resources(memory=64 << 20), cgroup_parent="/tierce-test-parent/inner",
        ),
        log=lambda stream, data: os.write(1, data), cancel=threading.Event(),
    )
"""


def left_of(name: str) -> list[str]:
    """Groups of a launcher, in any hierarchy, and of parents made for it."""
    return [
        path
        for mount in cgroups.detect().mounts
        for path, _, _ in os.walk(mount.path)
        if f"tierce-{name}" in path or "tierce-test-parent" in path
    ]


def limited(**limits: Any) -> dict[str, Any]:
    return {"resources": Resources(**limits)}


def test_step_beyond_its_memory_is_killed_and_says_so(steps: Steps) -> None:
    limits = limited(memory=32 * MEBIBYTE)
    assert steps.run("sh", "-c", ALLOCATE.format(200), **limits) == 137
    assert steps.end.out_of_memory


def test_step_whose_child_is_killed_says_so_whatever_its_own_status(steps: Steps) -> None:
    limits = limited(memory=32 * MEBIBYTE)
    script = f"{ALLOCATE.format(200)} || exit 3"
    assert steps.run("sh", "-c", script, **limits) == 3
    if steps.runner._engine.shares_cgroup:
        assert steps.end.out_of_memory


def test_step_within_its_memory_runs(steps: Steps) -> None:
    assert steps.run("sh", "-c", ALLOCATE.format(8), **limited(memory=64 * MEBIBYTE)) == 0
    assert not steps.end.out_of_memory


def test_failure_for_another_reason_is_not_for_lack_of_memory(steps: Steps) -> None:
    limits = limited(memory=64 * MEBIBYTE)
    assert steps.run("sh", "-c", "sh -c 'kill -9 $$'; exit $?", **limits) == 137
    assert not steps.end.out_of_memory


def test_processors(steps: Steps) -> None:
    found = steps.shell("grep Cpus_allowed_list /proc/self/status", **limited(cpuset_cpus="0"))
    assert found.split() == ["Cpus_allowed_list:", "0"]


@pytest.mark.skipif(SETUP.mode == "unified", reason="files of version 1")
def test_quota_period_and_shares_are_in_the_files(steps: Steps) -> None:
    limits = limited(cpu_quota=20_000, cpu_period=50_000, cpu_shares=512)
    script = "cd /sys/fs/cgroup/cpu && cat cpu.cfs_quota_us cpu.cfs_period_us cpu.shares"
    assert steps.shell(script, **limits).split() == ["20000", "50000", "512"]


def test_size_of_shared_memory(steps: Steps) -> None:
    found = steps.shell("df -k /dev/shm | tail -n 1", shm_size=3 * MEBIBYTE)
    assert found.split()[1] == "3072"


def test_ulimits(steps: Steps) -> None:
    found = steps.shell("ulimit -Sn; ulimit -Hn; ulimit -c", ulimits=(
        ("nofile", 100, 200), ("core", 0, 0),
    ))  # fmt: skip
    assert found.split() == ["100", "200", "0"]


@pytest.mark.skipif(SETUP.mode == "unified", reason="files of version 1")
def test_limited_and_other_steps_alternate(steps: Steps) -> None:
    """The launcher leaves the groups again that it enters for one of them."""
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    plain = steps.shell(script)
    assert steps.shell(script, **limited(memory=64 * MEBIBYTE)) == f"{64 * MEBIBYTE}\n"
    assert steps.shell(script) == plain


@pytest.mark.skipif(SETUP.mode == "unified", reason="hierarchies of version 1")
def test_groups_are_made_below_a_parent_and_removed_with_it(steps: Steps) -> None:
    found = steps.shell("cat /proc/self/cgroup", cgroup_parent="/tierce-test-parent/inner")
    paths = {line.split(":")[1]: line.split(":")[2] for line in found.splitlines()}
    for mount in SETUP.mounts:
        if mount.version == 1:
            assert paths[",".join(mount.controllers)].startswith("/tierce-test-parent/inner/")
    # Device rules hold there, too.
    assert steps.run("sh", "-c", "mknod /d c 1 1 && cat /d", cgroup_parent="/tierce-test-parent")
    assert not [path for path in left_of("none") if "tierce-test-parent" in path]


def test_no_group_is_left(steps: Steps) -> None:
    steps.run("sh", "-c", ALLOCATE.format(200), **limited(memory=32 * MEBIBYTE, cpuset_cpus="0"))
    launcher = steps.runner._launcher
    assert not [
        path for path in left_of(f"{launcher.name}-") if path not in launcher._removed_later
    ]


def test_impossible_limit_is_an_error_that_names_the_file(steps: Steps) -> None:
    with pytest.raises(ContainerError, match=r"may use: .*cpuset\.cpus"):
        steps.run("true", **limited(cpuset_cpus="4095"))


def test_missing_controller_is_an_error(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = steps.runner._launcher
    launcher.call(lambda: None)
    without = [mount for mount in launcher.setup.mounts if "cpu" not in mount.controllers]
    monkeypatch.setattr(launcher, "setup", cgroups.CgroupSetup("legacy", tuple(without)))
    with pytest.raises(ContainerError, match="limit cpu: this machine has no cgroup controller"):
        steps.run("true", **limited(cpu_shares=100))


def test_killed_process_leaves_groups_that_the_next_one_sweeps(
    steps: Steps, busybox: Path, tmp_path: Path
) -> None:
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    lower = tmp_path / "lower"
    subprocess.run(["cp", "-a", busybox, lower], check=True)
    arguments = [str(bundles), str(lower), steps.runner._engine.runtime.name]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        name = victim.stdout.readline().strip()
        assert victim.stdout.readline() == "running\n"
        assert left_of(name)
        init = os.pidfd_open(victim.pid)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    poll = select.poll()
    poll.register(init, select.POLLIN)
    assert poll.poll(10_000)
    os.close(init)
    from tierce.runtime.launcher import sweep

    sweep(str(bundles))
    assert os.listdir(bundles) == []
    assert left_of(name) == []


def test_groups_of_version_2_get_controllers_from_above(tmp_path: Path) -> None:
    """On files that look like version 2, as this machine may not have it."""
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    groups._delegate(str(tmp_path), ["cpu"])
    assert (tmp_path / "cgroup.subtree_control").read_text() == "cpu\n"
    groups._delegate(str(tmp_path), ["cpu", "memory"])
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"


class UnifiedLauncher:
    """What groups ask of a launcher, on a machine with version 2 alone: a directory of files."""

    def __init__(self, root: Path) -> None:
        (root / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
        (root / "cgroup.subtree_control").write_text("\n")
        self.setup = cgroups.CgroupSetup("unified", (cgroups.CgroupMount(2, str(root), "/"),))
        self.parents: dict[tuple[str, ...], str] = {}
        self.group = cgroups.Cgroup(())
        self.noted: list[str] = []

    def cgroup_for(self, name: str) -> str:
        return f"/tierce-fake-{name}"

    def note_groups(self, *directories: str) -> None:
        self.noted += directories


def test_limits_in_version_2_are_on_a_group_around_that_of_the_runtime(tmp_path: Path) -> None:
    launcher = UnifiedLauncher(tmp_path)
    group = tmp_path / "builds/tierce-fake-1"
    group.mkdir(parents=True)
    (tmp_path / "builds/cgroup.subtree_control").write_text("\n")
    for name in ("memory.max", "memory.swap.max", "cpu.max"):
        (group / name).touch()
    limits = Resources(memory=64 * MEBIBYTE, cpu_quota=50_000)
    made = groups.ContainerGroups(
        launcher,  # type: ignore[arg-type]
        "1",
        groups.GroupSpec(limits, "/builds"),
        shared=False,
    )
    assert made.path == "/builds/tierce-fake-1/container"
    made.make(())
    assert (group / "memory.max").read_text() == str(64 * MEBIBYTE)
    assert (group / "memory.swap.max").read_text() == str(64 * MEBIBYTE)
    assert (group / "cpu.max").read_text() == "50000 100000"
    for directory in (tmp_path, tmp_path / "builds"):
        assert "+" in (directory / "cgroup.subtree_control").read_text()
    (group / "memory.events").write_text("oom 1\noom_kill 0\n")
    assert not made.out_of_memory(137)
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert made.out_of_memory(1)


def test_controller_that_version_2_does_not_have_is_an_error(tmp_path: Path) -> None:
    launcher = UnifiedLauncher(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("pids\n")
    (tmp_path / "tierce-fake-1").mkdir()
    limits = groups.GroupSpec(Resources(memory=64 * MEBIBYTE))
    made = groups.ContainerGroups(launcher, "1", limits, shared=False)  # type: ignore[arg-type]
    with pytest.raises(ContainerError, match="limit memory: this machine has no cgroup controller"):
        made.make(())


def test_group_that_delegates_nothing_is_an_error_that_names_it(tmp_path: Path) -> None:
    launcher = UnifiedLauncher(tmp_path)
    (tmp_path / "cgroup.subtree_control").unlink()
    limits = groups.GroupSpec(Resources(memory=64 * MEBIBYTE))
    made = groups.ContainerGroups(launcher, "1", limits, shared=False)  # type: ignore[arg-type]
    with pytest.raises(ContainerError, match=r"use: No such file.*cgroup\.subtree_control"):
        made.make(())
