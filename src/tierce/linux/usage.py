"""What the processes of a group have used: the files of both versions of cgroups that tell.

See cgroup-v1/memory.rst, cpuacct.rst, pids.rst, blkio-controller.rst and cgroup-v2.rst in the
kernel's documentation; proc(5) for interfaces of the network.
"""

from __future__ import annotations

import os

from tierce.linux import cgroups
from tierce.linux.resources import BLKIO, IO, MEMORY, PIDS
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tierce.linux.cgroups import CgroupSetup

_CPUACCT = "cpuacct"
_CPU = "cpu"
_THROTTLED = (
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
)


class Usage(Value):
    """What was used until now: processor time in nanoseconds, the rest in bytes and processes.

    `memory` is without what the kernel would give up at once, `memory_limit` is that of the
    machine where the group has none.
    """

    cpu: int = 0
    memory: int = 0
    memory_limit: int = 0
    read: int = 0
    written: int = 0
    processes: int = 0


def groups_of(pid: int, mark: str, setup: CgroupSetup | None = None) -> dict[str, tuple[int, str]]:
    """The version and directory of a process's group, by controller ("" for version 2 itself).

    Only groups that have `mark` in their path: others hold more than the container.
    """
    paths = cgroups.own_paths(pid)
    found: dict[str, tuple[int, str]] = {}
    setup = setup or cgroups.detect()
    for mount in setup.mounts:
        path = paths.get(mount.controllers if mount.version == 1 else (), "")
        if mark not in path:
            continue
        directory = mount.path + path
        if mount.version == 1:
            found |= dict.fromkeys(mount.controllers, (1, directory))
            continue
        for name in ("", *setup.unified_controllers):
            found.setdefault(BLKIO if name == IO else name, (2, directory))
    return found


def measure(groups: Mapping[str, tuple[int, str]]) -> Usage:
    """What the processes of groups, as from `groups_of`, have used.

    What has no controller counts as nothing. Raises FileNotFoundError when a group is gone.
    """
    memory, limit = _memory(groups)
    read, written = _blocks(groups)
    return Usage(_processor(groups), memory, limit, read, written, _processes(groups))


def _processor(groups: Mapping[str, tuple[int, str]]) -> int:
    if _CPUACCT in groups:
        return _number(f"{groups[_CPUACCT][1]}/cpuacct.usage")
    version, directory = groups.get("", groups.get(_CPU, (0, "")))
    if version == 2:  # whether the controller is there or not
        return _table(f"{directory}/cpu.stat").get("usage_usec", 0) * 1000
    return 0


def _memory(groups: Mapping[str, tuple[int, str]]) -> tuple[int, int]:
    whole = _whole_memory()
    if MEMORY not in groups:
        return 0, whole
    version, directory = groups[MEMORY]
    statistics = _table(f"{directory}/memory.stat")
    if version == 1:
        used = _number(f"{directory}/memory.usage_in_bytes")
        limit = _number(f"{directory}/memory.limit_in_bytes")
        idle = statistics.get("total_inactive_file", 0)
    else:
        used = _number(f"{directory}/memory.current")
        limit = _number(f"{directory}/memory.max")
        idle = statistics.get("inactive_file", 0)
    return used - idle if idle < used else used, min(limit or whole, whole)


def _processes(groups: Mapping[str, tuple[int, str]]) -> int:
    if PIDS not in groups:
        return 0
    return _number(f"{groups[PIDS][1]}/pids.current")


def _blocks(groups: Mapping[str, tuple[int, str]]) -> tuple[int, int]:
    if BLKIO not in groups:
        return 0, 0
    version, directory = groups[BLKIO]
    if version == 2:
        words = [word for line in _lines(f"{directory}/io.stat") for word in line.split()]
        return _sum(words, "rbytes="), _sum(words, "wbytes=")
    for name in _THROTTLED:
        if os.path.exists(f"{directory}/{name}"):
            lines = [line.split() for line in _lines(f"{directory}/{name}")]
            return _of(lines, "Read"), _of(lines, "Write")
    return 0, 0


def _of(lines: list[list[str]], operation: str) -> int:
    return sum(int(line[2]) for line in lines if len(line) == 3 and line[1] == operation)


def _sum(words: list[str], prefix: str) -> int:
    return sum(int(word.removeprefix(prefix)) for word in words if word.startswith(prefix))


def network_bytes(pid: int) -> tuple[int, int]:
    """Bytes received and sent by the interfaces that a process sees, but for the loopback.

    Nothing for one that sees those of this process: they are not its own. Raises
    FileNotFoundError when it has ended.
    """
    if os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        return 0, 0
    received = sent = 0
    for line in _lines(f"/proc/{pid}/net/dev"):
        name, colon, rest = line.partition(":")
        if colon and name.strip() != "lo":
            numbers = rest.split()
            received += int(numbers[0])
            sent += int(numbers[8])
    return received, sent


def _whole_memory() -> int:
    return _table("/proc/meminfo").get("MemTotal:", 0) * 1024


def _table(path: str) -> dict[str, int]:
    parts = [line.split() for line in _lines(path)]
    return {part[0]: int(part[1]) for part in parts if len(part) > 1 and part[1].isdigit()}


def _number(path: str) -> int:
    """The number in a file, 0 for "max"."""
    [line] = _lines(path)
    return int(line) if line.isdigit() else 0


def _lines(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            yield from file.read().splitlines()
    except OSError as error:
        # The kernel says ENODEV of files in a group that goes while they are read.
        raise FileNotFoundError(error.errno, error.strerror, path) from error
