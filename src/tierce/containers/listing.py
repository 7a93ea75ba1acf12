"""Looking at containers: which there are, what each is and does."""

from __future__ import annotations

from tierce import containers
from tierce.containers.create import directory_of
from tierce.containers.following import Running
from tierce.containers.state import CREATED, RUNNING, STARTING, ContainerState
from tierce.containers.stop import is_paused
from tierce.containers.sweep import sweep
from tierce.runtime.endpoints import Endpoint, Notes
from tierce.store import Store
from tierce.store.containers import ContainerRow
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.containers.health import Health

PAUSED = "paused"


class ContainerView(Value):
    """A container as it is now. `status` is docker's word: created, running, paused, exited …

    `image` is the digest of its image's config; `created` is in seconds since the epoch. `health`
    is None without a check of it; of what does not run, or is paused, it is docker's: unhealthy.
    While it runs, `endpoint` is what it has on a network of its own.
    """

    id: str
    name: str
    image: str
    created: float
    status: str
    state: ContainerState
    snapshot: int | None
    health: Health | None = None
    endpoint: Endpoint | None = None

    @property
    def network(self) -> str:
        """The name of the network that it is on, which is the host's for older ones."""
        return "host" if self.state.network == "default" else self.state.network

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
    return ContainerView(
        *(row.id, row.name, row.image, row.created, status, state, row.snapshot),
        health=_health(store, row, state, status),
        endpoint=_endpoint(store, row) if status in {RUNNING, PAUSED} else None,
    )


def _endpoint(store: Store, row: ContainerRow) -> Endpoint | None:
    note = Notes(f"{store.paths.networks}/endpoints").read(row.id)
    return None if note is None else note.endpoint


def _health(store: Store, row: ContainerRow, state: ContainerState, status: str) -> Health | None:
    if state.health is None or not containers.health.is_run(state.health_check):
        return None
    known = containers.health.read_health(directory_of(store, row.id))
    if known is None or status == RUNNING:
        return known
    return known.replace(status=containers.health.UNHEALTHY)


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
