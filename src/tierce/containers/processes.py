"""The processes in a running container, by the numbers that this machine has for them."""

from __future__ import annotations

import os

from tierce.containers.following import FOREGROUND, Running
from tierce.containers.state import RUNNING, ContainerState
from tierce.errors import Conflict
from tierce.linux import cgroups
from tierce.linux.process import children
from tierce.runtime.crun import PID_FILE
from tierce.runtime.monitor import CGROUP_PREFIX, ProcessId
from tierce.store import Store
from tierce.store.containers import ContainerRow

RECORD = "exec-"
"""What files begin with that hold the number of a command's process, named by its id."""


def record_directory(store: Store, row: ContainerRow, state: ContainerState) -> str:
    """Where the files with the numbers of such processes are; it goes with the container."""
    if state.detached:
        return f"{store.paths.detached}/{row.id}"
    return f"{store.paths.bundles}/{state.launcher}"


def processes_of(store: Store, row: ContainerRow) -> list[int]:
    """All processes of a container, in the order of their numbers; none when it does not run."""
    with Running(store, row) as running:
        first = running.pid
    if not first:
        return []
    return _members(first, keeper_of(store, row, ContainerState.decode(row.state)).pid)


def keeper_of(store: Store, row: ContainerRow, state: ContainerState) -> ProcessId:
    """The process in whose namespaces the runtime made a container: conmon, or the runtime itself.

    Raises Conflict when the container has ended.
    """
    if state.detached:
        return ProcessId(*state.monitor)
    directory = record_directory(store, row, state)
    try:
        with open(f"{directory}/{FOREGROUND}/{PID_FILE}", encoding="ascii") as file:
            number, started = file.read().split()
    except (FileNotFoundError, ValueError):
        raise Conflict(f"container {row.id} is not running") from None
    return ProcessId(int(number), int(started))


def _members(first: int, keeper: int) -> list[int]:
    """What is in the container's groups and in its PID namespace, or in one below.

    In the groups of a container in the foreground are the runtime and tierce, too: in other PID
    namespaces or, where the container has none of its own, with other mounts.
    """
    try:
        paths = cgroups.own_paths(first)
    except (FileNotFoundError, ProcessLookupError):
        return []
    outer, level = _namespace(first), len(numbers_of(first))
    shared = outer == _namespace("self")
    others = {_namespace(keeper, "mnt"), _namespace("self", "mnt")} if shared else set()
    for mount in cgroups.detect().mounts:
        path = paths.get(mount.controllers if mount.version == 1 else (), "")
        if CGROUP_PREFIX in path:
            return sorted(
                pid
                for pid in _in_groups(f"{mount.path}{path}")
                if (_namespace(pid) == outer or len(numbers_of(pid)) > level)
                and (not shared or _namespace(pid, "mnt") not in others)
            )
    # Where no groups could be made, the namespace tells; if that is ours, what descends from it.
    if shared:
        return sorted(_descendants(first))
    every = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return sorted(pid for pid in every if _namespace(pid) == outer)


def _in_groups(top: str) -> set[int]:
    """The processes of a group and of those below it."""
    found: set[int] = set()
    for directory, _, _ in os.walk(top):
        try:
            with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
                found.update(int(line) for line in file)
        except OSError:  # removed meanwhile
            continue
    return found


def _descendants(first: int) -> set[int]:
    found = {first}
    for child in children(first):
        found |= _descendants(child)
    return found


def exec_ids(store: Store, row: ContainerRow) -> list[str]:
    """The ids of the commands that run in a container beside its own."""
    state = ContainerState.decode(row.state)
    if not row.running or state.status != RUNNING:
        return []
    try:
        names = os.listdir(record_directory(store, row, state))
    except FileNotFoundError:
        return []
    records = [name for name in names if name.startswith(RECORD)]
    if not records:
        return []
    try:
        alive = _numbers_of_runtime(store, row, state)
    except Conflict:  # it has ended meanwhile
        return []
    found: list[str] = []
    for name in records:
        path = f"{record_directory(store, row, state)}/{name}"
        try:
            with open(path, encoding="ascii") as file:
                text = file.read().strip()
        except FileNotFoundError:
            continue
        if text in alive:
            found.append(name.removeprefix(RECORD))
        elif text:
            _forget(path)
    return sorted(found)


def _numbers_of_runtime(store: Store, row: ContainerRow, state: ContainerState) -> set[str]:
    """The container's processes by the numbers that its runtime sees.

    In the foreground, it may be a namespace deeper than we are.
    """
    level = max(len(numbers_of(keeper_of(store, row, state).pid)) - 1, 0)
    members = [numbers_of(pid) for pid in processes_of(store, row)]
    return {numbers[level] for numbers in members if len(numbers) > level}


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def numbers_of(pid: int) -> list[str]:
    """The numbers of a process in each PID namespace that it is in, ours first."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("NSpid:"):
                    return line.split()[1:]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return []


def _namespace(pid: int | str, kind: str = "pid") -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return ""
