"""Limits of a control group, and the files of both versions of cgroups that hold them.

See cgroup-v1/memory.rst, cgroup-v1/cpusets.rst, scheduler/sched-bwc.rst and cgroup-v2.rst in the
kernel's documentation.
"""

from __future__ import annotations

import os

from tierce.errors import UsageError
from tierce.values import Value

MEMORY, CPU, CPUSET, PIDS, BLKIO = "memory", "cpu", "cpuset", "pids", "blkio"
IO = "io"
"""What version 2 calls BLKIO."""

_DEFAULT_PERIOD = 100_000
_LEAST_SHARES, _MOST_SHARES = 2, 262_144
_SWAP_FILE = "memory.memsw.limit_in_bytes"

_BATCH = 1 << 20
"""Bytes that the kernel may have counted in advance, for each processor some."""

_LEAST_MEMORY = 6 << 20
_LARGEST_NUMBER = 8192
_LEAST_WEIGHT, _MOST_WEIGHT = 10, 1000
_DEFAULT_SWAPPINESS = -1

RATES = ("read_bps", "write_bps", "read_iops", "write_iops")
"""What of a device can be limited: bytes and operations, each second."""

_UNIFIED_RATES = dict(zip(RATES, ("rbps", "wbps", "riops", "wiops")))
_PROCESSORS = "/sys/devices/system/cpu/online"
_NODES = "/sys/devices/system/node/online"

Settings = list[tuple[str, str]]
"""Names of files in a group's directory and what is written to them, in this order."""


class Resources(Value):
    """What a group may use; 0 and "" say nothing about it.

    `memory` and `memory_swap` (memory and swap together, -1: no limit) are bytes, `cpu_period`
    and `cpu_quota` microseconds, `cpu_shares` is relative to 1024; `cpuset_cpus` and `cpuset_mems`
    are lists as "0-3,7". Memory that is limited alone may have as much swap again, as in docker.
    `memory_reservation` is what is left to the group when memory is short, in bytes;
    `memory_swappiness` is 0 to 100, or -1; without the `oom_killer`, processes wait for memory.
    `pids` is a number of processes, -1: no limit. `blkio_weight` is 10 to 1000, `device_weights`
    holds (major, minor, weight), and `device_rates` (one of RATES, major, minor, rate).
    """

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory_reservation: int = 0
    memory_swappiness: int = _DEFAULT_SWAPPINESS
    oom_killer: bool = True
    pids: int = 0
    blkio_weight: int = 0
    device_weights: tuple[tuple[int, int, int], ...] = ()
    device_rates: tuple[tuple[str, int, int, int], ...] = ()

    @classmethod
    def of(cls, limits: object) -> Resources:
        """What another record says in fields of the same names."""
        return cls(**{name: getattr(limits, name) for name in cls._fields if hasattr(limits, name)})

    @property
    def controllers(self) -> tuple[str, ...]:
        """The controllers that are needed."""
        wanted = {
            MEMORY: (
                self.memory
                or self.memory_swap
                or self.memory_reservation
                or self.memory_swappiness != _DEFAULT_SWAPPINESS
                or not self.oom_killer
            ),
            CPU: self.cpu_shares or self.cpu_period or self.cpu_quota,
            CPUSET: self.cpuset_cpus or self.cpuset_mems,
            PIDS: self.pids,
            BLKIO: self.blkio_weight or self.device_weights or self.device_rates,
        }
        return tuple(name for name, value in wanted.items() if value)

    @property
    def all_memory(self) -> int:
        """Memory and swap together in bytes; -1: no limit, 0: nothing is said."""
        return self.memory_swap or 2 * self.memory


def check(resources: Resources) -> None:
    """Refuse what no machine, or not this one, can hold to; in docker's words.

    Raises UsageError.
    """
    problem = _memory_problem(resources) or _cpu_problem(resources) or _blkio_problem(resources)
    for wanted, what, path in (
        (resources.cpuset_cpus, "CPUs", _PROCESSORS),
        (resources.cpuset_mems, "memory nodes", _NODES),
    ):
        if wanted and not problem:
            problem = _set_problem(wanted, what, path)
    if problem:
        raise UsageError(problem)


