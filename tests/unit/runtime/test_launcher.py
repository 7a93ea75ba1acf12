"""The launcher's namespaces: private while it lives, gone however it ends."""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.errors import RuntimeUnavailable
from tierce.linux import cgroups, mounts, namespaces, procfs
from tierce.runtime import launcher as launcher_module
from tierce.runtime.bundle import DEVICE_RULES
from tierce.runtime.launcher import Launcher, sweep

HAS_DEVICE_CGROUP = any("devices" in mount.controllers for mount in cgroups.detect().mounts)

KILLED = """
import os, sys
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import DEVICE_RULES
from tierce.runtime.launcher import Launcher
from tierce.runtime.root import ContainerRoot

launcher = Launcher(sys.argv[1], DEVICE_RULES)
root = ContainerRoot(launcher.mount_points, "1")
null = os.open(os.devnull, os.O_RDWR)

def work():
    root.mount([MountSpec("tmpfs", "tmpfs", "")])
    return launcher.spawn(
        ["sh", "-c", "trap '' TERM; sleep 86399 & sleep 86399; true"],
        program="/bin/sh", environment=dict(os.environ), stdin=null, stdout=null, stderr=null,
    )

pid = launcher.call(work)
print(pid, launcher._init, launcher.name, flush=True)
os.read(0, 1)
"""


@pytest.fixture
def directory(tmp_path: Path) -> str:
    path = tmp_path / "bundles"
    path.mkdir()
    return os.fspath(path)


@pytest.fixture
def launcher(directory: str) -> Iterator[Launcher]:
    with Launcher(directory) as launcher:
        yield launcher


def groups_named(name: str) -> list[str]:
    return [
        path
        for mount in cgroups.detect().mounts
        for path, names, _ in os.walk(mount.path)
        if os.path.basename(path).startswith(f"tierce-{name}")
    ]


def test_mounts_are_not_seen_by_other_threads(launcher: Launcher) -> None:
    before = mounts.mount_table()
    launcher.call(lambda: mounts.mount("tmpfs", launcher.mount_points, "tmpfs"))
    assert mounts.mount_table() == before


def test_exceptions_reach_the_caller_and_the_launcher_goes_on(launcher: Launcher) -> None:
    def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        launcher.call(fail)
    assert launcher.call(lambda: 42) == 42


def test_close_kills_what_runs_and_removes_the_directory(directory: str) -> None:
    launcher = Launcher(directory, DEVICE_RULES)
    null = os.open(os.devnull, os.O_RDWR)
    pid = launcher.call(
        lambda: launcher.spawn(
            ["sleep", "86399"],
            program="/bin/sleep",
            environment={},
            stdin=null,
            stdout=null,
            stderr=null,
        )
    )
    os.close(null)
    launcher.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert os.listdir(directory) == []
    assert groups_named(launcher.name) == []
    launcher.close()


@pytest.mark.skipif(not HAS_DEVICE_CGROUP, reason="no device controller of version 1")
def test_only_the_launcher_is_in_its_cgroup(directory: str) -> None:
    own = cgroups.own_paths()
    with Launcher(directory, DEVICE_RULES) as launcher:
        assert launcher.call(lambda: 1) == 1
        assert launcher.in_cgroup
        with pytest.raises(PermissionError):
            launcher.call(lambda: os.open("/dev/kmsg", os.O_RDONLY))
        os.close(os.open("/dev/kmsg", os.O_RDONLY))
        assert cgroups.own_paths() == own


def test_failure_to_make_namespaces_is_told_at_each_call(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(flags: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(namespaces, "unshare", refuse)
    with Launcher(directory) as launcher:
        for _ in range(2):
            with pytest.raises(RuntimeUnavailable, match="private namespaces") as raised:
                launcher.call(lambda: 1)
            assert "CAP_SYS_ADMIN" in raised.value.hint
    assert os.listdir(directory) == []


def test_failure_to_mount_proc_is_told_in_mounts_words(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_module, "_INIT", "echo mount: not possible >&2; exit 1")
    with Launcher(directory) as launcher, pytest.raises(RuntimeUnavailable, match="not possible"):
        launcher.call(lambda: 1)


@pytest.mark.parametrize("can_be_mounted_from_outside", [True, False])
def test_what_is_started_sees_its_own_processes_in_proc(
    directory: str, monkeypatch: pytest.MonkeyPatch, can_be_mounted_from_outside: bool
) -> None:
    if not can_be_mounted_from_outside:

        def refuse(namespace: str, target: str) -> None:
            raise OSError(errno.EINVAL, "Invalid argument", target)

        monkeypatch.setattr(procfs, "mount_proc", refuse)
    reader, writer = os.pipe()
    with Launcher(directory) as launcher, open(reader, encoding="utf-8") as output:
        pid = launcher.call(
            lambda: launcher.spawn(
                ["sh", "-c", "readlink /proc/self; cat /proc/1/comm; echo /proc/[0-9]*"],
                program="/bin/sh",
                environment=dict(os.environ),
                stdin=output.fileno(),
                stdout=writer,
                stderr=writer,
            )
        )
        os.close(writer)
        own, first, listed = output.read().splitlines()
        assert launcher.reap(pid) == 0
        assert first == "sh"
        assert 1 < int(own) < 100
        assert 2 <= len(listed.split()) < 20
    assert os.path.exists(f"/proc/{os.getpid()}"), "the /proc of everybody else is as it was"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_process_leaves_nothing_running_and_the_next_one_sweeps(
    directory: str, number: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as victim:
        assert victim.stdout is not None
        pid, init, name = victim.stdout.readline().split()
        descriptors = [os.pidfd_open(int(pid)), os.pidfd_open(int(init))]
        sweep(directory)
        assert os.listdir(directory) == [name], "a living launcher was swept"
        victim.send_signal(number)
        victim.wait()
    for descriptor in descriptors:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(10_000), "still running"
        os.close(descriptor)
    sweep(directory)
    assert os.listdir(directory) == []
    assert groups_named(name) == []


def test_sweep_takes_only_what_is_no_longer_locked(directory: str, launcher: Launcher) -> None:
    (Path(directory) / "0123456789ab/state/7").mkdir(parents=True)
    (Path(directory) / "0123456789ab/state/7/status").touch()
    (Path(directory) / "0123456789ab/mounts/root").mkdir(parents=True)
    (Path(directory) / "stray").touch()
    sweep(directory)
    assert sorted(os.listdir(directory)) == sorted([launcher.name, "stray"])


def test_names_are_unique(launcher: Launcher) -> None:
    assert launcher.next_name() != launcher.next_name()
