"""Asking a container once whether it is well."""

from __future__ import annotations

import os
import select
import signal
import time

from tierce.containers import environment
from tierce.containers.create import directory_of
from tierce.containers.executing import target_of
from tierce.containers.health import (
    OUTPUT_BYTES,
    Health,
    ProbeResult,
    command_of,
    read_health,
    timeout_of,
    write_health,
)
from tierce.containers.state import RUNNING, ContainerState
from tierce.containers.stop import is_paused
from tierce.errors import Conflict, ContainerError
from tierce.linux.process import children, number_of
from tierce.runtime import launcher as launchers
from tierce.runtime.bundle import ProcessSpec
from tierce.runtime.exec import ExecProcess
from tierce.runtime.probe import choose_runtime
from tierce.store import Store
from tierce.store.containers import ContainerRow

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.oci.config import Healthcheck

_CHUNK = 1 << 16
_END_SECONDS = 10.0


def probe(store: Store, row: ContainerRow) -> Health | None:
    """Runs the check of a container once, and notes the answer; returns what is known then.

    None, and nothing is noted, when it has no check, does not run, or is held up. For one process
    at a time. Raises RuntimeUnavailable, StoreError.
    """
    state = ContainerState.decode(row.state)
    check = state.health_check
    if check is None or not row.running or state.status != RUNNING or is_paused(store, row):
        return None
    begun = time.time()
    try:
        code, output = _run(store, row, state, check)
    except Conflict:  # it has ended meanwhile
        return None
    except ContainerError as error:
        code, output = -1, error.message
    directory = directory_of(store, row.id)
    known = read_health(directory) or Health()
    result = ProbeResult(begun, time.time(), code, output)
    health = known.after(result, check, started=state.started)
    try:
        write_health(directory, health)
    except FileNotFoundError:  # removed meanwhile
        return None
    return health


def _run(
    store: Store, row: ContainerRow, state: ContainerState, check: Healthcheck
) -> tuple[int, str]:
    """The exit code and the output, -1 and docker's words for what took too long."""
    spec = ProcessSpec(
        args=command_of(check, state.shell),
        env=environment.merge(state.env, ()),
        cwd=state.working_dir,
        user=state.user,
    )
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    out, writer = os.pipe()
    try:
        with (
            launchers.private_directory(store.paths.bundles) as directory,
            ExecProcess(
                choose_runtime(store.paths), target_of(store, row, state), spec, directory
            ) as process,
        ):
            process.start(stdin=nothing, stdout=writer, stderr=writer, pid_file=f"{directory}/pid")
            os.close(writer)
            writer = -1
            seconds = timeout_of(check)
            output, in_time = _read(out, process.ended, seconds)
            if in_time:
                return process.wait(), _text(output)
            _kill(process.ended)
            # The runtime reaps it; otherwise process 1 of the container would have to.
            if select.select([process.ended], [], [], _END_SECONDS)[0]:
                process.wait()
            said = f": {_text(output)}" if output else ""
            return -1, f"Health check exceeded timeout ({_duration(seconds)}){said}"
    finally:
        for descriptor in (nothing, out, writer):
            if descriptor >= 0:
                os.close(descriptor)


def _read(source: int, ended: int, seconds: float) -> tuple[bytes, bool]:
    """What is written until the process has ended, and whether it has; else so long."""
    deadline = time.monotonic() + seconds
    output = b""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(ended, select.POLLIN)
    over = False
    while True:
        left = 0.0 if over else deadline - time.monotonic()
        ready = {descriptor for descriptor, _ in poll.poll(max(left, 0.0) * 1000)}
        if source in ready:
            data = os.read(source, _CHUNK)
            output = (output + data)[: OUTPUT_BYTES + 1]
            if not data:  # closed by all; that need not be the end
                poll.unregister(source)
                continue
        elif over or not ready:
            return output, over
        if ended in ready:
            poll.unregister(ended)
            over = True


def _kill(runtime: int) -> None:
    """Kills the process that a runtime has started, and then this one ends."""
    for pid in children(number_of(runtime)):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)


def _text(output: bytes) -> str:
    """What is kept, and docker's mark where something was left out."""
    kept = output[:OUTPUT_BYTES].decode(errors="replace")
    return f"{kept}..." if len(output) > OUTPUT_BYTES else kept


def _duration(seconds: float) -> str:
    """As Go shows it: 500ms, 2s, 1m30s."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    shown = f"{rest:g}s"
    if hours:
        return f"{hours}h{minutes}m{shown}"
    return f"{minutes}m{shown}" if minutes else shown
