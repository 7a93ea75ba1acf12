"""What a container may do and use: the flags of docker, in the foreground and in the background."""

import json
import os
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, Outcome, Tierce, write_context
from tierce.linux import cgroups, support
from tierce.linux.process import CAPABILITIES, bounding_capabilities
from tierce.runtime import capabilities
from tierce.store import Store

SETUP = cgroups.detect()
LEGACY = SETUP.mode in {"legacy", "hybrid"}
HAVE = bounding_capabilities()
KINDS = ("foreground", "background")
legacy = pytest.mark.skipif(not LEGACY, reason="files of version 1")


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", identifier)
    with Store.open(shared.root) as store:
        left = [path.name for path in Path(store.paths.detached).iterdir()]
    groups = [
        path for mount in SETUP.mounts for name in left for path in Path(mount.path).rglob(name)
    ]
    assert (left, groups) == ([], [])


def outcome(program: Tierce, kind: str, *words: str, status: int = 0) -> Outcome:
    """What a container ends with, writes, and what is said at its start."""
    if kind == "foreground":
        return program.run("run", "--rm", "--network", "none", *words, status=status)
    begun = program.run("run", "-d", "--network", "none", *words)
    identifier = begun.stdout.strip()
    assert program.run("wait", identifier).stdout == f"{status}\n"
    logs = program.run("logs", identifier)
    program.run("rm", identifier)
    return Outcome(status, logs.stdout, begun.stderr + logs.stderr)


def said(program: Tierce, kind: str, *words: str) -> str:
    return outcome(program, kind, *words).stdout


def host_config(program: Tierce, *flags: str) -> dict[str, object]:
    identifier = program.run("create", "--network", "none", *flags, BASE, "true").stdout.strip()
    [document] = json.loads(program.run("inspect", identifier).stdout)
    return dict(document["HostConfig"])


# Capabilities


def effective(text: str) -> set[str]:
    bits = int(text.split()[-1], 16)
    return {f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if bits >> number & 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), set(capabilities.DEFAULT)),
        (("--cap-add", "net_admin"), {*capabilities.DEFAULT, "CAP_NET_ADMIN"}),
        (("--cap-add", "CAP_NET_ADMIN", "--cap-drop", "chown"),
         {*capabilities.DEFAULT, "CAP_NET_ADMIN"} - {"CAP_CHOWN"}),
        (("--cap-drop", "all"), set()),
        (("--cap-drop", "ALL", "--cap-add", "KILL"), {"CAP_KILL"}),
        (("--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"),
         set(capabilities.ALL) - {"CAP_SYS_ADMIN"}),
        (("--privileged",), set(capabilities.ALL)),
        (("--privileged", "--cap-drop", "ALL"), set(capabilities.ALL)),
    ],
)  # fmt: skip
def test_capabilities(
    program: Tierce, kind: str, flags: tuple[str, ...], expected: set[str]
) -> None:
    found = said(program, kind, *flags, BASE, "grep", "CapEff", "/proc/self/status")
    assert effective(found) == expected & HAVE


@pytest.mark.skipif("CAP_SYS_RESOURCE" in HAVE, reason="nothing is missing here")
@pytest.mark.parametrize("flags", [("--privileged",), ("--cap-add", "SYS_RESOURCE")])
def test_what_the_machine_does_not_give_is_said_in_one_line(
    program: Tierce, flags: tuple[str, ...]
) -> None:
    for kind in KINDS:
        found = outcome(program, kind, *flags, BASE, "true").stderr
        assert found == (
            "WARNING: This machine does not give CAP_SYS_RESOURCE to tierce: the container does "
            "without.\n"
        )


def test_unknown_capability_is_refused(program: Tierce) -> None:
    refused = program.run("run", "--cap-add", "FLY", BASE, "true", status=125).stderr
    assert 'invalid CapAdd: unknown capability: "CAP_FLY"' in refused


# Security options


