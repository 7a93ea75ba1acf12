"""Starting the keeper of a container (see `keeper`), if it is to have one, and ending it."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from contextlib import contextmanager

import tierce
from tierce.containers import health
from tierce.containers.logdriver import limits_of
from tierce.containers.logfiles import NONE
from tierce.containers.state import ContainerState
from tierce.containers.sweep import is_running, lock_name
from tierce.errors import ContainerError
from tierce.linux.process import start_time
from tierce.runtime.crun import runtime_environment
from tierce.runtime.monitor import ProcessId
from tierce.store import Store
from tierce.store.containers import ContainerRow

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

RECORD = "keeper"
_TASK = "keeper.json"

_KEEPER = "import sys; sys.path.insert(0, {!r}); from tierce.containers.keeper import main; main()"
_PROGRAM = "from tierce.cli.main import entry; entry()"


def needs_keeper(state: ContainerState) -> bool:
    """Whether a container has a health check, or in the background a log that is bounded."""
    return health.is_run(state.health_check) or (state.detached and _bounded(state))


def start_keeper(store: Store, row: ContainerRow, state: ContainerState) -> None:
    """Starts the keeper of a running container; for who holds its lock, or runs it.

    Nothing is done for one that needs none. Raises ContainerError.
    """
    if not needs_keeper(state):
        return
    directory = _directory(store, row, state)
    task = _task(store, row, state, directory)
    if "health" in task:
        health.reset(task["files"])
    with open(f"{directory}/{_TASK}", "w", encoding="utf-8") as file:
        json.dump(task, file)
    _spawn(directory, row)


def _spawn(directory: str, row: ContainerRow) -> None:
    """Starts the keeper by what is written down for it. Raises ContainerError."""
    path = f"{directory}/{_TASK}"
    program = _KEEPER.format(os.path.dirname(os.path.dirname(tierce.__file__)))
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            sys.executable,
            # Neither the environment nor site-packages are asked: it starts sooner, and is small.
            [sys.executable, "-I", "-S", "-c", program, path],
            runtime_environment(),
            file_actions=[(os.POSIX_SPAWN_DUP2, nothing, number) for number in (0, 1, 2)],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        )
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise ContainerError(f"start the keeper of container {row.name}: it has not started")
    finally:
        os.close(nothing)


@contextmanager
def kept(store: Store, row: ContainerRow, state: ContainerState) -> Iterator[None]:
    """A container in our foreground has its keeper during the block."""
    with store.locks.hold(lock_name(row.id)):
        start_keeper(store, row, state)
    try:
        yield
    finally:
        with store.locks.hold(lock_name(row.id)):
            end_keeper(_directory(store, row, state))


def revive_keeper(store: Store, row: ContainerRow, state: ContainerState) -> None:
    """Starts the keeper of a running container anew, if somebody has killed it; for any caller."""
    directory = _directory(store, row, state)
    if not needs_keeper(state) or _keeper(directory).is_alive:
        return
    with store.locks.try_hold(lock_name(row.id)) as held:
        # Who starts it has the lock, and who ends it; before and after that it has no task.
        if not held or not os.path.exists(f"{directory}/{_TASK}"):
            return
        if not _keeper(directory).is_alive and is_running(store, row, state):
            _spawn(directory, row)


def end_keeper(directory: str) -> None:
    """Ends a keeper, by the directory of what the container needs while it runs. Idempotent.

    For who holds the container's lock. Nothing is written any more to the container's files then.
    """
    try:
        os.unlink(f"{directory}/{_TASK}")
    except FileNotFoundError:
        return
    descriptor = _keeper(directory).open()
    if descriptor < 0:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], 10.0)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _keeper(directory: str) -> ProcessId:
    try:
        with open(f"{directory}/{RECORD}", encoding="ascii") as file:
            number, started = file.read().split()
    except (FileNotFoundError, ValueError):
        return ProcessId()
    return ProcessId(int(number), int(started))


def _directory(store: Store, row: ContainerRow, state: ContainerState) -> str:
    if state.detached:
        return f"{store.paths.detached}/{row.id}"
    return f"{store.paths.bundles}/{state.launcher}"


def _bounded(state: ContainerState) -> bool:
    limits = limits_of(state.log_driver, dict(state.log_options))
    return state.log_driver != NONE and limits.size_bytes > 0


def _task(store: Store, row: ContainerRow, state: ContainerState, directory: str) -> dict[str, Any]:
    """What a keeper is told. It ends with conmon or, in the foreground, with this process."""
    own = os.getpid()
    task: dict[str, Any] = {
        "record": f"{directory}/{RECORD}",
        "files": str(store.paths.container(row.id)),
        "end": list(state.monitor) if state.detached else [own, start_time(own)],
    }
    if state.detached and _bounded(state):
        limits = limits_of(state.log_driver, dict(state.log_options))
        task["log"] = {
            "size": limits.size_bytes,
            "files": limits.files,
            "control": f"{directory}/bundle/ctl",
        }
    check = state.health_check
    if check is not None and health.is_run(check):
        root = os.path.abspath(store.paths.root)
        words = [sys.executable, "-P", "-c", _PROGRAM, "--root", root]
        task["health"] = {
            "probe": [*words, "container", "probe", row.id],
            "started": state.started,
            **health.schedule(check),
        }
    return task
