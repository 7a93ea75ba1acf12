"""Containers from Python: run, stopped, looked at."""

from __future__ import annotations

from tierce import containers
from tierce.client import running
from tierce.client.container_filters import select
from tierce.client.running import (
    HostPath,
    MemoryMount,
    RunRequest,
    Streams,
    VolumeMount,
    check_name,
    parse_signal,
    parse_tmpfs,
    parse_volume,
    parse_volumes_from,
    read_env_file,
)
from tierce.containers import create as creating
from tierce.containers import listing, logreading, processes, stop
from tierce.containers import start as starting
from tierce.containers.following import Running
from tierce.containers.listing import ContainerView
from tierce.containers.logs import LogLine, LogOptions
from tierce.containers.mount_notation import parse_mount
from tierce.containers.state import ContainerState
from tierce.containers.sweep import finish, lock_name, sweep
from tierce.errors import NotFound
from tierce.runtime.monitor import exit_status, find_monitor
from tierce.runtime.ports import Published
from tierce.store import Store
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tierce.store.snapshots.base import LayerDirectories

__all__ = [
    "ContainerDetails",
    "ContainerState",
    "ContainerView",
    "Containers",
    "HostPath",
    "LogLine",
    "LogOptions",
    "MemoryMount",
    "Published",
    "RunRequest",
    "Streams",
    "VolumeMount",
    "check_name",
    "parse_mount",
    "parse_signal",
    "parse_tmpfs",
    "parse_volume",
    "parse_volumes_from",
    "read_env_file",
]


class ContainerDetails(Value):
    """All that is known of a container. `pid` is its process 1 on this machine, 0 for none.

    `log` is the file with what it wrote; `directory`, where that is, goes with the container.
    `exec_ids` are those of the commands that run in it beside its own.
    """

    view: ContainerView
    pid: int
    log: str
    directory: str
    exec_ids: tuple[str, ...] = ()