@pytest.mark.parametrize("kind", KINDS)
def test_security_options(program: Tierce, kind: str) -> None:
    script = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; grep -c ' /proc/sys ' /proc/mounts"
    status = ("sh", "-c", script)
    found = outcome(program, kind, BASE, *status, status=0).stdout.split()
    assert found == ["NoNewPrivs:", "0", "Seccomp:", "2", "1"]
    flags = ["no-new-privileges", "seccomp=unconfined", "systempaths=unconfined", "label=disable"]
    words = [word for flag in flags for word in ("--security-opt", flag)]
    found = outcome(program, kind, *words, BASE, *status, status=1).stdout.split()
    assert found == ["NoNewPrivs:", "1", "Seccomp:", "0", "0"]
    flag = "no-new-privileges:false"
    found = said(program, kind, "--security-opt", flag, BASE, *status).split()
    assert found[:2] == ["NoNewPrivs:", "0"]


@pytest.mark.parametrize("kind", KINDS)
def test_seccomp_profile_of_a_file_with_conditions(
    program: Tierce, kind: str, tmp_path: Path
) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}],
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95,
             "excludes": {"caps": ["CAP_SYS_TIME"]}},
            {"name": "rmdir", "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "99.0"}},
        ],
    }  # fmt: skip
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    script = ("sh", "-c", "mkdir /made; true")
    option = ("--security-opt", f"seccomp={path}")
    refused = outcome(program, kind, *option, BASE, *script).stderr
    assert refused == "mkdir: can't create directory '/made': Operation not supported\n"
    assert outcome(program, kind, *option, "--cap-add", "SYS_TIME", BASE, *script).stderr == ""
    assert host_config(program, *option)["SecurityOpt"] == [
        f"seccomp={json.dumps(profile, separators=(',', ':'))}"
    ]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("flying=yes", 'invalid --security-opt 2: "flying=yes"'),
        ("seccomp", 'invalid --security-opt: "seccomp"'),
        ("seccomp=/not/there", "opening seccomp profile (/not/there) failed"),
        ("no-new-privileges:perhaps", "invalid --security-opt 2"),
        ("systempaths=some", "invalid --security-opt 2"),
        ("apparmor=mine", "AppArmor is not enabled on this machine"),
    ],
)
def test_security_options_that_cannot_be(program: Tierce, option: str, message: str) -> None:
    if option.startswith("apparmor") and os.path.isdir("/sys/kernel/security/apparmor"):
        pytest.skip("AppArmor is enabled")
    words = ("run", "--security-opt", option, BASE, "true")
    assert message in program.run(*words, status=125).stderr


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}',
                '{"syscalls": [{"name": "a", "names": ["b"]}]}', "[" * 100_000]
)  # fmt: skip
def test_seccomp_profile_that_is_none_is_refused(
    program: Tierce, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "profile.json"
    path.write_text(content)
    words = ("--network", "none", "--security-opt", f"seccomp={path}", BASE, "true")
    refused = program.run("run", *words, status=125).stderr
    assert "seccomp profile" in refused


# Devices


FUSE = pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no device to try it with")
"""One that opening needs no capability for."""


@FUSE
@pytest.mark.parametrize("kind", KINDS)
def test_device_can_be_opened_as_it_was_given(program: Tierce, kind: str) -> None:
    node = "mknod /again c 10 229"
    script = f"ls -l /dev/other | cut -c 1; : < /dev/other && echo read; {node}; : > /again"
    words = ("--device", "/dev/fuse:/dev/other:r", BASE, "sh", "-c", script)
    found = outcome(program, kind, *words, status=1)
    assert found.stdout == "c\nread\n"
    assert "can't create /again: Operation not permitted" in found.stderr
    words = ("--device", "/dev/fuse:rw", BASE, "sh", "-c", ": < /dev/fuse && : > /dev/fuse")
    outcome(program, kind, *words)


@FUSE
@pytest.mark.parametrize("kind", KINDS)
def test_rule_for_devices_opens_what_is_made_inside(program: Tierce, kind: str) -> None:
    script = ("sh", "-c", "mknod /node c 10 229 && : < /node")
    outcome(program, kind, BASE, *script, status=1)
    outcome(program, kind, "--device-cgroup-rule", "c 10:229 rw", BASE, *script)


def test_directory_of_devices(program: Tierce, tmp_path: Path) -> None:
    directory = tmp_path / "devices"
    (directory / "inner").mkdir(parents=True)
    os.mknod(directory / "one", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(directory / "inner" / "two", stat.S_IFCHR | 0o622, os.makedev(1, 5))
    (directory / "file").write_text("not a device")
    words = ("--device", f"{directory}:/dev/mine", BASE, "find", "/dev/mine", "-type", "c")
    for kind in KINDS:
        found = said(program, kind, *words).split()
        assert sorted(found) == ["/dev/mine/inner/two", "/dev/mine/one"]


def test_devices_of_the_host_come_with_all_privileges(program: Tierce) -> None:
    script = ("sh", "-c", "ls /dev | grep -cx -e kmsg -e loop-control; : < /dev/kmsg")
    there = sum(os.path.exists(f"/dev/{name}") for name in ("kmsg", "loop-control"))
    for kind in KINDS:
        assert said(program, kind, "--privileged", BASE, *script) == f"{there}\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--device", "/dev/nothing"), 'custom device "/dev/nothing": no such file or directory'),
        (("--device", "/etc/passwd"), 'custom device "/etc/passwd": not a device node'),
        (("--device", "/dev/null:/dev/x:q"), "bad mode specified: q"),
        (("--device", "dev/null"), "dev/null is not an absolute path"),
        (("--device", "/a:/b:r:w"), "bad format for path: /a:/b:r:w"),
        (("--device-cgroup-rule", "c 1 rwm"), "invalid device cgroup format 'c 1 rwm'"),
        (("--device-cgroup-rule", "x 1:3 rwm"), "invalid device cgroup format"),
        (("--device-read-bps", "/dev/null:1mb"), "limit device /dev/null: not a block device"),
        (("--device-read-bps", "/dev/null"), "bad format: /dev/null"),
        (("--device-read-iops", "/dev/null:x"), "invalid rate for device: /dev/null:x"),
        (("--device-read-bps", "/tmp/x:1"), "bad format for device path"),
        (("--blkio-weight-device", "/dev/null:9999"), "invalid weight for device"),
        (("--gpus", "all"), "--gpus: no runtime here adds GPUs"),
        (("--storage-opt", "size=1G"), "--storage-opt: the size"),
    ],
)
def test_devices_that_cannot_be(program: Tierce, flags: tuple[str, ...], message: str) -> None:
    assert message in program.run("run", *flags, BASE, "true", status=125).stderr


