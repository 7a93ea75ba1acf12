"""Running the RUN steps of a build."""

from __future__ import annotations

import os
import select

from tierce.errors import Cancelled, ContainerError
from tierce.linux.mounts import MountSpec
from tierce.linux.resources import Resources
from tierce.runtime import capabilities
from tierce.runtime.bundle import SHM_SIZE, BindMount, Isolation, ProcessSpec, TmpfsMount
from tierce.runtime.container import ContainerSpec, SecretFile, TextFile
from tierce.runtime.crun import Container, Engine
from tierce.runtime.groups import GroupSpec
from tierce.runtime.launcher import Launcher, sweep
from tierce.runtime.resolver import BUILD_HOSTNAME, resolv_conf, step_hosts
from tierce.runtime.runtimes import Runtime
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    Log = Callable[[int, bytes], None]

STDOUT, STDERR = 1, 2

_FILE_OPTIONS = ("rprivate", "nosuid", "noexec", "nodev")
_CHUNK = 1 << 16
_CANCEL_MILLISECONDS = 50


class StepSpec(Value):
    """A process and the root file system it runs on, to which its changes go.

    `root` is mounted for the step only, and seen by nobody else. `network` is "host", "none", or
    "default", which is the host's. `hosts` are (name, address) for /etc/hosts. A `private` step
    has secrets in the environment of its process. An `insecure` one may do what this process may.
    Groups are made below `cgroup_parent`, when there is one; see `GroupSpec`.
    """

    root: tuple[MountSpec, ...]
    process: ProcessSpec
    binds: tuple[BindMount | TmpfsMount, ...] = ()
    secrets: tuple[SecretFile, ...] = ()
    private: bool = False
    network: str = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    insecure: bool = False
    resources: Resources = Resources()
    cgroup_parent: str = ""
    shm_size: int = SHM_SIZE


class StepEnd(Value):
    """The exit status of a step, and whether it ran `out_of_memory`, whatever the status."""

    status: int
    out_of_memory: bool = False


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

    def private_directory(self) -> str:
        """A new directory that nobody else may look into, removed when this is closed."""
        path = f"{self._launcher.directory}/private{self._launcher.next_name()}"
        os.mkdir(path, 0o700)
        return path

    def run(self, step: StepSpec, *, log: Log, cancel: threading.Event) -> StepEnd:
        """Runs a step to its end.

        `log` is called by this thread with 1 (stdout) or 2 (stderr) and what was written there,
        complete and as it comes. Nothing that is mounted in the root leaves a trace there.

        A command that is not there or not executable gives 127 or 126 with a line on stderr, as
        from a shell. Raises ContainerError when the container cannot be made, or limited as it
        has to be; Cancelled when `cancel` was set, after the end of all its processes.
        """
        try:
            with Container(self._engine, _container(step)) as container:
                _start_with_pipes(container, log, cancel)
                return StepEnd(container.wait(), container.out_of_memory)
        except ContainerError as error:
            if error.exit_code == ContainerError.OURS:
                raise
            log(STDERR, f"{error.message}\n".encode())
            return StepEnd(error.exit_code)


def _container(step: StepSpec) -> ContainerSpec:
    host_network = step.network != "none"
    isolation = Isolation(BUILD_HOSTNAME, host_network=host_network, shm_size=step.shm_size)
    if step.insecure:
        every = capabilities.ALL
        isolation = isolation.replace(privileged=True, insecure=True, capabilities=every)
    groups = GroupSpec(step.resources, step.cgroup_parent, step.insecure)
    return ContainerSpec(
        step.root,
        step.process,
        isolation,
        step.binds,
        (
            TextFile(
                "/etc/resolv.conf", resolv_conf(host_network=host_network), options=_FILE_OPTIONS
            ),
            TextFile("/etc/hosts", step_hosts(step.hosts), options=_FILE_OPTIONS),
        ),
        secrets=step.secrets,
        private=step.private,
        # Most steps need no groups of their own, and making them takes longer than `true`.
        groups=groups if groups != GroupSpec() else None,
    )


def _start_with_pipes(container: Container, log: Log, cancel: threading.Event) -> None:
    """Starts the container and reads what it writes until its end."""
    out, out_writer = os.pipe()
    err, err_writer = os.pipe()
    streams = {out: STDOUT, err: STDERR}
    try:
        # Not /dev/null: crun opens that of the container instead, and gives it to the user.
        nothing, nobody = os.pipe()
        os.close(nobody)
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
