"""The OCI runtime specification of a container: config.json of a bundle, with docker's defaults.

See config.md and config-linux.md of the runtime specification.
"""

from __future__ import annotations

import os
import stat

from tierce.errors import ContainerError
from tierce.linux.mounts import MountSpec
from tierce.runtime import capabilities
from tierce.runtime.user import Identity
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Any

    from tierce.runtime.particulars import Particulars

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SHM_SIZE = 64 << 20
"""Bytes of /dev/shm unless something else is asked for."""

_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2))
"""null, zero, full, random, urandom, tty, console, ptmx."""

DEVICE_RULES = (
    *("c *:* m", "b *:* m"),
    *[f"c {major}:{minor} rwm" for major, minor in _DEVICES],
    "c 136:* rwm",
)
"""Docker's rules in the form of cgroup-v1/devices.rst: any node can be made, few can be opened."""

EVERY_DEVICE = ("a *:* rwm",)

DENY_DEVICES: Mapping[str, Any] = {"allow": False, "access": "rwm"}

INSECURE_DEVICES = (
    *(("/dev/kmsg", 1, 11), ("/dev/cuse", 10, 203), ("/dev/fuse", 10, 229)),
    *(("/dev/kvm", 10, 232), ("/dev/net/tun", 10, 200), ("/dev/loop-control", 10, 237)),
)
"""Character devices that BuildKit makes for RUN --security=insecure, whatever the host has."""

_RLIM_INFINITY_MODULUS = 1 << 64
"""-1, which stands for no limit, is RLIM_INFINITY as an unsigned number."""

NO_RESOURCES: Mapping[str, Any] = {}

_LOOP_MAJOR = 7
_LOOP_DEVICES = 8

MASKED_PATHS = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
    *("/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"),
    *("/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"),
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_MOUNTABLE_IN_PROC = frozenset(
    f"/proc/{name}"
    for name in "cpuinfo diskstats loadavg meminfo net/dev slabinfo stat swaps uptime".split()
)
"""Files that only tell of the machine; programs are shown others there."""

_PROCESSES = frozenset({"self", "thread-self"})
"""Names in /proc for who looks."""

_SECCOMP_FILTER = "run.oci.seccomp_bpf_data"
"""Annotation of crun: a filter that is compiled already, as text in base 64."""


