"""`container exec`: one more process in a running container, with our streams or without."""

from __future__ import annotations

import os
import signal
import time

from tierce.containers import environment
from tierce.containers.detaching import DETACHED, DetachKeys
from tierce.containers.following import FOREGROUND, Running
from tierce.containers.foreground import Streams
from tierce.containers.processes import RECORD, keeper_of, record_directory
from tierce.containers.relay import Relay, SignalPipe
from tierce.containers.state import RUNNING, ContainerState
from tierce.containers.stop import is_paused
from tierce.containers.terminal import ConsoleSocket, RawMode, copy_size, size_of
from tierce.errors import Conflict, ContainerError, TierceError, UsageError
from tierce.runtime import launcher as launchers
from tierce.runtime.bundle import ProcessSpec
from tierce.runtime.exec import ExecProcess, ExecTarget
from tierce.runtime.monitor import ProcessId
from tierce.runtime.probe import choose_runtime
from tierce.store import Store
from tierce.store.containers import ContainerRow
from tierce.values import Value

_START_SECONDS = 10.0
_POLL_SECONDS = 0.005


class ExecRequest(Value):
    """A command to be run in a container.

    Empty text means: as the container has it. `env` is as in RunRequest. `stdin`: it reads our
    standard input. `detached`: we do not wait for it, and its streams lead nowhere.
    """

    command: tuple[str, ...]
    env: tuple[tuple[str, str | None], ...] = ()
    working_dir: str = ""
    user: str = ""
    stdin: bool = False
    terminal: bool = False
    privileged: bool = False
    detached: bool = False
    detach_keys: str = ""


def execute(
    store: Store, row: ContainerRow, request: ExecRequest, streams: Streams | None = None
) -> int:
    """Runs a command in a container; returns its exit status, 0 for a detached one.

    When this process is killed, the command goes on without its streams. Raises Conflict for a
    container that does not run or is paused, ContainerError with the exit status of `container
    exec`, TierceError when somebody detached by the keys, UsageError, RuntimeUnavailable.
    """
    streams = streams or Streams()
    state = ContainerState.decode(row.state)
    keys = DetachKeys(request.detach_keys)
    if not row.running or state.status != RUNNING:
        raise Conflict(f"container {row.id} is not running")
    if is_paused(store, row):
        raise Conflict(f"container {row.id} is paused, unpause the container before exec")
    interactive = request.stdin and not request.detached
    if request.terminal and interactive and not os.isatty(streams.stdin):
        raise TierceError("the input device is not a TTY")
    target = target_of(store, row, state)
    spec = _process_of(request, state, streams)
    launchers.sweep(store.paths.bundles)
    with (
        launchers.private_directory(store.paths.bundles) as directory,
        ExecProcess(
            choose_runtime(store.paths, state.runtime),
            target,
            spec,
            directory,
            privileged=request.privileged,
        ) as process,
    ):
        record = f"{record_directory(store, row, state)}/{RECORD}{os.urandom(32).hex()}"
        started = _Execution(process, directory, record)
        if request.detached:
            return started.leave(terminal=request.terminal)
        if request.terminal:
            return started.on_terminal(streams, keys, stdin=request.stdin)
        return started.with_pipes(streams, stdin=request.stdin)


def target_of(store: Store, row: ContainerRow, state: ContainerState) -> ExecTarget:
    """A running container as its runtime knows it. Raises Conflict when it has ended."""
    with Running(store, row) as running:
        process = ProcessId.of(running.pid)
    directory = record_directory(store, row, state)
    if state.detached:
        return ExecTarget(
            name=row.id,
            state=f"{directory}/state",
            bundle=f"{directory}/bundle",
            process=process,
            keeper=keeper_of(store, row, state),
        )
    keeper = keeper_of(store, row, state)
    _await_start(row, process, keeper)
    return ExecTarget(
        name=FOREGROUND,
        state=f"{directory}/state",
        bundle=f"{directory}/{FOREGROUND}",
        process=process,
        keeper=keeper,
    )


def _await_start(row: ContainerRow, process: ProcessId, runtime: ProcessId) -> None:
    """Waits until process 1 is the container's own program.

    Before that it is the runtime that sets up the container, whose root may still be the host's.
    """
    deadline = time.monotonic() + _START_SECONDS
    while process.is_alive and time.monotonic() < deadline:
        try:
            if not os.path.samefile(f"/proc/{process.pid}/exe", f"/proc/{runtime.pid}/exe"):
                return
        except (FileNotFoundError, ProcessLookupError):
            break
        time.sleep(_POLL_SECONDS)
    raise Conflict(f"container {row.id} is not running")


