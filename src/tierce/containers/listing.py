"""Looking at containers: which there are, what each is and does."""

from __future__ import annotations

from tierce.containers.following import Running
from tierce.containers.state import CREATED, RUNNING, STARTING, ContainerState
from tierce.containers.stop import is_paused
from tierce.containers.sweep import sweep
from tierce.store import Store
from tierce.store.containers import ContainerRow
from tierce.values import Value

PAUSED = "paused"


class ContainerView(Value):
    """A container as it is now. `status` is docker's word: created, running, paused, exited …

    `image` is the digest of its image's config; `created` is in seconds since the epoch.
    """

    id: str
    name: str
    image: str
    created: float
    status: str
    state: ContainerState
    snapshot: int | None

    @property
    def running(self) -> bool:
        """Whether its processes are there, held up or not."""
        return self.status in {RUNNING, PAUSED}


def view(store: Store, row: ContainerRow) -> ContainerView:
    """What a row says, and whether it is paused."""
    state = ContainerState.decode(row.state)
    status = CREATED if state.status == STARTING else state.status
    if status == RUNNING and is_paused(store, row):
        status = PAUSED
    return ContainerView(row.id, row.name, row.image, row.created, status, state, row.snapshot)


def views(store: Store) -> list[ContainerView]:
    """All containers, newest first; what has ended meanwhile is found out."""
    sweep(store)
    return [view(store, row) for row in store.containers.list()]


def process_number(store: Store, row: ContainerRow) -> int:
    """The number of a container's process 1, 0 when it does not run."""
    if not row.running or ContainerState.decode(row.state).status != RUNNING:
        return 0
    with Running(store, row) as running:
        return running.pid
