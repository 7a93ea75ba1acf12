"""Limits of a control group, and the files of both versions of cgroups that hold them.

See cgroup-v1/memory.rst, cgroup-v1/cpusets.rst, scheduler/sched-bwc.rst and cgroup-v2.rst in the
kernel's documentation.
"""

from __future__ import annotations

import os

from tierce.errors import UsageError
from tierce.values import Value

MEMORY, CPU, CPUSET = "memory", "cpu", "cpuset"

_DEFAULT_PERIOD = 100_000
_LEAST_SHARES, _MOST_SHARES = 2, 262_144
_SWAP_FILE = "memory.memsw.limit_in_bytes"

_BATCH = 1 << 20
"""Bytes that the kernel may have counted in advance, for each processor some."""

_LEAST_MEMORY = 6 << 20
_LARGEST_NUMBER = 8192
_PROCESSORS = "/sys/devices/system/cpu/online"
_NODES = "/sys/devices/system/node/online"

Settings = list[tuple[str, str]]
"""Names of files in a group's directory and what is written to them, in this order."""


class Resources(Value):
    """What a group may use; 0 and "" say nothing about it.

    `memory` and `memory_swap` (memory and swap together, -1: no limit) are bytes, `cpu_period`
    and `cpu_quota` microseconds, `cpu_shares` is relative to 1024; `cpuset_cpus` and `cpuset_mems`
    are lists as "0-3,7". Memory that is limited alone may have as much swap again, as in docker.
    """

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""

    @property
    def controllers(self) -> tuple[str, ...]:
        """The controllers that are needed."""
        wanted = {
            MEMORY: self.memory or self.memory_swap,
            CPU: self.cpu_shares or self.cpu_period or self.cpu_quota,
            CPUSET: self.cpuset_cpus or self.cpuset_mems,
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
    problem = _memory_problem(resources) or _cpu_problem(resources)
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
    elif controller == CPU:
        given += [("cpu.shares", resources.cpu_shares)]
        given += [("cpu.cfs_period_us", resources.cpu_period)]
        given += [("cpu.cfs_quota_us", resources.cpu_quota)]
    elif controller == CPUSET:
        given += [("cpuset.cpus", resources.cpuset_cpus), ("cpuset.mems", resources.cpuset_mems)]
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
    elif controller == CPU:
        if resources.cpu_shares:
            settings.append(("cpu.weight", str(weight_of(resources.cpu_shares))))
        if resources.cpu_quota or resources.cpu_period:
            quota = str(resources.cpu_quota) if resources.cpu_quota > 0 else "max"
            settings.append(("cpu.max", f"{quota} {resources.cpu_period or _DEFAULT_PERIOD}"))
    elif controller == CPUSET:
        settings += [("cpuset.cpus", resources.cpuset_cpus), ("cpuset.mems", resources.cpuset_mems)]
    return [(name, value) for name, value in settings if value]


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
