"""A step sees and may do no more than in a container of docker."""

import os
import threading
from pathlib import Path

import pytest

from tierce.runtime import capabilities
from unit.runtime.conftest import Steps


def test_process_is_alone_with_its_children(steps: Steps) -> None:
    assert steps.shell("echo $$; ls -d /proc/[0-9]* | wc -l").split()[0] == "1"
    assert int(steps.output[1].split()[1]) <= 3


def test_mounts_of_the_host_are_not_visible(steps: Steps, tmp_path: Path) -> None:
    table = steps.shell("cat /proc/self/mountinfo")
    targets = [line.split()[4] for line in table.splitlines()]
    assert "/" in targets
    assert not [target for target in targets if target.startswith(os.fspath(tmp_path.parent))]


@pytest.mark.parametrize("path", ["/proc/sys/kernel/panic", "/sys/x"])
def test_kernel_settings_are_read_only(steps: Steps, path: str) -> None:
    assert steps.run("sh", "-c", f"echo 0 > {path}") != 0
    assert b"Read-only file system" in steps.output[2]


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/timer_list", "/proc/keys"])
def test_secrets_of_the_kernel_are_masked(steps: Steps, path: str) -> None:
    assert steps.shell(f"test ! -e {path} || head -c 1 {path}") == ""


def test_root_has_dockers_capabilities_and_no_more(steps: Steps) -> None:
    fields = dict(
        line.split(":\t") for line in steps.shell("grep Cap /proc/self/status").splitlines()
    )
    expected = sum(1 << capabilities.ALL.index(name) for name in capabilities.DEFAULT)
    for field in ("CapBnd", "CapEff", "CapPrm"):
        assert int(fields[field], 16) & ~expected == 0
    for field in ("CapInh", "CapAmb"):
        assert int(fields[field], 16) == 0


def test_other_users_have_no_capabilities(steps: Steps) -> None:
    assert steps.shell("grep CapEff /proc/self/status", user="app").split()[1] == "0" * 16


@pytest.mark.parametrize(
    "command",
    ["mount -t tmpfs none /tmp", "unshare -m true", "unshare -r true", "swapoff -a", "dmesg -c"],
)
def test_privileged_calls_are_refused(steps: Steps, command: str) -> None:
    assert steps.run("sh", "-c", f"{command} </dev/null") != 0 or steps.output[2]
    assert steps.shell("grep Seccomp: /proc/self/status").split() == ["Seccomp:", "2"]


def test_device_nodes_can_be_made_but_not_opened(steps: Steps) -> None:
    assert steps.run("sh", "-c", "mknod /tmp/disk b 254 0 && cat /tmp/disk") != 0
    assert b"Operation not permitted" in steps.output[2]
    assert steps.run("sh", "-c", "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem") != 0
    assert b"Operation not permitted" in steps.output[2]


def test_standard_devices_work(steps: Steps) -> None:
    assert steps.shell("head -c 2 /dev/zero | wc -c; head -c 2 /dev/urandom | wc -c") == "2\n2\n"
    assert "/dev/shm" in steps.shell("echo x > /dev/null; df /dev/shm")


def test_network_none_has_only_loopback(steps: Steps) -> None:
    assert steps.shell("ls /sys/class/net", network="none").split() == ["lo"]
    assert steps.shell("ping -c 1 -W 1 127.0.0.1 >/dev/null && echo up", network="none") == "up\n"


def test_network_default_is_the_hosts(steps: Steps) -> None:
    own = os.readlink("/proc/self/ns/net")
    assert steps.shell("readlink /proc/self/ns/net").strip() == own
    assert steps.shell("readlink /proc/self/ns/net", network="none").strip() != own


def test_host_name_is_buildkits(steps: Steps) -> None:
    assert steps.shell("hostname; cat /etc/hosts", hosts=(("db", "10.0.0.2"),)).splitlines() == [
        "buildkitsandbox",
        "127.0.0.1\tlocalhost buildkitsandbox",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.0.0.2\tdb",
    ]


def test_environment_is_only_what_was_given(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "1")
    assert set(steps.shell("env", env=("PATH=/bin", "A=b")).split()) <= {
        *("PATH=/bin", "A=b", "HOME=/root", "PWD=/", "SHLVL=1", "container=oci"),
    }


def test_no_descriptors_of_the_caller_are_open(steps: Steps) -> None:
    with open("/etc/passwd"):
        inherited = os.dup(0)
        os.set_inheritable(inherited, True)
        try:
            listed = steps.shell("ls /proc/self/fd").split()
        finally:
            os.close(inherited)
    assert set(listed) <= {"0", "1", "2", "3"}  # 3 is the listed directory


def test_steps_do_not_see_each_other(steps: Steps, busybox: Path, tmp_path: Path) -> None:
    other_directory = tmp_path / "other"
    other_directory.mkdir()
    other = Steps(steps.runner, busybox, other_directory)
    started, cancel = threading.Event(), threading.Event()

    def watch(stream: int, data: bytes) -> None:
        started.set()

    def sleeper() -> None:
        with pytest.raises(Exception, match="cancelled"):
            other.run("sh", "-c", "echo; exec sleep 86399", cancel=cancel, log=watch)

    thread = threading.Thread(target=sleeper)
    thread.start()
    started.wait()
    try:
        assert "86399" not in steps.shell("cat /proc/[0-9]*/cmdline")
        assert steps.shell("grep -c overlay /proc/self/mountinfo") == "1\n"
    finally:
        cancel.set()
        thread.join()