def _process_of(request: ExecRequest, state: ContainerState, streams: Streams) -> ProcessSpec:
    first = [*(["TERM=xterm"] if request.terminal else []), *state.env]
    cwd = request.working_dir or state.working_dir
    if not cwd.startswith("/"):
        raise UsageError(
            f"the working directory '{cwd}' is invalid, it needs to be an absolute path"
        )
    return ProcessSpec(
        args=request.command,
        env=environment.merge(first, request.env),
        cwd=cwd,
        user=request.user or state.user,
        groups=tuple(dict(state.rights).get("groups", ())),
        terminal=request.terminal,
        size=size_of(streams.stdout) if request.terminal else None,
    )


class _Execution:
    """The ways to start the process. `directory` is one that only we can enter."""

    def __init__(self, process: ExecProcess, directory: str, record: str) -> None:
        self._process = process
        self._directory = directory
        self._record = record

    def leave(self, *, terminal: bool) -> int:
        """Starts it, and does not wait for its end."""
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        console = ConsoleSocket(self._directory) if terminal else None
        try:
            self._process.start(
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
                pid_file=self._record,
                console=console.path if console else "",
                detached=True,
            )
            master = console.receive(self._process.ended) if console else -1
            if master >= 0:
                _keep(master)
                os.close(master)
            status = self._process.wait()
            if status:
                raise ContainerError(f"start the command: the runtime ended with status {status}")
            return 0
        finally:
            os.close(nothing)
            if console:
                console.close()

    def with_pipes(self, streams: Streams, *, stdin: bool) -> int:
        """Starts it with pipes to our streams, as the container does not get ours themselves."""
        out, out_writer = os.pipe()
        err, err_writer = os.pipe()
        in_reader, in_writer = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), -1)
        try:
            self._process.start(
                stdin=in_reader, stdout=out_writer, stderr=err_writer, pid_file=self._record
            )
        finally:
            for descriptor in (in_reader, out_writer, err_writer):
                os.close(descriptor)
        relay = Relay(self._process.ended)
        relay.copy(out, streams.stdout)
        relay.copy(err, streams.stderr)
        if stdin:
            relay.feed(streams.stdin, in_writer)
        relay.run(linger=False)
        return self._ended()

    def on_terminal(self, streams: Streams, keys: DetachKeys, *, stdin: bool) -> int:
        """Starts it on a terminal of its own, shown on ours."""
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        console = ConsoleSocket(self._directory)
        try:
            with SignalPipe(only=(signal.SIGWINCH,)) as signals:
                self._process.start(
                    stdin=nothing,
                    stdout=nothing,
                    stderr=nothing,
                    pid_file=self._record,
                    console=console.path,
                )
                master = console.receive(self._process.ended)
                if master < 0:
                    return self._ended()
                copy_size(streams.stdout, master)
                kept = os.dup(master)
                try:
                    relay = Relay(self._process.ended)
                    relay.copy(master, streams.stdout)
                    relay.on_signal(signals.reader, lambda _: copy_size(streams.stdout, kept))
                    if stdin:
                        relay.feed(streams.stdin, os.dup(master), keys=keys)
                    if stdin and os.isatty(streams.stdin):
                        with RawMode(streams.stdin):
                            relay.run(linger=False)
                    else:
                        relay.run(linger=False)
                    if relay.detached:
                        _keep(kept)
                        raise TierceError(DETACHED)
                finally:
                    os.close(kept)
                return self._ended()
        finally:
            os.close(nothing)
            console.close()

    def _ended(self) -> int:
        try:
            return self._process.wait()
        finally:
            try:
                os.unlink(self._record)
            except FileNotFoundError:  # it was not started, or the container has ended
                pass


def _keep(master: int) -> None:
    """Holds a terminal that nobody looks at, until no process in the container has it open.

    Otherwise these would be told that it was hung up. What they write to it is thrown away.
    """
    os.set_blocking(master, True)  # as cat expects it
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, master, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (1, 2)]
    try:
        os.posix_spawnp("cat", ["cat"], os.environ, file_actions=actions, setsid=True)
    finally:
        os.close(nothing)
