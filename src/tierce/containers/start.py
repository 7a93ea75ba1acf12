"""Starting a container in the background."""

from __future__ import annotations

import os
import sys
import time

from tierce import containers
from tierce.containers.create import directory_of, log_directory, spec_of
from tierce.containers.leaving import leave
from tierce.containers.logfiles import LogFiles, LogMark
from tierce.containers.network import ContainerNetwork
from tierce.containers.state import CREATED, EXITED, RUNNING, STARTING, ContainerState
from tierce.containers.sweep import clear_stubs, find, finish, kill_monitors, lock_name, remove
from tierce.errors import ContainerError, NotFound, TierceError
from tierce.linux.process import boot_id
from tierce.runtime import detached
from tierce.runtime.detached import DetachedSpec, start_detached
from tierce.runtime.probe import choose_runtime
from tierce.store import Store
from tierce.store.containers import ContainerRow

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

ATTENDED = "attended"
"""The file with the number of the process that clears up when its attached container has ended."""

_UNLESS_ATTENDED = '{ read -r pid < "$0" && kill -0 "$pid"; } 2> /dev/null && exit; exec "$@"'
"""What conmon runs at the end, with this file and a command for when nobody is there to do it."""

_PROGRAM = "from tierce.cli.main import entry; entry()"
"""That command; by -c and -P, nothing of the directory it is in is imported."""


def start(
    store: Store,
    row: ContainerRow,
    *,
    size: tuple[int, int] | None = None,
    created: Callable[[], None] | None = None,
) -> ContainerRow:
    """Starts a container in the background; returns when its process runs. Idempotent.

    A terminal has `size`, rows and columns. `created` is called before the process runs, if this
    starts it, when what conmon and the runtime need of it is there.

    Raises ContainerError, with the exit status that `container run` is to have, NotFound when it
    has been removed meanwhile, RuntimeUnavailable, StoreError.
    """
    runtime = choose_runtime(store.paths, ContainerState.decode(row.state).runtime)
    with store.locks.hold(lock_name(row.id)):
        # Whoever was killed while starting or removing it has left that to the next one.
        finish(store, row.id)
        found = find(store, row.id)
        if found is None:
            raise NotFound("container", row.name)
        if found.running:
            return found
        state = ContainerState.decode(found.state)
        directory = f"{store.paths.detached}/{row.id}"
        detached.clear(directory, row.id)
        # Whoever made it may have been killed before it had its directory.
        os.makedirs(directory_of(store, row.id), 0o700, exist_ok=True)
        if found.snapshot is not None:
            store.snapshots.reopen(store.snapshots.get_active(found.snapshot))
        log = log_directory(store, row.id, state)
        mark = LogFiles(log).mark() if log else LogMark()
        begun = state.replace(
            status=STARTING,
            detached=True,
            error="",
            exit_code=0,
            finished=0.0,
            boot=boot_id(),
            log_start=(*(mark.file or (0, 0)), mark.position),
        )
        store.containers.set_state(row.id, begun.encode(), running=True)
        try:
            with ContainerNetwork(store, row.id, state, ports_later=True) as network:
                spec = DetachedSpec(
                    id=row.id,
                    container=spec_of(
                        *(store, found, state),
                        size=(size or (24, 80)) if state.terminal else None,
                        network=network,
                    ),
                    directory=directory,
                    log=log and LogFiles(log).current,
                    stdin=state.stdin,
                    stdin_once=state.stdin_once and not state.terminal,
                    created=lambda: _created(network, created),
                    exit_command=_exit_command(store, row.id),
                    held=network.held,
                )
                started = start_detached(runtime, spec)
            running = begun.replace(
                status=RUNNING,
                started=time.time(),
                process=(started.process.pid, started.process.started),
                monitor=(started.monitor.pid, started.monitor.started),
            )
            if running.may_have_keeper:
                containers.keeping.start_keeper(store, found, running)
        except BaseException as error:
            _failed(store, found, begun, error)
            raise
        store.containers.set_state(row.id, running.encode(), running=True)
        return found.replace(state=running.encode(), running=True)


def _created(network: ContainerNetwork, created: Callable[[], None] | None) -> None:
    """All is there but the process, which is to find its ports published."""
    network.complete()
    if created is not None:
        created()


def _failed(store: Store, row: ContainerRow, state: ContainerState, error: BaseException) -> None:
    """Nothing that was started stays; what is not to be removed says why it did not start."""
    ours = error if isinstance(error, TierceError) else ContainerError("interrupted")
    kill_monitors(row.id)
    if state.may_have_keeper:
        containers.keeping.end_keeper(f"{store.paths.detached}/{row.id}")
    failed = state.replace(
        status=EXITED if state.started else CREATED,
        exit_code=ours.exit_code,
        error=ours.message,
        finished=time.time(),
        boot="",
    )
    store.containers.set_state(row.id, failed.encode(), running=False)
    detached.clear(f"{store.paths.detached}/{row.id}", row.id)
    leave(store, row.id)
    if state.remove:
        remove(store, row)
    else:
        clear_stubs(store, row)


def _exit_command(store: Store, identifier: str) -> tuple[str, ...]:
    return (
        *("/bin/sh", "-c", _UNLESS_ATTENDED, f"{store.paths.detached}/{identifier}/{ATTENDED}"),
        *(sys.executable, "-P", "-c", _PROGRAM, "--root", os.path.abspath(store.paths.root)),
        *("container", "cleanup", identifier),
    )
