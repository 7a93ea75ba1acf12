"""Which limits the cgroups of this machine know, and what becomes of those they do not.

As in docker: a limit that cannot be kept is left out with a warning, not refused, unless it would
be read as a promise (--cpus). The words are docker's.
"""

from __future__ import annotations

import os

from tierce.errors import UsageError
from tierce.linux import cgroups
from tierce.linux.resources import BLKIO, CPU, CPUSET, IO, MEMORY, PIDS, Resources
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tierce.linux.cgroups import CgroupSetup

_UNMOUNTED = "or the cgroup is not mounted"


class Support(Value):
    """The files that groups have, for each controller there is; `version` is that of cgroups.

    `weights`: a disk has the scheduler that weighs groups.
    """

    version: int
    files: tuple[tuple[str, frozenset[str]], ...]
    weights: bool = False

    def has(self, controller: str, legacy: str = "", unified: str = "") -> bool:
        """Whether there is the controller, and a file of it with the name that counts here.

        A limit that one version does not have has no name there.
        """
        name = legacy if self.version == 1 else unified
        found = dict(self.files).get(controller)
        if found is None or not (legacy or unified):
            return found is not None
        return bool(name) and name in found


def detect(setup: CgroupSetup | None = None) -> Support:
    """What this machine has. Where both versions are mounted, runtimes use the first."""
    setup = setup or cgroups.detect()
    legacy = [mount for mount in setup.mounts if mount.version == 1 and mount.controllers]
    if legacy:
        return Support(
            1,
            tuple(
                (controller, _files(mount.path))
                for mount in legacy
                for controller in mount.controllers
            ),
            _weighs(),
        )
    if setup.unified is None:
        return Support(2, ())
    # The root of all has no files with limits; what is right below it does.
    files = _files(setup.unified.path)
    own = setup.unified.path + cgroups.own_paths().get((), "")
    files |= _files(own) if os.path.isdir(own) else frozenset[str]()
    return Support(
        2,
        tuple((BLKIO if name == IO else name, files) for name in setup.unified_controllers),
        _weighs(),
    )


def _weighs(directory: str = "/sys/block") -> bool:
    try:
        disks = os.listdir(directory)
    except FileNotFoundError:
        return False
    for disk in disks:
        try:
            with open(f"{directory}/{disk}/queue/scheduler", encoding="ascii") as file:
                if "[bfq]" in file.read():
                    return True
        except OSError:  # a disk that was just taken away
            continue
    return False


def _files(directory: str) -> frozenset[str]:
    """Names of files of a group, and of one below it, as the root of a hierarchy has fewer."""
    names: set[str] = set()
    try:
        with os.scandir(directory) as entries:
            inner = ""
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    names.add(entry.name)
                elif not inner:
                    inner = entry.path
            if inner:
                names.update(os.listdir(inner))
    except OSError:  # a group that was just removed
        pass
    return frozenset(names)


def adapt(
    resources: Resources, support: Support, *, whole_cpus: bool = False
) -> tuple[Resources, tuple[str, ...]]:
    """The limits that can be kept, and a warning for each other one.

    `whole_cpus`: the quota stands for a number of processors. Raises UsageError where docker
    refuses.
    """
    warnings: list[str] = []

    def drop(what: str, **changes: object) -> None:
        nonlocal resources
        warnings.append(f"Your kernel does not support {what}")
        resources = resources.replace(**changes)

    if resources.memory and not support.has(MEMORY):
        drop(
            f"memory limit capabilities {_UNMOUNTED}. Limitation discarded.",
            memory=0,
            memory_swap=0,
        )
    if (
        resources.memory
        and resources.memory_swap != -1
        and not support.has(MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max")
    ):
        drop(f"swap limit capabilities {_UNMOUNTED}. Memory limited without swap.", memory_swap=-1)
    if resources.memory_swappiness >= 0 and not support.has(MEMORY, "memory.swappiness"):
        drop(
            f"memory swappiness capabilities {_UNMOUNTED}. Memory swappiness discarded.",
            memory_swappiness=-1,
        )
    if resources.memory_reservation and not support.has(
        MEMORY, "memory.soft_limit_in_bytes", "memory.low"
    ):
        drop(
            f"memory soft limit capabilities {_UNMOUNTED}. Limitation discarded.",
            memory_reservation=0,
        )
    if not resources.oom_killer and not support.has(MEMORY, "memory.oom_control"):
        drop("OomKillDisable. OomKillDisable discarded.", oom_killer=True)
    if not resources.oom_killer and not resources.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can "
            "result in the system running out of resources."
        )
    if resources.pids and not support.has(PIDS):
        if resources.pids > 0:
            drop(f"PIDs limit capabilities {_UNMOUNTED}. PIDs limit discarded.", pids=0)
        resources = resources.replace(pids=0)
    resources, more = _adapt_processors(resources, support, whole_cpus=whole_cpus)
    warnings += more
    resources, more = _adapt_devices(resources, support)
    return resources, (*warnings, *more)


