"""Starting a program where another process lives, and in its control groups.

The new process is forked and not spawned, so that it can move by itself: into namespaces, and
into groups, which in version 2 of cgroups only a whole process enters.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from contextlib import contextmanager

from tierce.errors import ContainerError
from tierce.linux import cgroups, libc, namespaces
from tierce.runtime.monitor import CGROUP_PREFIX, ProcessId
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PR_SET_PDEATHSIG = 1
_CHUNK = 1 << 12
_KINDS = (
    ("user", namespaces.CLONE_NEWUSER),
    ("mnt", namespaces.CLONE_NEWNS),
    ("pid", namespaces.CLONE_NEWPID),
)


class Program(Value):
    """What is to be started: a `descriptor` of it or, if that is -1, its `path`."""

    path: str
    descriptor: int
    arguments: tuple[str, ...]
    streams: tuple[int, int, int]


class Namespaces:
    """The user, mount and PID namespaces of a process that are not ours. Context manager.

    Raises ContainerError when the process has ended.
    """

    def __init__(self, process: ProcessId) -> None:
        self._held: dict[str, int] = {}
        try:
            for kind, _ in _KINDS:
                path = f"/proc/{process.pid}/ns/{kind}"
                if os.readlink(path) != os.readlink(f"/proc/thread-self/ns/{kind}"):
                    self._held[kind] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self.close()
        # The number may have become that of another process meanwhile.
        if not process.is_alive:
            self.close()
            raise ContainerError("enter the container: it is not running")

    def __enter__(self) -> Namespaces:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    @contextmanager
    def for_children(self) -> Iterator[None]:
        """What the calling thread forks meanwhile has its number in the PID namespace."""
        if "pid" not in self._held:
            yield
            return
        own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.setns(self._held["pid"], namespaces.CLONE_NEWPID)
            try:
                yield
            finally:
                namespaces.setns(own, namespaces.CLONE_NEWPID)
        finally:
            os.close(own)

    def enter(self) -> None:
        """Moves this process, which has one thread, into the others."""
        for kind, flag in _KINDS:
            if kind in self._held and kind != "pid":
                namespaces.setns(self._held[kind], flag)


def groups_to_enter(pid: int) -> cgroups.Cgroup:
    """The groups of version 1 that a container's process has of its own."""
    try:
        paths = cgroups.own_paths(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise ContainerError("enter the container: it is not running") from None
    return cgroups.Cgroup(
        tuple(
            mount.path + path
            for mount in cgroups.detect().mounts
            if mount.version == 1 and CGROUP_PREFIX in (path := paths.get(mount.controllers, ""))
        )
    )


def start(
    program: Program,
    environment: Mapping[str, str],
    keeper: ProcessId,
    groups: cgroups.Cgroup,
) -> int:
    """Starts a program in the namespaces of `keeper`; returns its number, as we see it.

    It has a session of its own, gets no other descriptors than the three streams, and is killed
    when the calling thread ends, by whatever. Raises ContainerError.
    """
    told, tells = os.pipe()
    ours, held = os.pipe()
    try:
        with Namespaces(keeper) as entered, entered.for_children():
            pid = os.fork()
            if pid == 0:
                # What the blocks do at their end is not for the new process.
                _become(program, environment, entered, groups, tells, (ours, held))
        os.close(tells)
        tells = -1
        failure = os.read(told, _CHUNK)
    finally:
        for descriptor in (told, tells, ours, held):
            if descriptor >= 0:
                os.close(descriptor)
    if failure:
        os.waitpid(pid, 0)
        raise ContainerError(f"start {program.path}: {failure.decode(errors='replace')}")
    return pid


def _become(
    program: Program,
    environment: Mapping[str, str],
    entered: Namespaces,
    groups: cgroups.Cgroup,
    tells: int,
    lifeline: tuple[int, int],
) -> None:
    """What the forked process does; it never returns. Its parent holds the `lifeline`, a pipe."""
    try:
        parent, held = lifeline
        os.close(held)
        libc.call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if select.select([parent], [], [], 0)[0]:  # it has ended before it would be told of
            os._exit(1)
        os.setsid()
        os.umask(0o022)
        cgroups.enter_with_thread(groups)
        entered.enter()
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and that is inherited
            signal.signal(ignored, signal.SIG_DFL)
        # Beyond the numbers that they are to have, which they may have of each other.
        moved = [fcntl.fcntl(stream, fcntl.F_DUPFD_CLOEXEC, 3) for stream in program.streams]
        for number, stream in enumerate(moved):
            os.dup2(stream, number)
        target = program.descriptor if program.descriptor >= 0 else program.path
        os.execve(target, program.arguments, environment)
    except BaseException as error:  # noqa: BLE001 - this process must not go on as its parent
        reason = error.strerror if isinstance(error, OSError) else repr(error)
        os.write(tells, str(reason).encode(errors="replace"))
    finally:
        os._exit(127)
