"""What running containers use of the machine, now."""

from __future__ import annotations

import os
import time

from tierce.containers.following import Running
from tierce.containers.state import RUNNING, ContainerState
from tierce.linux import usage
from tierce.linux.usage import Usage
from tierce.runtime.monitor import CGROUP_PREFIX
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.store import Store
    from tierce.store.containers import ContainerRow


class Sample(Value):
    """What a container has used until `moment` (in nanoseconds of a clock that only goes on).

    `measured` is False for one whose groups are not its own: its use cannot be told from that of
    others.
    """

    id: str
    name: str
    moment: int
    usage: Usage = Usage()
    received: int = 0
    sent: int = 0
    measured: bool = True

    def load_since(self, earlier: Sample) -> float:
        """Per cent of one processor that were used between two samples."""
        passed = self.moment - earlier.moment
        used = self.usage.cpu - earlier.usage.cpu
        return 100.0 * used / passed if passed > 0 and used > 0 else 0.0

    @property
    def memory_share(self) -> float:
        """Per cent of the memory that it may use."""
        limit = self.usage.memory_limit
        return 100.0 * self.usage.memory / limit if limit else 0.0


def sample(store: Store, row: ContainerRow) -> Sample:
    """What a container has used; one that does not run uses nothing."""
    nothing = Sample(row.id, row.name, time.monotonic_ns())
    state = ContainerState.decode(row.state)
    if not row.running or state.status != RUNNING:
        return nothing
    with Running(store, row) as running:
        pid = running.pid
        if not pid:
            return nothing
        try:
            groups = usage.groups_of(pid, CGROUP_PREFIX)
            used = usage.measure(groups)
            received, sent = usage.network_bytes(pid)
            if not state.detached and groups:
                used = used.replace(processes=used.processes - _ours(pid, groups))
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            return nothing
    return nothing.replace(
        moment=time.monotonic_ns(),
        usage=used,
        received=received,
        sent=sent,
        measured=bool(groups),
    )


def _ours(pid: int, groups: dict[str, tuple[int, str]]) -> int:
    """How many tasks in the groups of a container in the foreground belong to who runs it.

    The runtime is there with it, and the thread that has started that.
    """
    if "pids" not in groups:
        return 0
    own = os.readlink(f"/proc/{pid}/ns/pid")
    version, directory = groups["pids"]
    name = "tasks" if version == 1 else "cgroup.threads"
    count = 0
    with open(f"{directory}/{name}", encoding="ascii") as file:
        for task in file.read().split():
            try:
                count += os.readlink(f"/proc/{task}/ns/pid") != own
            except (FileNotFoundError, ProcessLookupError):
                continue
    return count
