"""Running the RUN steps of a build."""

from __future__ import annotations

import os
import select

from tierce.errors import Cancelled, ContainerError
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import BindMount, Isolation, ProcessSpec
from tierce.runtime.crun import Container, ContainerSpec, Engine, TextFile
from tierce.runtime.launcher import Launcher, sweep
from tierce.runtime.resolver import BUILD_HOSTNAME, resolv_conf, step_hosts
from tierce.runtime.runtimes import Runtime

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    Log = Callable[[int, bytes], None]

STDOUT, STDERR = 1, 2

_CHUNK = 1 << 16
_CANCEL_MILLISECONDS = 50


class StepRunner:
    """Runs steps, several at once, in containers with docker's default isolation.

    A context manager; what still runs when the block is left is killed.
    """

    def __init__(self, directory: str, runtime: Runtime) -> None:
        """`directory` is where launchers have their directories: `bundles` of a store."""
        sweep(directory)
        rules = Isolation(BUILD_HOSTNAME).device_rules
        self._launcher = Launcher(directory, rules if runtime.shares_cgroup else ())
        self._engine = Engine(runtime, self._launcher)

    def __enter__(self) -> StepRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends everything. Idempotent."""
        self._launcher.close()
        self._engine.close()

    def run(
        self,
        root: Sequence[MountSpec],
        process: ProcessSpec,
        *,
        log: Log,
        cancel: threading.Event,
        binds: Sequence[BindMount] = (),
        network: str = "default",
        hosts: Sequence[tuple[str, str]] = (),
    ) -> int:
        """Runs a process on a root file system, to which its changes go; returns its exit status.

        `root` is mounted for the step only, and seen by nobody else. `log` is called by this
        thread with 1 (stdout) or 2 (stderr) and what was written there, complete and as it comes.
        `network` is "host", "none", or "default", which is the host's. `hosts` are (name,
        address) for /etc/hosts. Nothing that is mounted in the root leaves a trace there.

        A command that is not there or not executable gives 127 or 126 with a line on stderr, as
        from a shell. Raises ContainerError when the container cannot be made, Cancelled when
        `cancel` was set, after the end of all its processes.
        """
        host_network = network != "none"
        spec = ContainerSpec(
            tuple(root),
            process,
            Isolation(BUILD_HOSTNAME, host_network=host_network),
            tuple(binds),
            (
                TextFile("/etc/resolv.conf", resolv_conf(host_network=host_network)),
                TextFile("/etc/hosts", step_hosts(hosts)),
            ),
        )
        try:
            with Container(self._engine, spec) as container:
                _start_with_pipes(container, log, cancel)
                return container.wait()
        except ContainerError as error:
            if error.exit_code == ContainerError.OURS:
                raise
            log(STDERR, f"{error.message}\n".encode())
            return error.exit_code


def _start_with_pipes(container: Container, log: Log, cancel: threading.Event) -> None:
    """Starts the container and reads what it writes until its end."""
    out, out_writer = os.pipe()
    err, err_writer = os.pipe()
    streams = {out: STDOUT, err: STDERR}
    try:
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            container.start(stdin=nothing, stdout=out_writer, stderr=err_writer)
        finally:
            for descriptor in (nothing, out_writer, err_writer):
                os.close(descriptor)
        _read_all(streams, log, container, cancel)
    finally:
        os.close(out)
        os.close(err)


def _read_all(
    streams: dict[int, int], log: Log, container: Container, cancel: threading.Event
) -> None:
    """Reads both streams to their ends, which come when the last process of the step is dead."""
    poll = select.poll()
    for descriptor in streams:
        poll.register(descriptor, select.POLLIN)
    open_streams = len(streams)
    while open_streams:
        for descriptor, _ in poll.poll(_CANCEL_MILLISECONDS):
            if data := os.read(descriptor, _CHUNK):
                log(streams[descriptor], data)
            else:
                poll.unregister(descriptor)
                open_streams -= 1
        if cancel.is_set():
            container.kill()
            raise Cancelled("step cancelled")
