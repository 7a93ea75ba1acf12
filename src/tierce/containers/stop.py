"""Ending containers, and holding them up: stop, kill, wait, pause, rm, rename."""

from __future__ import annotations

import os

from tierce.containers.following import Running
from tierce.containers.names import check_name
from tierce.containers.signals import parse_signal
from tierce.containers.start import start
from tierce.containers.state import RUNNING, ContainerState
from tierce.containers.sweep import find, finish, lock_name, remove, settle
from tierce.errors import Conflict, ContainerError, NotFound
from tierce.lean import signal
from tierce.linux import cgroups
from tierce.runtime.monitor import CGROUP_PREFIX
from tierce.store import Store
from tierce.store.containers import ContainerRow

STOP_SECONDS = 10
_KILL_SECONDS = 10.0
_FOR_EVER = -1

_FROZEN = {"freezer.state": ("FROZEN", "THAWED"), "cgroup.freeze": ("1", "0")}
"""What is written to freeze and to thaw, in cgroups of version 1 and 2."""


def resolve(store: Store, text: str) -> ContainerRow:
    """A container by name, id or its beginning, as it is now. Raises NotFound, InvalidValue."""
    row = settle(store, store.containers.resolve(text))
    if row is None:
        raise NotFound("container", text)
    return row


def stop(store: Store, row: ContainerRow, *, number: int = 0, seconds: int | None = None) -> None:
    """Has a container end: by its stop signal (or this one), then, in time, by SIGKILL.

    Returns when that is done, also when it does not run. `seconds` of None: as the container
    says; -1: without SIGKILL. Raises ContainerError.
    """
    if not row.running:
        return
    state = ContainerState.decode(row.state)
    number = number or parse_signal(state.stop_signal or "TERM")
    if seconds is None:
        seconds = STOP_SECONDS if state.stop_timeout is None else state.stop_timeout
    with Running(store, row) as running:
        running.send(number)
        _thaw(running)
        if not running.await_process(None if seconds == _FOR_EVER else float(seconds)):
            _kill(running, row)
        running.await_end()
    settle(store, row)


def kill(store: Store, row: ContainerRow, number: int) -> None:
    """Sends a signal to a container; SIGKILL returns after its end. Raises Conflict."""
    _check_runs(row, "kill")
    with Running(store, row) as running:
        running.send(number)
        if number == signal.SIGKILL:
            _thaw(running)
            running.await_process(_KILL_SECONDS)
            running.await_end()
    if number == signal.SIGKILL:
        settle(store, row)


def wait(store: Store, row: ContainerRow) -> int:
    """Waits for a container's end; returns its exit status. One that never ran gives 0.

    Raises NotFound when it is removed before that is known.
    """
    if row.running:
        with Running(store, row) as running:
            status = running.await_end()
        if status is not None:
            return status
    found = find(store, row.id)
    settled = None if found is None else settle(store, found)
    if settled is None:  # it was gone with its end before it could be held on to
        raise NotFound("container", row.name)
    return ContainerState.decode(settled.state).exit_code


def restart(
    store: Store, row: ContainerRow, *, number: int = 0, seconds: int | None = None
) -> None:
    """Stops a container, and starts it in the background. Raises ContainerError, NotFound.

    One that goes with its process does not go with this end of it.
    """
    removed = _set_removal(store, row, False)
    try:
        stop(store, row, number=number, seconds=seconds)
    finally:
        if removed:
            _set_removal(store, row, True)
    start(store, row)


def _set_removal(store: Store, row: ContainerRow, remove: bool) -> bool:
    """Has a container go with its process, or not; says whether that was otherwise."""
    with store.locks.hold(lock_name(row.id)):
        found = find(store, row.id)
        if found is None:
            return False
        state = ContainerState.decode(found.state)
        if state.remove == remove:
            return False
        changed = state.replace(remove=remove).encode()
        store.containers.set_state(row.id, changed, running=found.running)
        return True