# Namespaces


@pytest.mark.parametrize("kind", KINDS)
def test_namespaces_of_the_host(program: Tierce, kind: str) -> None:
    for name in ("ipc", "uts"):
        own = os.readlink(f"/proc/self/ns/{name}")
        words = (BASE, "readlink", f"/proc/self/ns/{name}")
        assert said(program, kind, *words).strip() != own
        assert said(program, kind, f"--{name}", "host", *words).strip() == own


@pytest.mark.parametrize("kind", KINDS)
def test_processes_of_the_host(program: Tierce, kind: str) -> None:
    own = os.readlink("/proc/self/ns/pid")
    words = ("--pid", "host", BASE, "sh", "-c")
    found = said(program, kind, *words, f"readlink /proc/self/ns/pid; ls -d /proc/{os.getpid()}")
    assert found.split() == [own, f"/proc/{os.getpid()}"]


@pytest.mark.parametrize("kind", KINDS)
def test_namespaces_of_another_container(program: Tierce, kind: str) -> None:
    script = (
        "echo shared > /dev/shm/file; echo ready; trap 'exit 0' TERM; while :; do sleep 0.05; done"
    )
    words = ("--name", "donor", "--ipc", "shareable", BASE, "sh", "-c", script)
    program.run("run", "-d", "--network", "none", *words)
    with program.running("logs", "-f", "donor") as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "ready\n"
        following.kill()
    look = (
        "cat /dev/shm/file; tr '\\0' ' ' < /proc/1/cmdline | head -c 5; readlink /proc/self/ns/ipc"
    )
    joined = ("--pid", "container:donor", "--ipc", "container:donor")
    found = said(program, kind, *joined, BASE, "sh", "-c", look).splitlines()
    assert found[0] == "shared"
    assert found[1].startswith("sh -c")
    document = program.run("inspect", "-f", "{{.Id}} {{.State.Pid}}", "donor").stdout.split()
    assert found[1].endswith(os.readlink(f"/proc/{document[1]}/ns/ipc"))
    assert host_config(program, *joined)["PidMode"] == f"container:{document[0]}"


