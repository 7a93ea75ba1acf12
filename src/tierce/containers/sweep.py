"""The truth about containers: what was last known of each, and what became of it since.

Nobody watches over all containers. Whoever asks for one finds out whether what it ran with is
still there, and clears up if it is not: after the end of a killed tierce, of a killed conmon, or
of the machine.
"""

from __future__ import annotations

import os
import select
import time

from tierce import containers
from tierce.containers import leaving
from tierce.containers.leaving import leave
from tierce.containers.state import EXITED, REMOVING, RUNNING, STARTING, ContainerState
from tierce.errors import NotFound
from tierce.lean import signal
from tierce.linux.process import boot_id
from tierce.runtime import detached, stubs
from tierce.runtime.launcher import is_alive
from tierce.runtime.monitor import ENDED, ProcessId, exit_status, monitors_of
from tierce.store import Store
from tierce.store.containers import ContainerRow

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

KILLED = 137
"""128 + SIGKILL."""


def lock_name(identifier: str) -> str:
    """The lock that is held while a container is changed, and never while something is awaited."""
    return f"container {identifier}"


def sweep(store: Store) -> None:
    """Finds out what became of all containers, and clears up after those that ended; idempotent.

    Those that were to be removed after their end are.
    """
    rows = store.containers.list()
    for row in rows:
        settle(store, row)
    running = {row.id for row in rows if row.running}
    for identifier in _names(store.paths.detached).difference(running):
        _sweep_directory(store, identifier)
    leaving.sweep(store, running, lambda identifier: _sweep_network(store, identifier))
    known = {lock_name(row.id) for row in rows}
    for name in _names(store.paths.lock_files).difference(known):
        if name.startswith(lock_name("")):
            # Whoever was killed with the lock of a container that is gone has left its file.
            with store.locks.try_hold(name):
                pass


def _names(directory: str) -> set[str]:
    try:
        return set(os.listdir(directory))
    except FileNotFoundError:
        return set()


def settle(store: Store, row: ContainerRow) -> ContainerRow | None:
    """The container as it is now; None when it has been removed meanwhile."""
    state = ContainerState.decode(row.state)
    if state.status not in {STARTING, RUNNING, REMOVING}:
        return row
    if is_running(store, row, state):
        if state.may_have_keeper:
            containers.keeping.revive_keeper(store, row, state)
        return row
    with store.locks.try_hold(lock_name(row.id)) as held:
        if held:
            finish(store, row.id)
    return find(store, row.id)


def find(store: Store, identifier: str) -> ContainerRow | None:
    """The row with this id, or None."""
    try:
        return store.containers.resolve(identifier)
    except NotFound:
        return None


def is_running(store: Store, row: ContainerRow, state: ContainerState) -> bool:
    """Whether what watches the container is alive, and so the container for all that is known."""
    if not row.running or state.status != RUNNING:
        return False
    if state.detached:
        return state.boot == boot_id() and ProcessId(*state.monitor).is_alive
    return is_alive(store.paths.bundles, state.launcher)


def finish(store: Store, identifier: str, *, monitored: bool = False) -> None:
    """Notes the end of a container, and clears up after it; for who holds its lock. Idempotent.

    Nothing is done when it still runs, unless its monitor itself says (`monitored`) that it does
    not.
    """
    row = find(store, identifier)
    if row is None:
        return
    state = ContainerState.decode(row.state)
    if state.status == REMOVING:
        remove(store, row)
        return
    if state.status not in {STARTING, RUNNING}:
        return
    if not monitored and is_running(store, row, state):
        return
    status = KILLED
    directory = f"{store.paths.detached}/{row.id}"
    if state.may_have_keeper:
        containers.keeping.end_keeper(directory)
    if state.detached:
        # What has lost its monitor is nobody's; in another boot, it is not there.
        if not monitored:
            kill_monitors(row.id)
        told = exit_status(directory, row.id)
        status = KILLED if told is None else told
    ended = state.replace(
        status=EXITED,
        out_of_memory=state.detached and detached.ran_out_of_memory(directory, row.id),
        exit_code=status,
        finished=time.time(),
        launcher="",
        monitor=(0, 0),
        process=(0, 0),
        boot="",
    )
    tell_end(directory, status)
    store.containers.set_state(row.id, ended.encode(), running=False)
    if state.detached:
        detached.clear(directory, row.id)
    leave(store, row.id)
    if state.remove:
        remove(store, row)
    else:
        clear_stubs(store, row)


