"""`container run` in the foreground: a container is made, run, and then kept or removed."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, nullcontext

from tierce import containers
from tierce.containers import steps
from tierce.containers.create import (
    NO_STEP,
    add,
    check,
    find_source,
    isolation_of,
    log_directory,
    log_limits,
    new_id,
    spec_of,
    state_of,
    with_known_rights,
)
from tierce.containers.foreground import Streams, run_with_pipes, run_with_terminal
from tierce.containers.leaving import leave
from tierce.containers.logwriter import LogWriter
from tierce.containers.mounts import plan
from tierce.containers.network import ContainerNetwork, settled
from tierce.containers.request import RunRequest
from tierce.containers.state import EXITED, RUNNING, ContainerState
from tierce.containers.sweep import clear_stubs, find, lock_name, remove, sweep, tell_end
from tierce.containers.terminal import size_of
from tierce.errors import ContainerError, TierceError, UsageError
from tierce.runtime import launcher as launchers
from tierce.runtime.crun import Container, Engine
from tierce.runtime.launcher import Launcher
from tierce.runtime.monitor import ENDED
from tierce.runtime.probe import choose_runtime
from tierce.store import Store
from tierce.store.containers import ContainerRow


def run(store: Store, request: RunRequest, streams: Streams | None = None) -> int:
    """Runs a container until its process ends; returns the process's exit status.

    `streams` are our own three by default; signals to this process go to the container's. Raises
    ContainerError, also with an exit status, when it cannot be started; NotFound (the image),
    Conflict (the name), UsageError, RuntimeUnavailable, StoreError.
    """
    streams = streams or Streams()
    if request.terminal and request.stdin and not os.isatty(streams.stdin):
        raise UsageError(
            "the input device is not a TTY", hint="leave out -t, or -i to have no input"
        )
    check(request)
    request = with_known_rights(store, request)
    bundles = store.paths.bundles
    launchers.sweep(bundles)
    sweep(store)
    runtime = choose_runtime(store.paths, request.rights.runtime if request.rights else "")
    with ExitStack() as stack:
        # The container's row then protects what it uses, so that a long run holds up no collection.
        with store.leases.ensure("container run"):
            source = find_source(store, request)
            identifier = new_id()
            request = settled(store, request, step=source.step != NO_STEP)
            state = state_of(request, source, identifier).replace(
                status=RUNNING, started=time.time()
            )
            network = ContainerNetwork(store, identifier, state)
            with network.begun():  # it takes a while, beside what follows
                state, volumes = plan(store, request, source.config, state)
                mounts = stack.enter_context(steps.open_mounts(store, source.step))
                isolation = isolation_of(state, source.step)
                if state.rights:
                    isolation = containers.rights.isolated(store, state, isolation)
                rules = isolation.device_rules if runtime.shares_cgroup else ()
                particulars = isolation.particulars
                shares = particulars is not None and particulars.needs_host_processes
                launcher = stack.enter_context(Launcher(bundles, rules, shares_processes=shares))
                state = state.replace(launcher=launcher.name)
                with open(f"{launcher.directory}/{ENDED}", "x", encoding="ascii"):
                    pass  # see `tell_end`
                row = add(store, request, source, identifier, state, volumes)
        made = _Made(store, row, state, launcher.directory)
        size = size_of(streams.stdout) if request.terminal else None
        limits = log_limits(state)
        try:
            with (
                network,
                containers.keeping.kept(store, row, state) if state.health else nullcontext(),
                LogWriter(log_directory(store, identifier, state), limits) as log,
                Engine(runtime, launcher) as engine,
                Container(
                    engine,
                    spec_of(
                        *(store, row, state),
                        size=size,
                        step=source.step,
                        mounts=mounts,
                        network=network,
                    ),
                ) as container,
            ):
                if request.terminal:
                    status = run_with_terminal(
                        container, streams, launcher.directory, log, stdin=request.stdin
                    )
                else:
                    status = run_with_pipes(container, streams, log, stdin=request.stdin)
                network.begin_leave()
        except TierceError as error:
            made.failed(error)
            raise
        except BaseException:
            made.failed(ContainerError("interrupted"))
            raise
        made.exited(status, out_of_memory=container.out_of_memory)
    return status


class _Made:
    """The container's row, which is told how it ended."""

    def __init__(
        self, store: Store, row: ContainerRow, state: ContainerState, directory: str
    ) -> None:
        self._store = store
        self._row = row
        self._state = state
        self._directory = directory

    def exited(self, status: int, *, out_of_memory: bool) -> None:
        """The process has ended."""
        self._end(self._state.replace(exit_code=status, out_of_memory=out_of_memory))

    def failed(self, error: TierceError) -> None:
        """The process could not be started."""
        self._end(self._state.replace(exit_code=error.exit_code, error=error.message))

    def _end(self, state: ContainerState) -> None:
        tell_end(self._directory, state.exit_code)
        with self._store.locks.hold(lock_name(self._row.id)):
            leave(self._store, self._row.id)
            if state.remove:
                remove(self._store, self._row)
                return
            found = find(self._store, self._row.id)
            if found is None:  # somebody who removes it by force has been quicker
                return
            # Its limits may have been changed while it ran.
            rights = ContainerState.decode(found.state).rights
            ended = state.replace(status=EXITED, launcher="", finished=time.time(), rights=rights)
            self._store.containers.set_state(self._row.id, ended.encode(), running=False)
            clear_stubs(self._store, self._row)