def test_containers_that_cannot_be_joined(program: Tierce) -> None:
    program.run("create", "--name", "stopped", "--network", "none", BASE, "true")
    words = ("--network", "none", BASE, "true")
    refused = program.run("run", "--pid", "container:stopped", *words, status=125).stderr
    assert "cannot join PID of a non running container" in refused
    refused = program.run("run", "--ipc", "container:nobody", *words, status=125).stderr
    assert "no such container: nobody" in refused.lower()
    keep = "echo ready; trap 'exit 0' TERM; while :; do sleep 0.05; done"
    program.run("run", "-d", "--name", "alone", "--network", "none", BASE, "sh", "-c", keep)
    refused = program.run("run", "--ipc", "container:alone", *words, status=125).stderr
    assert "non-shareable IPC" in refused


@pytest.mark.parametrize("kind", KINDS)
def test_no_shared_memory(program: Tierce, kind: str) -> None:
    outcome(program, kind, "--ipc", "none", BASE, "test", "!", "-e", "/dev/shm")


@legacy
def test_cgroup_namespace(program: Tierce) -> None:
    words = (BASE, "sh", "-c", "grep :pids: /proc/self/cgroup; readlink /proc/self/ns/cgroup")
    own = os.readlink("/proc/self/ns/cgroup")
    group, namespace = said(program, "background", "--cgroupns", "private", *words).split()
    assert group.endswith(":/")
    assert namespace != own
    group, namespace = said(program, "background", *words).split()
    assert "/tierce-" in group
    assert namespace == own


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--pid", "mine"), "--pid: invalid PID mode"),
        (("--ipc", "container:"), "--ipc: invalid IPC mode"),
        (("--uts", "private"), "--uts: invalid UTS mode"),
        (("--userns", "auto"), "--userns: invalid USER mode"),
        (("--cgroupns", "mine"), "--cgroupns: invalid CGROUP mode"),
        (("--uts", "host", "--hostname", "x"), "conflicting options: hostname and the UTS mode"),
        (("--sysctl", "kernel.panic=1"), "sysctl 'kernel.panic=1' is not allowed"),
        (("--sysctl", "net./../x=1"), "is not allowed"),
        (("--network", "host", "--sysctl", "net.ipv4.ip_forward=1"),
         'sysctl "net.ipv4.ip_forward" not allowed in host network namespace'),
        (("--runtime", "none"), "unknown or invalid runtime name: none"),
        (("--isolation", "hyperv"), "invalid isolation 'hyperv' on linux"),
    ],
)  # fmt: skip
def test_words_that_mean_nothing(program: Tierce, flags: tuple[str, ...], message: str) -> None:
    assert message in program.run("run", *flags, BASE, "true", status=125).stderr