def clear_stubs(store: Store, row: ContainerRow) -> None:
    """Takes out of the writable layer what was made there for mounts that are no more."""
    path = f"{store.paths.container(row.id)}/{stubs.NAME}"
    if row.snapshot is not None and os.path.exists(path):
        active = store.snapshots.get_active(row.snapshot)
        stubs.remove_written(store.snapshots.writable(active), path)


def clear_points(store: Store, identifier: str) -> None:
    """Removes what is left of a command that was killed while it had a container mounted.

    For who holds the container's lock: nobody else has it mounted then (see `filesystem`). The
    mounts have gone with the command; what remains are the empty places of them.
    """
    directory = f"{store.paths.mounts}/{identifier}"
    if not os.path.isdir(directory):
        return
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(directory)


def tell_end(directory: str, status: int) -> None:
    """Writes the exit status for those who wait, and have the file open."""
    try:
        with open(f"{directory}/{ENDED}", "r+", encoding="ascii") as file:
            file.write(str(status))
    except FileNotFoundError:
        pass


def remove(store: Store, row: ContainerRow, *, volumes: bool = False) -> None:
    """Removes a container that does not run, with its files and writable layer. Idempotent.

    With `volumes`, and as the state of one says that goes with its process, its anonymous volumes
    go, too, unless another container has them.
    """
    state = ContainerState.decode(row.state)
    volumes = volumes or state.remove or state.remove_volumes
    removing = state.replace(status=REMOVING, remove_volumes=volumes)
    if store.containers.set_removing(row.id, removing.encode()):
        detached.clear(f"{store.paths.detached}/{row.id}", row.id)
        leave(store, row.id)
        clear_points(store, row.id)
        _remove_files(str(store.paths.container(row.id)))
        remove_row(store, row.id, [volume[0] for volume in state.volumes if volume[3] and volumes])
    if row.snapshot is None:
        return
    try:
        store.snapshots.discard(store.snapshots.get_active(row.snapshot))
    except NotFound:  # without the row it was garbage, and has been collected
        pass


def remove_row(store: Store, identifier: str, volumes: Sequence[str]) -> None:
    """Forget a container, and those of its volumes that no other has."""
    if not volumes:
        store.containers.remove(identifier)
        return
    with store.database.transaction():
        store.containers.remove(identifier)
        unused = store.volumes.forget_unused(volumes)
    store.volumes.clear(unused)


def _sweep_directory(store: Store, identifier: str) -> None:
    """Clears up after a container that does not run, if nobody is about to start or end it."""
    with store.locks.try_hold(lock_name(identifier)) as held:
        if not held:
            return
        row = find(store, identifier)
        if row is None or not row.running:
            kill_monitors(identifier)
            detached.clear(f"{store.paths.detached}/{identifier}", identifier)


def _sweep_network(store: Store, identifier: str) -> None:
    """Takes a container off the network that does not run, as `_sweep_directory` does."""
    with store.locks.try_hold(lock_name(identifier)) as held:
        if held:
            row = find(store, identifier)
            if row is None or not row.running:
                leave(store, identifier)


def kill_monitors(identifier: str) -> None:
    """Ends every conmon of a container, without what it would do at the container's end."""
    for monitor in monitors_of(identifier):
        _kill(monitor)


def _kill(process: ProcessId) -> None:
    descriptor = process.open()
    if descriptor < 0:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], 10.0)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _remove_files(directory: str) -> None:
    try:
        names: Sequence[str] = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        os.unlink(f"{directory}/{name}")
    os.rmdir(directory)
