"""Starting a program where another process lives, and in its control groups.

The new process is forked and not spawned, so that it can move by itself: into namespaces, and
into groups, which in version 2 of cgroups only a whole process enters.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading
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

    @property
    def can_return(self) -> bool:
        """Whether a thread that has done `fork_inside` can fork outside afterwards."""
        if "pid" not in self._held:
            return True
        with _own_processes() as own:
            try:
                namespaces.setns(own, namespaces.CLONE_NEWPID)
            except PermissionError:  # ours is not of the user namespace that we are root in
                return False
        return True

    @contextmanager
    def returning(self) -> Iterator[None]:
        """After the block, what this thread forks is in our own PID namespace again."""
        if "pid" not in self._held:
            yield
            return
        with _own_processes() as own:
            try:
                yield
            finally:
                namespaces.setns(own, namespaces.CLONE_NEWPID)

    def fork_inside(self) -> int:
        """os.fork(), with the new process in the PID namespace, as the thread's later ones are."""
        if "pid" in self._held:
            namespaces.setns(self._held["pid"], namespaces.CLONE_NEWPID)
        return os.fork()

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


class Child:
    """A program that runs in the namespaces of `keeper`, and is to be reaped.

    It has a session of its own, gets no other descriptors than the three streams, and is killed
    when this process ends, by whatever. `pid` is its number, as we see it.
    """

    def __init__(
        self,
        program: Program,
        environment: Mapping[str, str],
        keeper: ProcessId,
        groups: cgroups.Cgroup,
    ) -> None:
        """Starts it. Raises ContainerError."""
        self._start = _Start(program, environment, groups)
        self._reaped = threading.Event()
        with Namespaces(keeper) as entered:
            if entered.can_return:
                with entered.returning():
                    self._start.fork(entered)
            else:
                # The kernel kills what a thread has forked when that ends, so one stays.
                forked = threading.Event()
                threading.Thread(
                    target=self._fork_and_stay, args=(entered, forked), daemon=True
                ).start()
                forked.wait()
        try:
            self.pid = self._start.result()
        except ContainerError:
            self._reaped.set()
            raise

    def reap(self) -> int:
        """Waits for the end; returns the status as wait(2) gives it. Once."""
        try:
            _, status = os.waitpid(self.pid, 0)
        finally:
            self._reaped.set()
        return status

    def _fork_and_stay(self, entered: Namespaces, forked: threading.Event) -> None:
        try:
            self._start.fork(entered)
        finally:
            forked.set()
        self._reaped.wait()


class _Start:
    """The steps of a start, and what became of it."""

    def __init__(
        self, program: Program, environment: Mapping[str, str], groups: cgroups.Cgroup
    ) -> None:
        self._program = program
        self._environment = environment
        self._groups = groups
        self._pid = 0
        self._failure = ""

    def fork(self, entered: Namespaces) -> None:
        told, tells = os.pipe()
        ours, held = os.pipe()
        try:
            self._pid = entered.fork_inside()
            if self._pid == 0:
                # What the blocks do at their end is not for the new process.
                program = self._program
                _become(program, self._environment, entered, self._groups, tells, (ours, held))
            os.close(tells)
            tells = -1
            self._failure = os.read(told, _CHUNK).decode(errors="replace")
        except OSError as error:
            self._failure = str(error.strerror)
        finally:
            for descriptor in (told, tells, ours, held):
                if descriptor >= 0:
                    os.close(descriptor)

    def result(self) -> int:
        """The number of what was started. Raises ContainerError."""
        if self._failure:
            if self._pid:
                os.waitpid(self._pid, 0)
            raise ContainerError(f"start {self._program.path}: {self._failure}")
        return self._pid


@contextmanager
def _own_processes() -> Iterator[int]:
    """A descriptor of our own PID namespace."""
    descriptor = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


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
        _keep_for_ourselves()
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


def _keep_for_ourselves() -> None:
    """Has no descriptor passed on that whoever has called us left open."""
    for name in os.listdir("/proc/self/fd"):
        try:
            os.set_inheritable(int(name), False)
        except OSError:  # the one by which the directory was read
            continue