@pytest.mark.parametrize("kind", KINDS)
def test_settings_of_the_kernel_and_groups(program: Tierce, kind: str) -> None:
    settings = ("--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=1000")
    groups = ("--group-add", "staff", "--group-add", "4711")
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; id -G"
    found = said(program, kind, *settings, *groups, BASE, "sh", "-c", script)
    assert found.split() == ["1", "1000", "0", "50", "4711"]
    keep = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
    program.run("run", "-d", "--name", "grouped", "--network", "none", *groups, BASE, *keep)
    assert program.run("exec", "grouped", "id", "-G").stdout.split() == ["0", "50", "4711"]
    program.run("rm", "-f", "grouped")
    flags = ("--group-add", "nobodys", BASE, "true")
    refused = program.run("run", "--network", "none", *flags, status=125).stderr
    assert "unable to find group nobodys" in refused


@pytest.mark.parametrize("kind", KINDS)
def test_root_that_is_read_only(program: Tierce, kind: str) -> None:
    words = ("--read-only", BASE, "sh", "-c", "echo x > /file")
    assert "Read-only file system" in outcome(program, kind, *words, status=1).stderr


# Limits


@legacy
@pytest.mark.parametrize("kind", KINDS)
def test_limits_are_those_that_were_asked_for(program: Tierce, kind: str) -> None:
    flags = [
        *("-m", "64m", "--memory-swap", "80m", "--memory-reservation", "32m"),
        *("--memory-swappiness", "7", "--oom-kill-disable", "--pids-limit", "9"),
        *("--cpus", "0.5", "-c", "300", "--cpuset-cpus", "0", "--cpuset-mems", "0"),
        *("--ulimit", "nofile=90:100", "--shm-size", "2m", "--oom-score-adj", "400"),
    ]
    files = [
        *("memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes"),
        *("memory/memory.soft_limit_in_bytes", "memory/memory.swappiness", "pids/pids.max"),
        *("cpu/cpu.cfs_quota_us", "cpu/cpu.shares"),
    ]
    script = (
        f"cat {' '.join(f'/sys/fs/cgroup/{name}' for name in files)} /proc/self/oom_score_adj; "
        "grep oom_kill_disable /sys/fs/cgroup/memory/memory.oom_control; ulimit -Sn; ulimit -Hn; "
        "grep Cpus_allowed_list /proc/self/status; grep -o size=2048k /proc/mounts"
    )
    found = said(program, kind, *flags, BASE, "sh", "-c", script).split()
    assert found == [
        *(str(size << 20) for size in (64, 80, 32)),
        *("7", "9", "50000", "300", "400", "oom_kill_disable", "1", "90", "100"),
        *("Cpus_allowed_list:", "0", "size=2048k"),
    ]


@legacy
@pytest.mark.parametrize("kind", KINDS)
def test_limits_of_a_disk(program: Tierce, kind: str) -> None:
    disks = [
        path.name
        for path in Path("/sys/block").iterdir()
        if Path(f"/dev/{path.name}").is_block_device()
    ]
    if not disks or not support.detect().has("blkio", "blkio.throttle.read_bps_device"):
        pytest.skip("no disk that can be limited")
    device = f"/dev/{disks[0]}"
    numbers = Path(f"/sys/block/{disks[0]}/dev").read_text().strip()
    flags = ("--device-read-bps", f"{device}:1mb", "--device-write-iops", f"{device}:70")
    names = ("blkio.throttle.read_bps_device", "blkio.throttle.write_iops_device")
    script = "cat " + " ".join(f"/sys/fs/cgroup/blkio/{name}" for name in names)
    found = said(program, kind, *flags, BASE, "sh", "-c", script)
    assert found.splitlines() == [f"{numbers} {1 << 20}", f"{numbers} 70"]