class ProcessSpec(Value):
    """What runs in a container.

    `args` has at least one word; `env` holds "NAME=value"; `cwd` is absolute, and is made when
    absent; `user` is as in USER, unresolved. With a `terminal`, `size` is its rows and columns.
    `groups` are supplementary ones besides the user's, by name or number.
    `ulimits` are (name, soft, hard) as in setrlimit(2), "nofile" for RLIMIT_NOFILE; -1 is no limit.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    terminal: bool = False
    size: tuple[int, int] | None = None
    ulimits: tuple[tuple[str, int, int], ...] = ()
    groups: tuple[str, ...] = ()


class BindMount(Value):
    """Shows a file or directory of another tree at `target` in a container.

    The tree is what the mounts in `root`, made one over the other, show; `source` is a path in
    it, and symbolic links in that path do not lead out of it. `options` are more options of
    mount(8), as "rprivate".
    """

    target: str
    root: tuple[MountSpec, ...]
    source: str = "/"
    read_only: bool = True
    options: tuple[str, ...] = ()


class TmpfsMount(Value):
    """An empty directory in memory at `target`, of `size` bytes at most (0: the kernel's limit).

    It has the mode of the directory that is there, if there is one. Where there are `options` of
    mount(8), they are all that it has.
    """

    target: str
    size: int = 0
    read_only: bool = False
    options: tuple[str, ...] = ()


class Isolation(Value):
    """What a container shares with the host: by default nothing that docker would not share.

    `capabilities` is what it may have at most; what this process lacks is left out. An `insecure`
    container is privileged in BuildKit's way: programs that run as another user keep the
    capabilities, and it has devices of its own choice, not all of the host's. `particulars` are
    what else it has or lacks.
    """

    hostname: str
    host_network: bool = False
    privileged: bool = False
    read_only: bool = False
    capabilities: tuple[str, ...] = capabilities.DEFAULT
    insecure: bool = False
    shm_size: int = SHM_SIZE
    particulars: Particulars | None = None
    cgroup_namespace: bool = False

    @property
    def device_rules(self) -> tuple[str, ...]:
        if self.privileged:
            return EVERY_DEVICE
        return DEVICE_RULES + (self.particulars.device_rules if self.particulars else ())


class SeccompPolicy(Value):
    """A profile (as in the specification), or crun's compiled form of it; empty: none."""

    profile: dict[str, Any] | None = None
    filter: str = ""


def _environment(process: ProcessSpec, identity: Identity) -> Iterator[str]:
    """With HOME: a runtime sets it as well, but crun not for a user that passwd does not have."""
    yield from process.env
    if not any(variable.startswith("HOME=") for variable in process.env):
        yield f"HOME={identity.home}"


def make_spec(
    process: ProcessSpec,
    identity: Identity,
    *,
    root: str,
    isolation: Isolation,
    grantable: Collection[str],
    seccomp: SeccompPolicy,
    mounts: Sequence[dict[str, Any]] = (),
    cgroup: str = "",
    resources: Mapping[str, Any] = NO_RESOURCES,
) -> dict[str, Any]:
    """The specification.

    `grantable` are the capabilities that this process can give: with another one, the runtime
    would not start the container. `mounts` come from `bind`, and replace a default one with the
    same target; `cgroup` is empty where none is to be made, else it gets the `resources`, which
    are in the specification's form (config-linux.md#control-groups).
    """
    granted = [name for name in isolation.capabilities if name in grantable]
    sets = ["bounding", "permitted", "effective"]
    if isolation.insecure:
        sets += ["inheritable", "ambient"]
    specification: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "root": {"path": root, "readonly": isolation.read_only},
        "hostname": isolation.hostname,
        "mounts": _without_duplicates([*_default_mounts(isolation), *mounts]),
        "process": {
            "terminal": process.terminal,
            "user": {
                "uid": identity.uid,
                "gid": identity.gid,
                "additionalGids": list(identity.groups),
            },
            "args": list(process.args),
            "env": list(_environment(process, identity)),
            "cwd": process.cwd,
            # Not ambient and not inheritable, as a rule (CVE-2022-24769): without root, none are
            # left.
            "capabilities": dict.fromkeys(sets, granted),
            "rlimits": [_rlimit(*limit) for limit in process.ulimits],
            "noNewPrivileges": False,
        },
        "linux": {"namespaces": [{"type": kind} for kind in _namespaces(isolation)]},
    }
    if process.terminal and process.size is not None:
        rows, columns = process.size
        specification["process"]["consoleSize"] = {"height": rows, "width": columns}
    linux = specification["linux"]
    if isolation.privileged:
        linux["devices"] = list(_insecure_devices() if isolation.insecure else _host_devices())
    else:
        linux["maskedPaths"] = list(MASKED_PATHS)
        linux["readonlyPaths"] = list(READ_ONLY_PATHS)
    if cgroup:
        linux["cgroupsPath"] = cgroup
        linux["resources"] = {
            # crun allows what no rule is about, so that the first has to deny it.
            "devices": [DENY_DEVICES, *(_oci_device(rule) for rule in isolation.device_rules)],
            **resources,
        }
    if seccomp.filter:
        specification["annotations"] = {_SECCOMP_FILTER: seccomp.filter}
        # What a runtime would take that does not know the annotation: nothing is allowed.
        linux["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO"}
    elif seccomp.profile is not None:
        linux["seccomp"] = seccomp.profile
    return specification


def bind(
    source: str, target: str, *, read_only: bool, options: Sequence[str] = ()
) -> dict[str, Any]:
    """A bind mount, for `make_spec`."""
    chosen = ["rbind", "ro" if read_only else "rw", *(options or ("rprivate",))]
    return {"destination": target, "type": "bind", "source": source, "options": chosen}


def tmpfs(mount: TmpfsMount, mode: int) -> dict[str, Any]:
    """A tmpfs, for `make_spec`."""
    if mount.options:
        # The mode that is asked for comes last, and counts.
        return _mount("tmpfs", mount.target, f"mode={mode:o}", *mount.options)
    options = ["nosuid", *(("ro",) if mount.read_only else ())]
    options += [f"size={mount.size}"] if mount.size else []
    return _mount("tmpfs", mount.target, *options, f"mode={mode:o}")