def pause(store: Store, row: ContainerRow) -> None:
    """Holds up all processes of a container. Raises Conflict, ContainerError."""
    _check_runs(row, "pause")
    with Running(store, row) as running:
        if _is_frozen(running):
            raise Conflict(f"Container {row.name} is already paused")
        _write_freezer(running, freeze=True)


def unpause(store: Store, row: ContainerRow) -> None:
    """Lets the processes of a paused container go on. Raises Conflict, ContainerError."""
    if row.running:
        with Running(store, row) as running:
            if _is_frozen(running):
                _write_freezer(running, freeze=False)
                return
    raise Conflict(f"Container {row.name} is not paused")


def is_paused(store: Store, row: ContainerRow) -> bool:
    """Whether the processes of a container are held up."""
    if not row.running or ContainerState.decode(row.state).status != RUNNING:
        return False
    with Running(store, row) as running:
        return _is_frozen(running)


def remove_container(
    store: Store, row: ContainerRow, *, force: bool = False, volumes: bool = False
) -> None:
    """Removes a container. One that runs is killed by `force`, else refused with Conflict.

    With `volumes`, its anonymous volumes go, too.
    """
    if row.running:
        if not force:
            doing = "paused" if is_paused(store, row) else "running"
            words = "unpause the container and then stop" if doing == "paused" else "stop"
            raise Conflict(
                f'cannot remove container "{row.name}": container is {doing}: {words} the '
                "container before removing or force remove"
            )
        try:
            kill(store, row, signal.SIGKILL)
        except Conflict:  # it has ended meanwhile
            pass
    with store.locks.hold(lock_name(row.id)):
        finish(store, row.id)
        found = find(store, row.id)
        if found is None:
            return
        if found.running:
            raise Conflict(f'cannot remove container "{row.name}": it has been started again')
        remove(store, found, volumes=volumes)


def rename(store: Store, row: ContainerRow, name: str) -> None:
    """Gives a container another name. Raises Conflict, InvalidValue."""
    check_name(name.removeprefix("/"))
    if name.removeprefix("/") == row.name:
        raise Conflict("Renaming a container with the same name as its current name")
    store.containers.rename(row.id, name.removeprefix("/"))


def _check_runs(row: ContainerRow, verb: str) -> None:
    if not row.running:
        raise Conflict(f"cannot {verb} container: {row.name}: container {row.id} is not running")


def _kill(running: Running, row: ContainerRow) -> None:
    running.send(signal.SIGKILL)
    _thaw(running)
    if not running.await_process(_KILL_SECONDS):
        raise ContainerError(
            f"stop container {row.name}: its process is in the kernel, and does not end"
        )


def _freezer(running: Running) -> tuple[str, str]:
    """The directory of the container's group with a freezer, and the file; empty without one."""
    pid = running.pid
    if not pid:
        return "", ""
    try:
        paths = cgroups.own_paths(pid)
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    for mount in cgroups.detect().mounts:
        for controllers, path in paths.items():
            matches = "freezer" in controllers if mount.version == 1 else controllers == ()
            # Never a group that holds more than the container.
            if not matches or CGROUP_PREFIX not in path:
                continue
            for name in _FROZEN:
                if os.path.exists(f"{mount.path}{path}/{name}"):
                    return f"{mount.path}{path}", name
    return "", ""


def _is_frozen(running: Running) -> bool:
    directory, name = _freezer(running)
    if not directory:
        return False
    with open(f"{directory}/{name}", encoding="ascii") as file:
        return file.read().strip() in {"FROZEN", "FREEZING", "1"}


def _write_freezer(running: Running, *, freeze: bool) -> None:
    directory, name = _freezer(running)
    if not directory:
        raise ContainerError("pause container: this machine has no freezer in cgroups")
    frozen, thawed = _FROZEN[name]
    try:
        with open(f"{directory}/{name}", "w", encoding="ascii") as file:
            file.write(frozen if freeze else thawed)
    except OSError as error:
        raise ContainerError(f"pause container: {directory}/{name}: {error.strerror}") from error


def _thaw(running: Running) -> None:
    """What is frozen does not act on a signal."""
    if _is_frozen(running):
        _write_freezer(running, freeze=False)