class Containers:
    """The containers of one store. They are named by name, id, or the beginning of an id.

    All raise NotFound for one that is not there, InvalidValue for the beginning of several ids,
    and StoreError.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, request: RunRequest, streams: Streams | None = None) -> int:
        """Run a container until its process ends; the process's exit status.

        Its streams are `streams`, this process's own by default; signals that this process gets
        meanwhile go to the container's. Raises NotFound for the image, Conflict for the name,
        ContainerError when it cannot be started, RuntimeUnavailable, StoreError.
        """
        return running.run(self._store, request, streams)

    def run_detached(self, request: RunRequest) -> str:
        """Start a container in the background; its id. Raises as `run`."""
        find_monitor()  # before anything is made
        row = creating.create(self._store, request)
        starting.start(self._store, row)
        return row.id

    def create(self, request: RunRequest) -> str:
        """Make a container that can be started; its id. Raises as `run`."""
        return creating.create(self._store, request).id

    def start(self, name: str) -> None:
        """Start a container in the background, unless it runs. Raises ContainerError."""
        starting.start(self._store, stop.resolve(self._store, name))

    def start_attached(self, name: str, show: Callable[[Iterator[LogLine]], object]) -> int:
        """Start a container, have `show` take what it writes from now on; its exit status."""
        row = stop.resolve(self._store, name)
        mark = logreading.mark_of(self._store, row)
        begun = starting.start(self._store, row)
        with Running(self._store, begun) as held:
            show(logreading.read(self._store, begun, LogOptions(follow=True), start=mark))
            status = held.await_end()
        return stop.wait(self._store, row) if status is None else status

    def stop(self, name: str, *, signal: str = "", seconds: int | None = None) -> None:
        """Have a container end: by its stop signal or this one, then by SIGKILL.

        `seconds` of None: as the container says, ten as a rule; -1: never by SIGKILL.
        """
        number = parse_signal(signal) if signal else 0
        stop.stop(self._store, stop.resolve(self._store, name), number=number, seconds=seconds)

    def restart(self, name: str, *, signal: str = "", seconds: int | None = None) -> None:
        """Stop a container as `stop` does, and start it in the background."""
        number = parse_signal(signal) if signal else 0
        row = stop.resolve(self._store, name)
        stop.restart(self._store, row, number=number, seconds=seconds)

    def kill(self, name: str, signal: str = "KILL") -> None:
        """Send a signal to a container. Raises Conflict when it does not run."""
        stop.kill(self._store, stop.resolve(self._store, name), parse_signal(signal))

    def wait(self, name: str) -> int:
        """Wait for the end of a container; its exit status."""
        return stop.wait(self._store, stop.resolve(self._store, name))

    def pause(self, name: str) -> None:
        """Hold up all processes of a container. Raises Conflict, ContainerError."""
        stop.pause(self._store, stop.resolve(self._store, name))

    def unpause(self, name: str) -> None:
        """Let the processes of a paused container go on. Raises Conflict, ContainerError."""
        stop.unpause(self._store, stop.resolve(self._store, name))

    def remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; by `force` also one that runs, else Conflict is raised.

        With `volumes`, its anonymous volumes go, too, unless another container has them.
        """
        row = stop.resolve(self._store, name)
        stop.remove_container(self._store, row, force=force, volumes=volumes)

    def rename(self, name: str, to: str) -> None:
        """Give a container another name. Raises Conflict, InvalidValue."""
        stop.rename(self._store, stop.resolve(self._store, name), to)

    def list(
        self,
        filters: Sequence[str] = (),
        *,
        all: bool = False,
        last: int = -1,
    ) -> list[ContainerView]:
        """The containers that run, newest first; or `all`, or the `last` ones that were made.

        `filters` as in `container ls --filter`, all of which must fit. Raises UsageError.
        """
        found = select(self._store, listing.views(self._store), filters, all=all or last >= 0)
        return found[:last] if last >= 0 else found

    def inspect(self, name: str) -> ContainerDetails:
        """All that is known of a container."""
        row = stop.resolve(self._store, name)
        return ContainerDetails(
            listing.view(self._store, row),
            listing.process_number(self._store, row),
            logreading.path_of(self._store, row),
            creating.directory_of(self._store, row.id),
            tuple(processes.exec_ids(self._store, row)),
        )

    def layer_directories(self, view: ContainerView) -> LayerDirectories | None:
        """Where the files of a container are; None when it has none of its own."""
        if view.snapshot is None:
            return None
        snapshots = self._store.snapshots
        return snapshots.directories(snapshots.get_active(view.snapshot))

    def sizes(self, view: ContainerView) -> tuple[int, int]:
        """Bytes of a container's own files, and with those of its image."""
        row = self._store.containers.resolve(view.id)
        own = 0 if view.snapshot is None else containers.changes.size_of(self._store, row)
        try:
            return own, own + self._store.images.resolve(view.image).size
        except NotFound:
            return own, own

    def logs(self, name: str, options: LogOptions | None = None) -> Iterator[LogLine]:
        """What a container wrote, in order; with `follow` as it comes, until its end.

        Raises InvalidValue for one that has no log.
        """
        row = stop.resolve(self._store, name)
        return logreading.read(self._store, row, options or LogOptions())

    def log_details(self, name: str) -> dict[str, str]:
        """What its log options say is to be told with each line: labels, variables, the tag."""
        return logreading.details_of(stop.resolve(self._store, name))

    def clean_up(self, identifier: str) -> None:
        """Note the end of a container and clear up after it: what its monitor has called."""
        directory = f"{self._store.paths.detached}/{identifier}"
        with self._store.locks.hold(lock_name(identifier)):
            ended = exit_status(directory, identifier) is not None
            finish(self._store, identifier, monitored=ended)

    def sweep(self) -> None:
        """Find out what became of all containers, and clear up after those that ended."""
        sweep(self._store)