def _adapt_processors(
    resources: Resources, support: Support, *, whole_cpus: bool
) -> tuple[Resources, list[str]]:
    warnings: list[str] = []
    if resources.cpu_shares and not support.has(CPU, "cpu.shares", "cpu.weight"):
        warnings.append(f"Your kernel does not support CPU shares {_UNMOUNTED}. Shares discarded.")
        resources = resources.replace(cpu_shares=0)
    quota = resources.cpu_quota or resources.cpu_period
    if quota and not support.has(CPU, "cpu.cfs_quota_us", "cpu.max"):
        if whole_cpus:
            raise UsageError(
                f"NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler "
                f"{_UNMOUNTED}"
            )
        warnings.append(
            "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded."
        )
        resources = resources.replace(cpu_quota=0, cpu_period=0)
    if (resources.cpuset_cpus or resources.cpuset_mems) and not support.has(CPUSET):
        warnings.append(f"Your kernel does not support cpuset {_UNMOUNTED}. Cpuset discarded.")
        resources = resources.replace(cpuset_cpus="", cpuset_mems="")
    return resources, warnings


def _adapt_devices(resources: Resources, support: Support) -> tuple[Resources, list[str]]:
    warnings: list[str] = []
    if resources.blkio_weight and not _has_weight(support, ("blkio.weight", "io.bfq.weight")):
        warnings.append(
            f"Your kernel does not support Block I/O weight {_UNMOUNTED}. Weight discarded."
        )
        resources = resources.replace(blkio_weight=0)
    if resources.device_weights and not _has_weight(
        support, ("blkio.weight_device", "io.bfq.weight")
    ):
        warnings.append(
            f"Your kernel does not support Block I/O weight_device {_UNMOUNTED}. "
            "Weight-device discarded."
        )
        resources = resources.replace(device_weights=())
    for kind, words in _RATE_WORDS.items():
        if not any(rate[0] == kind for rate in resources.device_rates):
            continue
        if not support.has(BLKIO, f"blkio.throttle.{kind}_device", "io.max"):
            unit, direction = words
            block = "Block" if unit == "IOPS" else "Block I/O"
            warnings.append(
                f"Your kernel does not support {unit} {block} {direction} limit {_UNMOUNTED}. "
                f"Block I/O {unit} {direction} limit discarded."
            )
            resources = resources.replace(device_rates=_without(resources.device_rates, kind))
    return resources, warnings


_RATE_WORDS = {
    "read_bps": ("BPS", "read"),
    "write_bps": ("BPS", "write"),
    "read_iops": ("IOPS", "read"),
    "write_iops": ("IOPS", "write"),
}


def _has_weight(support: Support, names: tuple[str, str]) -> bool:
    """Whether a weight would count. Version 2 has the file also where no disk is scheduled by BFQ.

    In version 1 the file is there as long as runtimes can use it: they know no BFQ there.
    """
    return support.has(BLKIO, *names) and (support.version == 1 or support.weights)


def _without(
    rates: Iterable[tuple[str, int, int, int]], kind: str
) -> tuple[tuple[str, int, int, int], ...]:
    return tuple(rate for rate in rates if rate[0] != kind)
