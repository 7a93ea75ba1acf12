"""The log of one container, found and followed."""

from __future__ import annotations

from contextlib import ExitStack

from tierce.containers.create import log_directory
from tierce.containers.following import LogWaiter, Running
from tierce.containers.logdriver import attributes
from tierce.containers.logfiles import LogFiles, LogMark
from tierce.containers.logs import LogLine, LogOptions, read_log
from tierce.containers.state import STARTING, ContainerState
from tierce.containers.sweep import find
from tierce.errors import InvalidValue
from tierce.store import Store
from tierce.store.containers import ContainerRow

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT_ID = 12


def path_of(store: Store, row: ContainerRow) -> str:
    """The file that is written; empty for a container without a log."""
    directory = log_directory(store, row.id, ContainerState.decode(row.state))
    return directory and LogFiles(directory).current


def mark_of(store: Store, row: ContainerRow) -> LogMark:
    """The end of the log as it is now."""
    return _files(store, row).mark()


def read(
    store: Store, row: ContainerRow, options: LogOptions, *, start: LogMark | None = None
) -> Iterator[LogLine]:
    """The lines of a container's log; see `logs.read_log`. Raises InvalidValue without one."""
    return _lines(store, row, _files(store, row), options, start)


def _lines(
    store: Store, row: ContainerRow, files: LogFiles, options: LogOptions, start: LogMark | None
) -> Iterator[LogLine]:
    def end() -> LogMark | None:
        """The place that this run of the container has come to; another may have begun since."""
        now = files.mark()
        found = find(store, row.id)
        if found is None:
            return None
        state = ContainerState.decode(found.state)
        same = state.started == ContainerState.decode(row.state).started
        if same and state.status != STARTING:
            return now
        return LogMark((state.log_start[0], state.log_start[1]), state.log_start[2])

    with ExitStack() as stack:
        held = None
        if options.follow and row.running:
            held = stack.enter_context(Running(store, row))
        waiter = stack.enter_context(LogWaiter(files.directory, held))
        yield from read_log(files, options, waiter, start=start, end=end)


def details_of(row: ContainerRow) -> dict[str, str]:
    """Labels and variables that the log options choose, and the tag."""
    state = ContainerState.decode(row.state)
    image = row.image.rpartition(":")[2]
    return attributes(
        dict(state.log_options),
        labels=dict(state.labels),
        env={name: value for name, _, value in (entry.partition("=") for entry in state.env)},
        fields={
            "ID": row.id[:_SHORT_ID],
            "FullID": row.id,
            "Name": row.name,
            "ImageID": image[:_SHORT_ID],
            "ImageFullID": row.image,
            "ImageName": state.image_name,
            "Command": " ".join(state.args),
            "DaemonName": "docker",
        },
    )


def _files(store: Store, row: ContainerRow) -> LogFiles:
    directory = log_directory(store, row.id, ContainerState.decode(row.state))
    if not directory:
        raise InvalidValue(
            "configured logging driver does not support reading",
            hint=f"container {row.name} was made with --log-driver none",
        )
    return LogFiles(directory)
