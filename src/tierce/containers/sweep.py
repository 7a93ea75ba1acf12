"""Clearing up after containers whose tierce was killed."""

from __future__ import annotations

import time

from tierce.containers.state import EXITED, ContainerState
from tierce.errors import NotFound
from tierce.runtime.launcher import is_alive
from tierce.store import Store
from tierce.store.containers import ContainerRow

_KILLED = 137
"""128 + SIGKILL: with its launcher, a container's processes were killed."""


def sweep(store: Store) -> None:
    """Marks containers as exited whose processes ended with a killed tierce; idempotent.

    Those that were to be removed after their end are.
    """
    for row in store.containers.list():
        if not row.running:
            continue
        state = ContainerState.decode(row.state)
        if is_alive(store.paths.bundles, state.launcher):
            continue
        if state.remove:
            remove(store, row)
        else:
            ended = state.replace(status=EXITED, exit_code=_KILLED, finished=time.time())
            store.containers.set_state(row.id, ended.encode(), running=False)


def remove(store: Store, row: ContainerRow) -> None:
    """Removes a container that does not run, with its writable layer. Idempotent."""
    store.containers.remove(row.id)
    if row.snapshot is None:
        return
    try:
        store.snapshots.discard(store.snapshots.get_active(row.snapshot))
    except NotFound:  # without the row it was garbage, and has been collected
        pass