@pytest.mark.parametrize("kind", KINDS)
def test_container_without_memory_is_killed_and_says_so(program: Tierce, kind: str) -> None:
    words = ["-m", "32m", "--memory-swap", "32m", BASE, "dd", "if=/dev/zero", "of=/dev/null"]
    words += ["bs=200M", "count=1"]
    mode = ("-d",) if kind == "background" else ()
    status = 0 if mode else 137
    program.run("run", *mode, "--name", "greedy", "--network", "none", *words, status=status)
    assert program.run("wait", "greedy").stdout == "137\n"
    form = "{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}"
    assert program.run("inspect", "-f", form, "greedy").stdout == "true 137 exited\n"
    program.run("rm", "greedy")
    program.run("run", *mode, "--name", "modest", "--network", "none", "-m", "64m", BASE, "true")
    program.run("wait", "modest")
    assert program.run("inspect", "-f", form, "modest").stdout == "false 0 exited\n"


@pytest.mark.parametrize("kind", KINDS)
def test_more_processes_than_allowed_are_refused(program: Tierce, kind: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; wait"
    words = ("--pids-limit", "5", BASE, "sh", "-c", script)
    assert "can't fork" in outcome(program, kind, *words, status=2).stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-m", "5m"), "Minimum memory limit allowed is 6MB"),
        (("-m", "64m", "--memory-swap", "32m"), "Minimum memoryswap limit should be larger"),
        (("-m", "64m", "--memory-reservation", "65m"), "can not be less than memory reservation"),
        (("--memory-swappiness", "101"), "Valid memory swappiness range is 0-100"),
        (("--cpus", "4096"), "range of CPUs is from 0.01 to"),
        (("--cpus", "1", "--cpu-quota", "5000"), "Nano CPUs and CPU Quota cannot both be set"),
        (("--cpuset-cpus", "4095"), "Requested CPUs are not available - requested 4095"),
        (("--cpu-quota", "10"), "CPU cfs quota can not be less than 1ms"),
        (("--blkio-weight", "5"), "Range of blkio weight is from 10 to 1000"),
        (("--oom-score-adj", "1001"), "range for oom score adj is [-1000, 1000]"),
        (("--ulimit", "nofile=9:1"), "ulimit soft limit must be less than or equal to hard limit"),
        (("--cgroup-parent", "../x"), "invalid cgroup parent"),
        (("--cgroup-parent", "x\n/y"), "invalid cgroup parent"),
        (("--cpu-rt-runtime", "1000"), "does not support CPU real-time"),
    ],
)
def test_limits_that_cannot_be(program: Tierce, flags: tuple[str, ...], message: str) -> None:
    for verb, status in (("run", 125), ("create", 2)):
        assert message in program.run(verb, *flags, BASE, "true", status=status).stderr


@pytest.mark.skipif("CAP_SYS_RESOURCE" in HAVE, reason="all limits can be raised here")
def test_limits_beyond_our_own_are_refused_with_the_reason(program: Tierce) -> None:
    refused = program.run("run", "--ulimit", "nofile=-1", BASE, "true", status=125).stderr
    assert re.search("set ulimit nofile to unlimited: .*CAP_SYS_RESOURCE", refused)
    refused = program.run("run", "--oom-score-adj", "-999", BASE, "true", status=125).stderr
    assert re.search("set oom score adj to -999: .*CAP_SYS_RESOURCE", refused)


@pytest.mark.skipif(
    support.detect().has("blkio", "blkio.weight", "io.bfq.weight"), reason="weights are known"
)
def test_limit_that_the_kernel_does_not_know_is_warned_about(program: Tierce) -> None:
    for kind in KINDS:
        assert outcome(program, kind, "--blkio-weight", "300", BASE, "true").stderr == (
            "WARNING: Your kernel does not support Block I/O weight or the cgroup is not mounted. "
            "Weight discarded.\n"
        )
    warned = outcome(program, "foreground", "--kernel-memory", "8m", BASE, "true").stderr
    assert warned.startswith("Flag --kernel-memory has been deprecated")