def _memory_problem(resources: Resources) -> str:
    memory, swap = resources.memory, resources.memory_swap
    if memory and memory < _LEAST_MEMORY:
        return "Minimum memory limit allowed is 6MB"
    if memory and 0 < swap < memory:
        return "Minimum memoryswap limit should be larger than memory limit, see usage"
    if not memory and swap > 0:
        return "You should always set the Memory limit when using Memoryswap limit, see usage"
    if not _DEFAULT_SWAPPINESS <= resources.memory_swappiness <= 100:
        return (
            f"Invalid value: {resources.memory_swappiness}, valid memory swappiness range is 0-100"
        )
    reservation = resources.memory_reservation
    if reservation and reservation < _LEAST_MEMORY:
        return "Minimum memory reservation allowed is 6MB"
    if memory and reservation > memory:
        return "Minimum memory limit can not be less than memory reservation limit, see usage"
    return "" if swap >= -1 else f"invalid memory-swap value: {swap}"


def _cpu_problem(resources: Resources) -> str:
    if resources.cpu_period and not 1000 <= resources.cpu_period <= 1_000_000:
        return (
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if resources.cpu_quota > 0 and resources.cpu_quota < 1000:
        return "CPU cfs quota can not be less than 1ms (i.e. 1000)"
    if resources.cpu_shares < 0:
        return f"invalid cpu-shares value: {resources.cpu_shares}: must be > 0"
    return ""


def _blkio_problem(resources: Resources) -> str:
    weights = [weight for _, _, weight in resources.device_weights]
    weights += [resources.blkio_weight] if resources.blkio_weight else []
    if all(_LEAST_WEIGHT <= weight <= _MOST_WEIGHT for weight in weights):
        return ""
    return f"Range of blkio weight is from {_LEAST_WEIGHT} to {_MOST_WEIGHT}"


def _set_problem(wanted: str, what: str, path: str) -> str:
    try:
        numbers = parse_set(wanted)
    except ValueError:
        kind = "cpus" if what == "CPUs" else "mems"
        return f"Invalid value {wanted} for cpuset {kind}"
    try:
        with open(path, encoding="ascii") as file:
            available = file.read().strip()
    except FileNotFoundError:
        return ""  # without such nodes, the kernel has the say
    if numbers <= parse_set(available):
        return ""
    return f"Requested {what} are not available - requested {wanted}, available: {available}"


def parse_set(text: str) -> set[int]:
    """The numbers of a list as "0-3,7". Raises ValueError."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low, high = int(first), int(last if dash else first)
        if not 0 <= low <= high <= _LARGEST_NUMBER:
            raise ValueError(part)
        numbers.update(range(low, high + 1))
    return numbers


def legacy_settings(resources: Resources, controller: str) -> Settings:
    """The files of version 1 for one controller."""
    given: list[tuple[str, int | str]] = []
    if controller == MEMORY:
        # The second must never be below the first.
        given += [("memory.limit_in_bytes", resources.memory)]
        given += [(_SWAP_FILE, resources.all_memory)]
        given += [("memory.soft_limit_in_bytes", resources.memory_reservation)]
        if resources.memory_swappiness != _DEFAULT_SWAPPINESS:
            given += [("memory.swappiness", str(resources.memory_swappiness))]
        given += [("memory.oom_control", "" if resources.oom_killer else "1")]
    elif controller == CPU:
        given += [("cpu.shares", resources.cpu_shares)]
        given += [("cpu.cfs_period_us", resources.cpu_period)]
        given += [("cpu.cfs_quota_us", resources.cpu_quota)]
    elif controller == CPUSET:
        given += [("cpuset.cpus", resources.cpuset_cpus), ("cpuset.mems", resources.cpuset_mems)]
    elif controller == PIDS:
        given += [("pids.max", "max" if resources.pids < 0 else resources.pids)]
    elif controller == BLKIO:
        given += [("blkio.weight", resources.blkio_weight)]
        given += [
            ("blkio.weight_device", f"{major}:{minor} {weight}")
            for major, minor, weight in resources.device_weights
        ]
        given += [
            (f"blkio.throttle.{kind}_device", f"{major}:{minor} {rate}")
            for kind, major, minor, rate in resources.device_rates
        ]
    return [(name, str(value)) for name, value in given if value]


def unified_settings(resources: Resources, controller: str) -> Settings:
    """The files of version 2 for one controller."""
    settings: Settings = []
    if controller == MEMORY:
        if resources.memory:
            settings.append(("memory.max", str(resources.memory)))
        swap = resources.all_memory - resources.memory
        if resources.all_memory:
            settings.append(("memory.swap.max", "max" if resources.all_memory < 0 else str(swap)))
        if resources.memory_reservation:
            settings.append(("memory.low", str(resources.memory_reservation)))
    elif controller == CPU:
        if resources.cpu_shares:
            settings.append(("cpu.weight", str(weight_of(resources.cpu_shares))))
        if resources.cpu_quota or resources.cpu_period:
            quota = str(resources.cpu_quota) if resources.cpu_quota > 0 else "max"
            settings.append(("cpu.max", f"{quota} {resources.cpu_period or _DEFAULT_PERIOD}"))
    elif controller == CPUSET:
        settings += [("cpuset.cpus", resources.cpuset_cpus), ("cpuset.mems", resources.cpuset_mems)]
    elif controller == PIDS:
        settings.append(("pids.max", "max" if resources.pids < 0 else str(resources.pids)))
    elif controller == BLKIO:
        settings += _unified_io(resources)
    return [(name, value) for name, value in settings if value]


def _unified_io(resources: Resources) -> Settings:
    weight = resources.blkio_weight
    settings = [("io.bfq.weight", str(weight))] if weight else []
    settings += [
        ("io.bfq.weight", f"{major}:{minor} {weight}")
        for major, minor, weight in resources.device_weights
    ]
    settings += [
        ("io.max", f"{major}:{minor} {_UNIFIED_RATES[kind]}={rate}")
        for kind, major, minor, rate in resources.device_rates
    ]
    return settings


def weight_of(shares: int) -> int:
    """Shares (2 to 262144) as a weight (1 to 10000), as OCI runtimes convert them."""
    shares = min(max(shares, _LEAST_SHARES), _MOST_SHARES)
    return 1 + (shares - _LEAST_SHARES) * 9999 // (_MOST_SHARES - _LEAST_SHARES)


def write_settings(directory: str, settings: Settings, *, optional: frozenset[str]) -> None:
    """Write the settings of one group; files in `optional` need not be there.

    Raises OSError with the path of the file.
    """
    for name, value in settings:
        path = f"{directory}/{name}"
        if name in optional and not os.path.exists(path):
            continue
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
        finally:
            os.close(descriptor)


def optional_files(resources: Resources) -> frozenset[str]:
    """Those without which the limits that were asked for hold all the same.

    A kernel may not account swap; that is no matter unless somebody has asked for a limit of it.
    """
    if resources.memory_swap:
        return frozenset()
    return frozenset({_SWAP_FILE, "memory.swap.max"})


def killed_for_memory(directory: str) -> bool:
    """Whether the kernel has killed a process of this group because its memory was used up."""
    for name in ("memory.events", "memory.oom_control"):
        try:
            with open(f"{directory}/{name}", encoding="ascii") as file:
                words = file.read().split()
        except FileNotFoundError:
            continue
        return "oom_kill" in words and int(words[words.index("oom_kill") + 1]) > 0
    return False


def has_hit_its_limit(directory: str) -> bool:
    """Whether this group, or one below it, has ever used all the memory that it may have.

    Of kills in groups below, version 1 says nothing.
    """
    try:
        most, limit = [
            int(_read(f"{directory}/memory.{name}"))
            for name in ("max_usage_in_bytes", "limit_in_bytes")
        ]
    except FileNotFoundError:
        return False
    return most + _BATCH >= limit


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()
