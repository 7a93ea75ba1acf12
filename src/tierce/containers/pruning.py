"""Removing all containers that do not run: `container prune`."""

from __future__ import annotations

from tierce.containers.state import CREATED, EXITED, ContainerState
from tierce.containers.stop import remove_container
from tierce.containers.sweep import sweep
from tierce.errors import Conflict
from tierce.store.trash import disk_usage

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.store import Store
    from tierce.store.containers import ContainerRow


def prune(
    store: Store, accept: Callable[[ContainerRow, ContainerState], bool]
) -> tuple[tuple[str, ...], int]:
    """Removes the containers that were made or have ended, if they are accepted.

    Returns their ids, and the bytes on disk that they had. Their volumes stay.
    """
    sweep(store)
    removed: list[str] = []
    size = 0
    for row in store.containers.list():
        state = ContainerState.decode(row.state)
        if row.running or state.status not in {CREATED, EXITED} or not accept(row, state):
            continue
        paths = [store.paths.container(row.id)]
        paths += [store.paths.snapshot(row.snapshot)] if row.snapshot is not None else []
        own = sum(disk_usage(path) for path in paths)
        try:
            remove_container(store, row)
        except Conflict:  # somebody has just started it
            continue
        removed.append(row.id)
        size += own
    return tuple(removed), size