@legacy
@pytest.mark.parametrize("kind", KINDS)
def test_parent_of_groups_is_gone_with_them(program: Tierce, kind: str) -> None:
    parent = f"tierce-rights-{os.getpid()}"
    words = ("--cgroup-parent", f"/{parent}/inner", BASE, "cat", "/proc/self/cgroup")
    assert f":/{parent}/inner/tierce-" in said(program, kind, *words)
    assert not [path for mount in SETUP.mounts if (path := Path(mount.path, parent)).exists()]


# The first process


@pytest.mark.parametrize("kind", KINDS)
def test_init_reaps_what_nobody_waits_for_and_passes_on_signals(program: Tierce, kind: str) -> None:
    """Without it, process 1 is a program that does not know of the orphan, and never reaps it."""
    script = (
        "(sh -c 'while ! test -e /go; do :; done' & echo $! > /orphan); "
        'exec awk \'BEGIN { print > "/go"; close("/go"); getline pid < "/orphan"; '
        'path = "/proc/" pid "/stat"; do { state = ""; '
        "while ((getline line < path) > 0) { split(line, part); state = part[3] }; "
        'close(path) } while (state != "" && state != until); print state "." }\''
    )
    found = said(program, kind, BASE, "sh", "-c", script.replace("until", '"Z"'))
    assert found == "Z.\n"
    found = said(program, kind, "--init", BASE, "sh", "-c", script.replace("until", '"-"'))
    assert found == ".\n"
    words = ("--init", BASE, "sh", "-c", "kill -s USR1 $PPID; sleep 100")
    outcome(program, kind, *words, status=128 + signal.SIGUSR1)


def test_init_tells_of_a_command_that_is_not_there(program: Tierce) -> None:
    program.run("run", "--rm", "--init", "--network", "none", BASE, "/bin/nope", status=127)


def test_init_is_no_part_of_the_command(program: Tierce) -> None:
    program.run("create", "--name", "inited", "--init", BASE, "true")
    form = "{{.Path}} {{.HostConfig.Init}}"
    assert program.run("inspect", "-f", form, "inited").stdout == "true true\n"


@pytest.mark.parametrize("kind", KINDS)
def test_other_runtime(program: Tierce, kind: str) -> None:
    outcome(program, kind, "--runtime", "runc", BASE, "true")
    assert host_config(program, "--runtime", "runc")["Runtime"] == "runc"


# Looking


