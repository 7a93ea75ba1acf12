"""Running a container by `crun run` (or `runc run`, which takes the same arguments)."""

from __future__ import annotations

import os
import select
from contextlib import nullcontext

from tierce.lean import signal
from tierce.linux.process import bounding_capabilities, children, start_time
from tierce.runtime import bundle, capabilities, executable, unprivileged
from tierce.runtime.container import ContainerSpec, write_bundle
from tierce.runtime.ending import Follower, below, end_processes
from tierce.runtime.groups import ContainerGroups
from tierce.runtime.launcher import Launcher
from tierce.runtime.root import ContainerRoot
from tierce.runtime.runtimes import Runtime, failure_in_log, sealed_copy
from tierce.runtime.seccomp import profile

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.runtime.particulars import Pins

_LEFT_OUT_OF_ENVIRONMENT = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET")
"""By these a runtime would pass the caller's own sockets on to the container."""

PID_FILE = "pid"
"""Number and start time of the runtime, whose child is the container's process 1."""

_KILL_MILLISECONDS = 10


class Engine:
    """A runtime and the launcher that starts it. Usable from all threads."""

    def __init__(self, runtime: Runtime, launcher: Launcher) -> None:
        self.runtime = runtime
        self.launcher = launcher
        self.grantable = bounding_capabilities()
        self._copy = sealed_copy(runtime.path)
        self._environment = runtime_environment()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of what the engine holds, not of the launcher. Idempotent."""
        if self._copy >= 0:
            os.close(self._copy)
            self._copy = -1

    @property
    def shares_cgroup(self) -> bool:
        """Whether the runtime runs in the cgroup it is started in, and makes none."""
        runtime = self.runtime
        return runtime.shares_cgroup and (self.launcher.in_cgroup or runtime.groupless)

    @property
    def state(self) -> str:
        """The directory of the runtime's state."""
        return f"{self.launcher.directory}/state"

    def spawn(
        self,
        command: Sequence[str],
        *,
        log: str,
        stdin: int,
        stdout: int,
        stderr: int,
        state: str = "",
    ) -> int:
        """Starts the runtime with a command and its arguments; for the launcher's thread."""
        arguments = [
            self.runtime.name,
            *("--root", state or self.state),
            *("--log", log, "--log-format", "json"),
            # Else crun would make a group in each hierarchy, and move the container there, which
            # takes longer than all the rest.
            *(("--cgroup-manager", "disabled") if self.shares_cgroup else ()),
            *command,
        ]
        return self.launcher.spawn(
            arguments,
            program=f"/proc/self/fd/{self._copy}" if self._copy >= 0 else self.runtime.path,
            environment=self._environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def cgroup_for(self, name: str) -> str:
        """The cgroup that the runtime is to make for a container; empty when it is to make none."""
        none = self.shares_cgroup or self.runtime.groupless
        return "" if none else self.launcher.cgroup_for(name)

    def seccomp_for(self, isolation: bundle.Isolation) -> bundle.SeccompPolicy:
        """See the function of this name."""
        return seccomp_for(self.runtime, isolation)


def seccomp_for(runtime: Runtime, isolation: bundle.Isolation) -> bundle.SeccompPolicy:
    """Docker's default profile, compiled if we have that; none for a privileged container.

    Unless the container has one of its own. Raises ContainerError for one that is none.
    """
    particulars = isolation.particulars
    if particulars is not None and particulars.seccomp is not None:
        return bundle.SeccompPolicy(particulars.own_profile(isolation.capabilities))
    if isolation.privileged:
        return bundle.SeccompPolicy()
    if runtime.seccomp_filter and isolation.capabilities == capabilities.DEFAULT:
        return bundle.SeccompPolicy(filter=runtime.seccomp_filter)
    return bundle.SeccompPolicy(profile(isolation.capabilities))


def runtime_environment() -> dict[str, str]:
    """The environment that runtimes, and what starts them, get."""
    environment = {
        name: value for name, value in os.environ.items() if name not in _LEFT_OUT_OF_ENVIRONMENT
    }
    environment.setdefault("PATH", bundle.DEFAULT_PATH)
    return environment


class Container:
    """One container, from its mounts to the end of its process; used by one thread.

    A context manager: leaving the block kills what still runs, unmounts, and removes all files.
    """

    def __init__(self, engine: Engine, spec: ContainerSpec) -> None:
        self._engine = engine
        self._launcher = engine.launcher
        self._spec = spec
        self.name = self._launcher.next_name()
        self._directory = f"{self._launcher.directory}/{self.name}"
        self._log = f"{self._directory}/log"
        self._root = ContainerRoot(self._launcher.mount_points, self.name)
        self._groups: ContainerGroups | None = None
        self._made_by_runtime: tuple[str, ...] = ()
        self._follower: Follower | None = None
        self._state = ""
        self._pid = 0
        self.ended = -1
        """A pidfd of the runtime, readable when it has ended; -1 before `start`."""
        self.out_of_memory = False
        """Whether the kernel killed a process for what the container's groups may use."""

    @property
    def shares_processes(self) -> bool:
        """Whether others of the container may go on when its process 1 has ended."""
        particulars = self._spec.isolation.particulars
        return particulars is not None and particulars.needs_host_processes

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid:
            self.kill()
            self._reap()
        self._launcher.call(self._remove)

    def start(self, *, stdin: int, stdout: int, stderr: int, console: str = "") -> None:
        """Mounts everything and starts the process with these descriptors.

        With a terminal, `console` is the socket that the runtime sends its other end to. Raises
        ContainerError, with the exit status that `container run` is to have.
        """

        particulars = self._spec.isolation.particulars
        pins = particulars.pins() if particulars is not None else None
        first = f"{self._directory}/first"

        def work() -> None:
            bundle_directory = self._prepare(pins)
            command = ["run", "--bundle", bundle_directory]
            command += ["--console-socket", console] if console else []
            command += ["--pid-file", first] if self.shares_processes else []
            with self._groups.entered() if self._groups else nullcontext():
                self._pid = self._engine.spawn(
                    [*command, self.name],
                    log=self._log,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    state=self._state,
                )

        with pins or nullcontext():
            self._launcher.call(work)
        self.ended = os.pidfd_open(self._pid)
        with open(f"{self._directory}/{PID_FILE}", "w", encoding="ascii") as file:
            file.write(f"{self._pid} {start_time(self._pid)}")
        if self.shares_processes:
            self._follower = Follower(first, self.ended, self._end_others)

    def send(self, number: int) -> None:
        """Sends a signal to the process; the runtime passes on what it gets."""
        try:
            os.kill(self._pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """Kills the container's process 1, and by that all others; returns when they are dead."""
        poll = select.poll()
        poll.register(self.ended, select.POLLIN)
        while True:
            # The runtime is asked to do nothing: it may hang, or have started nothing yet.
            for pid in children(self._pid) or [self._pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if poll.poll(_KILL_MILLISECONDS):
                return

    def wait(self) -> int:
        """Waits for the end; returns the exit status, 128 + n for one that ended by signal n.

        Raises ContainerError when the runtime could not start the process.
        """
        status = self._reap()
        status = status if status >= 0 else 128 - status
        if status != 0 and self._groups is not None:
            self.out_of_memory = self._groups.out_of_memory(status)
        if status != 0 and not self.out_of_memory and (reason := failure_in_log(self._log)):
            raise executable.failure(self._spec.process.args[0], reason)
        return status

    def _reap(self) -> int:
        if self._follower is not None:
            self._follower.join()
            self._follower = None
        status = os.waitstatus_to_exitcode(self._launcher.reap(self._pid))
        self._pid = 0
        os.close(self.ended)
        self.ended = -1
        return status

    def _prepare(self, pins: Pins | None) -> str:
        """Mounts all, and writes the bundle; returns where that is."""
        os.mkdir(self._directory, 0o700)
        bundle_directory = write_bundle(
            self._spec,
            self._directory,
            self._root,
            grantable=self._engine.grantable,
            seccomp=self._engine.seccomp_for(self._spec.isolation),
            cgroup=self._cgroup,
            pins=pins,
            space=self._engine.runtime.space,
        )
        if bundle_directory != self._directory:
            # The runtime keeps a copy of the bundle's config, with the environment, in its state.
            self._state = f"{bundle_directory}/state"
        return bundle_directory

    def _cgroup(self) -> str:
        """The cgroup that the runtime is to make; those that are ours are made."""
        groups = self._spec.groups
        if groups is None or (self._engine.runtime.groupless and not unprivileged.limits(groups)):
            path = self._engine.cgroup_for(self.name)
            if path and self.shares_processes:
                found = self._launcher.setup.mounts
                self._made_by_runtime = tuple([f"{mount.path}{path}" for mount in found])
                self._launcher.note_groups(*self._made_by_runtime)
            return path
        shared = self._engine.shares_cgroup
        self._groups = ContainerGroups(self._launcher, self.name, groups, shared=shared)
        self._groups.make(self._spec.isolation.device_rules)
        return self._groups.path

    def _end_others(self) -> None:
        """Ends what has outlived process 1, which nothing does in a PID namespace of its own."""
        launcher = self._launcher
        groups = [*launcher.group.directories, *self._made_by_runtime]
        groups += self._groups.directories if self._groups is not None else ()
        end_processes(below(groups), spare={os.getpid(), self._pid})

    def _remove(self) -> None:
        if self.shares_processes:
            self._end_others()
        if self._groups is not None:
            self._groups.remove()
        self._root.remove_stubs()
        self._root.close()
        for directory in (self._directory, f"{self._launcher.directory}/state/{self.name}"):
            _remove_files(directory)


def _remove_files(directory: str) -> None:
    """Removes a directory of files; the state of a runtime that was killed, for example."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        os.unlink(f"{directory}/{name}")
    os.rmdir(directory)
