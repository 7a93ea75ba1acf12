"""Control groups of both versions: what a machine mounts, and groups of our own in it.

See Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst in the kernel.
"""

from __future__ import annotations

import os
import time

from tierce.linux.mounts import mount_table
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_POLL_SECONDS = 0.002


class CgroupMount(Value):
    """A mounted hierarchy: for version 1 with its controllers, for version 2 without names."""

    version: int
    path: str
    root: str
    controllers: tuple[str, ...] = ()


class CgroupSetup(Value):
    """How this machine mounts cgroups, as this thread sees it.

    `mode` is "unified" (version 2 alone), "legacy" (version 1), "hybrid" (both), or "none".
    """

    mode: str
    mounts: tuple[CgroupMount, ...] = ()

    @property
    def unified(self) -> CgroupMount | None:
        """The hierarchy of version 2."""
        return next((mount for mount in self.mounts if mount.version == 2), None)

    @property
    def unified_controllers(self) -> tuple[str, ...]:
        """The controllers that version 2 has; in a hybrid setup usually none."""
        if self.unified is None:
            return ()
        try:
            with open(f"{self.unified.path}/cgroup.controllers", encoding="utf-8") as file:
                return tuple(file.read().split())
        except FileNotFoundError:
            return ()

    @property
    def unified_in_conflict(self) -> str:
        """Where version 2 is mounted in a hybrid setup and has controllers, or nothing.

        crun 1.8 does not start there, as it would not know in which version to limit what.
        """
        unified = self.unified
        return (
            unified.path if self.mode == "hybrid" and unified and self.unified_controllers else ""
        )


class Cgroup(Value):
    """A group of our own: one directory in each hierarchy of version 1."""

    directories: tuple[str, ...]


def is_unified(root: str = "/sys/fs/cgroup") -> bool:
    """Whether version 2 is mounted where all look for cgroups; see `detect` for all there is.

    The root group has this file, and only in version 2 is it there.
    """
    return os.path.exists(f"{root}/cgroup.controllers")


def detect(table: str = "/proc/self/mountinfo") -> CgroupSetup:
    """Reads the mounts; the same hierarchy mounted twice counts once."""
    found: dict[tuple[str, ...], CgroupMount] = {}
    for info in mount_table(table):
        if info.type == "cgroup2":
            found.setdefault(("2",), CgroupMount(2, info.target, info.root))
        elif info.type == "cgroup":
            names = tuple(
                option
                for option in info.super_options.split(",")
                if option in _CONTROLLERS or option.startswith("name=")
            )
            found.setdefault(names, CgroupMount(1, info.target, info.root, names))
    mounts = tuple(found.values())
    versions = {mount.version for mount in mounts}
    modes = {(): "none", (1,): "legacy", (2,): "unified", (1, 2): "hybrid"}
    return CgroupSetup(modes[tuple(sorted(versions))], mounts)


def own_paths(pid: int | str = "self") -> dict[tuple[str, ...], str]:
    """In which group of each hierarchy a process is; controllers → path, see cgroups(7)."""
    paths: dict[tuple[str, ...], str] = {}
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            paths[tuple(controllers.split(",")) if controllers else ()] = path
    return paths


def legacy_parents(setup: CgroupSetup) -> dict[tuple[str, ...], str]:
    """Our own group's directory in each hierarchy of version 1, by the hierarchy's controllers.

    A hierarchy whose mount does not show our own group is left out.
    """
    paths = own_paths()
    return {
        mount.controllers: mount.path + _below(own, mount.root).rstrip("/")
        for mount in setup.mounts
        if mount.version == 1 and (own := paths.get(mount.controllers)) is not None
    }


def legacy_group(parents: Mapping[tuple[str, ...], str], name: str) -> Cgroup:
    """Where a group below our own would be in each hierarchy of version 1; makes nothing.

    `parents` is of `legacy_parents`. Below our own, so that limits on us hold for what we run.
    """
    return Cgroup(tuple(f"{parent}/{name}" for parent in parents.values()))


def create(group: Cgroup) -> Cgroup:
    """Makes the group; returns what could be made: a hierarchy may be read-only for us."""
    made: list[str] = []
    for directory in group.directories:
        try:
            make(directory)
        except OSError:
            continue
        made.append(directory)
    return Cgroup(tuple(made))


def make(directory: str) -> None:
    """Makes one group in one hierarchy, ready to take tasks. Raises OSError."""
    os.mkdir(directory, 0o755)
    _inherit_cpuset(os.path.dirname(directory), directory)


def allow_devices(group: Cgroup, rules: Iterable[str]) -> bool:
    """Denies all devices but those of the rules ("c 1:3 rwm"); False without that controller."""
    for directory in group.directories:
        if os.path.exists(f"{directory}/devices.deny"):
            _write(f"{directory}/devices.deny", "a")
            for rule in rules:
                _write(f"{directory}/devices.allow", rule)
            return True
    return False


def enter_with_thread(group: Cgroup) -> None:
    """Moves the calling thread, and so the children that it makes from now on.

    The number 0 stands for the writer itself. Writing the thread's number would do the same,
    but then the kernel takes a lock against all forks of the machine, and waits 7 to 20 ms for
    an RCU grace period before it has it (cgroup_procs_write_start in kernel/cgroup/cgroup.c).
    """
    for directory in group.directories:
        _write(f"{directory}/tasks", "0")


def with_children(directory: str) -> list[str]:
    """The groups right below a group, and then itself: the order in which they can be removed."""
    try:
        with os.scandir(directory) as entries:
            return [*(entry.path for entry in entries if entry.is_dir()), directory]
    except FileNotFoundError:
        return []


def remove(group: Cgroup) -> Cgroup:
    """Removes the group's directories; returns what is still busy, an empty group when all went."""
    left: list[str] = []
    for directory in group.directories:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            pass
        except OSError:
            left.append(directory)
    return Cgroup(tuple(left))


def remove_soon(group: Cgroup, seconds: float = 2.0) -> Cgroup:
    """As `remove`, when the kernel may still be ending processes in it."""
    deadline = time.monotonic() + seconds
    while (group := remove(group)).directories and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return group


def _below(path: str, root: str) -> str:
    """Where a group is below a mount that shows the hierarchy from `root` on."""
    if root != "/" and (path == root or path.startswith(root + "/")):
        return path[len(root) :]
    return path


def _inherit_cpuset(parent: str, directory: str) -> None:
    """A new cpuset has no processors and no memory, and takes no task before it has."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if os.path.exists(f"{directory}/{name}"):
            with open(f"{parent}/{name}", encoding="utf-8") as file:
                _write(f"{directory}/{name}", file.read().strip())


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


_CONTROLLERS = frozenset(
    "blkio cpu cpuacct cpuset devices freezer hugetlb memory misc net_cls net_prio perf_event "
    "pids rdma".split()
)