def check_target(target: str) -> None:
    """Refuse to mount over /proc, as runtimes do: it is what they, and masks, rely on.

    Links in the target have been followed. Raises ContainerError.
    """
    if f"{target}/".startswith("/proc/") and target not in _MOUNTABLE_IN_PROC:
        raise ContainerError(f"mount at {target}: it is inside /proc")


def check_directory(path: str) -> None:
    """Refuse a working directory that the runtime would come to by a magic link of /proc.

    `/proc/self/fd/7` is what the runtime has open there, and may be a directory of the machine
    (CVE-2024-21626). Links in the path have been followed. Raises ContainerError.
    """
    first, _, rest = path.removeprefix("/proc/").partition("/")
    if path.startswith("/proc/") and rest and (first in _PROCESSES or first.isdecimal()):
        raise ContainerError(f"working directory {path}: it may be outside of the container")


def _namespaces(isolation: Isolation) -> Iterator[str]:
    yield from ("mount", "uts", "ipc", "pid")
    if not isolation.host_network:
        yield "network"
    if isolation.cgroup_namespace:
        yield "cgroup"


def _default_mounts(isolation: Isolation) -> list[dict[str, Any]]:
    safe = ("nosuid", "noexec", "nodev")
    access = "rw" if isolation.privileged else "ro"
    return [
        _mount("proc", "/proc", *safe),
        _mount("tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            *("devpts", "/dev/pts", "nosuid", "noexec", "newinstance"),
            *("ptmxmode=0666", "mode=0620", "gid=5"),
        ),
        _mount("sysfs", "/sys", *safe, access),
        _mount("cgroup", "/sys/fs/cgroup", *safe, access),
        _mount("mqueue", "/dev/mqueue", *safe),
        _mount("tmpfs", "/dev/shm", *safe, "mode=1777", f"size={isolation.shm_size}", source="shm"),
    ]


def _without_duplicates(mounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of mounts with one target the last, at the place of the first: what is below it stays."""
    found: dict[str, dict[str, Any]] = {}
    for mount in mounts:
        found[mount["destination"]] = mount
    return list(found.values())


def _rlimit(name: str, soft: int, hard: int) -> dict[str, Any]:
    return {
        "type": f"RLIMIT_{name.upper()}",
        "soft": soft % _RLIM_INFINITY_MODULUS,
        "hard": hard % _RLIM_INFINITY_MODULUS,
    }


def _insecure_devices() -> Iterator[dict[str, Any]]:
    for path, major, minor in INSECURE_DEVICES:
        yield {"path": path, "type": "c", "major": major, "minor": minor}
    for number in range(_LOOP_DEVICES):
        yield {"path": f"/dev/loop{number}", "type": "b", "major": _LOOP_MAJOR, "minor": number}


def _mount(type: str, target: str, *options: str, source: str = "") -> dict[str, Any]:
    return {
        "destination": target,
        "type": type,
        "source": source or type,
        "options": list(options),
    }


def _oci_device(rule: str) -> dict[str, Any]:
    """A rule in the specification's form."""
    kind, numbers, access = rule.split()
    device: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    for name, number in zip(("major", "minor"), numbers.split(":")):
        if number != "*":
            device[name] = int(number)
    return device


def _host_devices(directory: str = "/dev") -> Iterator[dict[str, Any]]:
    """All device nodes of the host but terminals, which each container has of its own."""
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.name in {"pts", "shm", "fd", "mqueue", "console", "ptmx", ".udev", ".lxc"}:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _host_devices(entry.path)
            continue
        status = entry.stat(follow_symlinks=False)
        kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}.get(stat.S_IFMT(status.st_mode))
        if kind is not None:
            yield {
                "path": entry.path,
                "type": kind,
                "major": os.major(status.st_rdev),
                "minor": os.minor(status.st_rdev),
                "fileMode": stat.S_IMODE(status.st_mode),
                "uid": status.st_uid,
                "gid": status.st_gid,
            }