def test_inspect_tells_all_that_was_asked_for(program: Tierce) -> None:
    found = host_config(
        program,
        *("--cap-add", "net_admin", "--cap-drop", "chown", "--device", "/dev/null:/dev/x:r"),
        *("-m", "64m", "--cpus", "0.25", "--pids-limit", "-1", "--ulimit", "nofile=90:100"),
        *("--ipc", "shareable", "--uts", "host", "--oom-score-adj", "5", "--shm-size", "1m"),
        *("--sysctl", "kernel.msgmax=1000", "--group-add", "7", "--cgroup-parent", "/p"),
        *("--security-opt", "systempaths=unconfined", "--memory-swappiness", "0"),
    )
    expected = {
        "CapAdd": ["CAP_NET_ADMIN"],
        "CapDrop": ["CAP_CHOWN"],
        "Devices": [
            {"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}
        ],
        "Memory": 64 << 20,
        "MemorySwap": 128 << 20,
        "MemorySwappiness": 0,
        "NanoCpus": 250_000_000,
        "CpuQuota": 0,
        "PidsLimit": -1,
        "Ulimits": [{"Name": "nofile", "Hard": 100, "Soft": 90}],
        "IpcMode": "shareable",
        "UTSMode": "host",
        "OomScoreAdj": 5,
        "ShmSize": 1 << 20,
        "Sysctls": {"kernel.msgmax": "1000"},
        "GroupAdd": ["7"],
        "CgroupParent": "/p",
        "MaskedPaths": [],
        "ReadonlyPaths": [],
    }
    assert {name: found[name] for name in expected} == expected


def test_inspect_of_a_usual_container_is_dockers(program: Tierce) -> None:
    found = host_config(program)
    expected: dict[str, object] = {
        **dict.fromkeys(("CapAdd", "CapDrop", "GroupAdd", "SecurityOpt", "PidsLimit")),
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": 64 << 20,
        "Memory": 0,
        "NanoCpus": 0,
        "OomKillDisable": False,
        "Devices": [],
        "Ulimits": [],
        "Privileged": False,
        "MemorySwappiness": None,
    }
    assert {name: found[name] for name in expected} == expected
    assert "Init" not in found


def test_rights_stay_when_a_container_is_started_again(program: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context", f"FROM {BASE}\nCMD grep CapEff /proc/self/status\n"
    )
    program.build(context, "-q", "-t", "tells")
    program.run("create", "--name", "twice", "--network", "none", "--cap-drop", "ALL", "tells")
    for _ in range(2):
        assert effective(program.run("start", "-a", "twice").stdout) == set()


def in_groups(launchers: set[str]) -> list[str]:
    """Processes in the groups of launchers with these names."""
    return [
        text
        for mount in SETUP.mounts
        for name in launchers
        for path in Path(mount.path).glob(f"tierce-{name}*")
        for text in (path / "cgroup.procs").read_text().split()
    ]


def test_what_sees_the_hosts_processes_ends_with_its_first(program: Tierce) -> None:
    """Without a PID namespace, the kernel does not see to that."""
    script = "sleep 1000 & echo started; exit 4"
    words = ("run", "--rm", "--pid", "host", "--network", "none", BASE, "sh", "-c", script)
    assert program.run(*words, status=4).stdout == "started\n"
    found = outcome(program, "background", *words[2:4], *words[6:], status=4)
    assert found.stdout == "started\n"


def test_what_sees_the_hosts_processes_ends_with_a_killed_command(program: Tierce) -> None:
    with Store.open(program.root) as store:
        bundles = Path(store.paths.bundles)
    before = {path.name for path in bundles.iterdir()}
    script = "sleep 1000 & echo started; sleep 1000"
    words = ("run", "--pid", "host", "--network", "none", BASE, "sh", "-c", script)
    with program.running(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        launchers = {path.name for path in bundles.iterdir()} - before
        assert in_groups(launchers)
        process.kill()
        # Whatever has our pipe ends before this does.
        assert process.stdout.read() == ""
    program.run("ps")
    assert in_groups(launchers) == []


def test_privileged_container_with_the_hosts_processes_enters_the_host(
    program: Tierce, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("seen\n")
    enter = ("busybox", "nsenter", "-t", str(os.getpid()), "-m", "--", "/bin/cat")
    words = ("--privileged", "--pid", "host", BASE, *enter, str(tmp_path / "outside"))
    for kind in KINDS:
        assert said(program, kind, *words) == "seen\n"
    found = outcome(program, "foreground", *words[1:], status=1).stderr
    assert "Operation not permitted" in found or "Permission denied" in found


@legacy
@pytest.mark.parametrize("flags", [(), ("--pid", "host")])
def test_end_of_a_killed_command_spares_others_below_its_parent(
    program: Tierce, flags: tuple[str, ...]
) -> None:
    parent = f"tierce-rights-{os.getpid()}"
    keep = ("--network", "none", "--cgroup-parent", parent, BASE, "sh", "-c")
    with program.running("run", *flags, *keep, "echo started; sleep 1000") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        program.run("run", "-d", "--name", "other", *keep, "sleep 1000")
        process.kill()
        assert process.stdout.read() == ""
    form = "{{.State.Status}}"
    program.run("run", "--rm", "--network", "none", BASE, "true")  # sweeps
    assert program.run("inspect", "-f", form, "other").stdout == "running\n"
    program.run("rm", "-f", "other")
    for mount in SETUP.mounts:
        path = Path(mount.path, parent)
        if path.exists():  # it was not empty when its maker was swept away
            path.rmdir()
