"""Where containers are started from: a thread with mounts and process numbers of its own.

All that a process of tierce runs in containers is started by one of its threads, the launcher,
which lives in private namespaces:

- *Mounts.* What is mounted for a container is seen by nobody else, and is gone with the last
  process of the namespace: a killed tierce leaves no mounts. In a hybrid setup in which cgroup
  version 2 has controllers, which crun refuses, an empty file system covers that hierarchy.
- *Processes.* The first process that the launcher starts is process 1 of a PID namespace. It
  does nothing but read from a pipe whose other end this process holds. However this process
  ends, the kernel closes the pipe, process 1 ends, and the kernel kills everything else in the
  namespace (pid_namespaces(7)): a killed tierce leaves no processes.
- *Cgroups* (version 1). The thread is in a group of its own, with docker's device rules, and
  children inherit that, so that a runtime need not make groups for each container.

The launcher has a directory for everything that its containers need while they run. It is
locked while the launcher lives; whoever finds one without a lock removes it (`sweep`).
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import threading
import time
from contextlib import contextmanager

from tierce.errors import RuntimeUnavailable
from tierce.lean import SimpleQueue, signal
from tierce.linux import cgroups, mounts, namespaces, procfs, userns
from tierce.runtime.ending import GUARD, below, end_processes

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    Result = TypeVar("Result")

_INIT = "read mount && $mount && cat; exit"
"""Process 1. While the shell waits for cat, it reaps whatever becomes its child: what is left to
itself by `container exec`, for which the kernel would else wait at the end of a container.
(Debian's shell does not ignore SIGCHLD, whatever `trap` says.)"""

_MOUNT_PROC = b"mount -t proc proc /proc\n"
_MOUNT_NOTHING = b":\n"
"""What process 1 does first. The new /proc shows the namespace's processes, as runtimes expect;
before Linux 6.17, only a process in the namespace can mount that."""

_HELLO = b"\n"
"""Sent to process 1, which sends it back when it is ready."""

_LOCK = "lock"
_CGROUPS = "cgroups"
_MOUNT_POINTS = "mounts"
_CGROUP_PREFIX = "tierce-"
_END_SECONDS = 2.0
_POLL_SECONDS = 0.002


class Launcher:
    """Runs functions and starts programs in private namespaces.

    The namespaces are made in the background; `call` waits for them. Usable from all threads,
    but not in a process forked from this one.
    """

    def __init__(
        self, directory: str, device_rules: Iterable[str] = (), *, shares_processes: bool = False
    ) -> None:
        """`directory` exists and is the one for all launchers of a store.

        With `shares_processes` there is no PID namespace, for a container that sees processes
        outside. What is left of it is ended by its groups, by a process that outlives this one.

        With `device_rules` (in the form of cgroup-v1/devices.rst) the launcher enters a cgroup
        of its own, if there is a version 1 with a device controller.
        """
        self.directory, self._lock = _locked_directory(directory)
        self.name = os.path.basename(self.directory)
        self.mount_points = f"{self.directory}/{_MOUNT_POINTS}"
        os.mkdir(self.mount_points)
        self._numbers = itertools.count(1)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._running: set[int] = set()
        self._init = 0
        self._lifeline = -1
        self.setup = cgroups.CgroupSetup("none")
        """The cgroups of the machine. This and the next two are there after a `call`."""
        self.parents: dict[tuple[str, ...], str] = {}
        """Our own group in each hierarchy of version 1, by its controllers."""
        self.group = cgroups.Cgroup(())
        """What the launcher's thread is in."""
        self._removed_later: list[str] = []
        self._failure: Exception | None = None
        self._shares_processes = shares_processes
        arguments = (tuple(device_rules),)
        self._thread = threading.Thread(target=self._serve, args=arguments, daemon=True)
        self._thread.start()

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def in_cgroup(self) -> bool:
        """Whether all that is started is in a cgroup with the device rules. After a `call`."""
        return bool(self.group.directories)

    def next_name(self) -> str:
        """A name that this launcher has not given away yet."""
        return str(next(self._numbers))

    def cgroup_for(self, name: str) -> str:
        """A cgroup for a runtime to make and to remove; `sweep` does when it could not."""
        return f"/{_CGROUP_PREFIX}{self.name}-{name}"

    def note_groups(self, *directories: str) -> None:
        """Have groups removed, with those in them, if this process is killed before it does."""
        with open(f"{self.directory}/{_CGROUPS}", "a", encoding="utf-8") as file:
            file.writelines(f"{directory}\n" for directory in directories)

    def remove_later(self, group: cgroups.Cgroup) -> None:
        """Have what is left of a group removed when the launcher is closed."""
        self._removed_later += group.directories

    def call(self, function: Callable[[], Result]) -> Result:
        """Runs a function in the launcher's thread; returns its result or raises its exception.

        What the function mounts stays in the private namespace. It must not block for long, as
        one thread starts all containers of this process, and cannot make threads. Raises
        RuntimeUnavailable when the namespaces could not be made.
        """
        done = threading.Lock()
        done.acquire()
        results: list[Result] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                if self._failure is not None:
                    raise self._failure
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                failures.append(error)
            done.release()

        self._calls.put(work)
        done.acquire()
        if failures:
            raise failures[0]
        return results[0]

    def spawn(
        self,
        arguments: list[str],
        *,
        program: str,
        environment: dict[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
    ) -> int:
        """Starts a program in the namespaces; returns its number as *this* process sees it.

        It gets only these descriptors, and a session of its own: Ctrl-C at the terminal reaches
        nobody but us. For functions inside of `call`; `reap` is to follow.
        """
        actions = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
        ]
        pid = os.posix_spawn(
            program,
            arguments,
            environment,
            file_actions=actions,
            setsid=True,
            # Python ignores these, and a program inherits that.
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        self._running.add(pid)
        return pid

    def reap(self, pid: int) -> int:
        """Waits for the end of a spawned program; returns its status as wait(2) gives it."""
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:  # `close` was quicker
            status = signal.SIGKILL
        self._running.discard(pid)
        return status

    def close(self) -> None:
        """Ends everything that runs in the namespaces and removes what it needed. Idempotent."""
        if self._lock < 0:
            return
        self._calls.put(None)
        self._thread.join()
        if self._lifeline >= 0:
            os.close(self._lifeline)
        # Process 1 ends after all others are reaped, those by us that nobody waits for.
        for pid in [*self._running, self._init]:
            try:
                os.waitpid(pid, 0) if pid else None
            except ChildProcessError:
                pass
        _remove(self.directory, cgroups.Cgroup((*self._removed_later, *self.group.directories)))
        os.close(self._lock)
        self._lock = -1

    def _serve(self, device_rules: tuple[str, ...]) -> None:
        try:
            # Before /proc is another one, which this thread is not in.
            self.setup = setup = cgroups.detect()
            self.parents = cgroups.legacy_parents(setup)
            started = self._unshare(setup)
            try:
                if device_rules:
                    self._enter(device_rules)
                self._await_init(started)
            finally:
                os.close(started)
        except RuntimeUnavailable as error:
            self._failure = error
        except OSError as error:
            self._failure = RuntimeUnavailable(
                f"make private namespaces: {error.strerror}: {error.filename or 'unshare'}",
                hint=userns.what_containers_need(),
            )
        while call := self._calls.get():
            call()

    def _unshare(self, setup: cgroups.CgroupSetup) -> int:
        """Makes the namespaces and starts process 1; returns where that tells how it went."""
        own = namespaces.CLONE_NEWPID if not self._shares_processes else 0
        namespaces.unshare(namespaces.CLONE_NEWNS | own)
        namespaces.make_private()
        if hidden := setup.unified_in_conflict:
            # Covered, not unmounted: crun makes directories there, which end with this mount.
            mounts.mount("tmpfs", hidden, "tmpfs", mounts.MS_NOSUID, "mode=755")
        script = GUARD if self._shares_processes else _INIT
        lifeline, self._lifeline = os.pipe()
        started, tells = os.pipe()
        try:
            self._init = self.spawn(
                ["sh", "-c", script, "sh", self.directory, self.name],
                program="/bin/sh",
                environment=dict(os.environ),
                stdin=lifeline,
                stdout=tells,
                stderr=tells,
            )
            self._running.discard(self._init)
            first = b"" if self._shares_processes else self._mount_proc()
            try:
                os.write(self._lifeline, first + _HELLO)
            except BrokenPipeError:
                pass  # it has ended, and said why
        finally:
            os.close(lifeline)
            os.close(tells)
        return started

    def _mount_proc(self) -> bytes:
        """Mounts /proc for the new processes, if that can be done from here; what is left to do.

        A program that does it takes as long as all else that is made here.
        """
        try:
            procfs.mount_proc(f"/proc/{self._init}/ns/pid", "/proc")
        except OSError:
            return _MOUNT_PROC
        return _MOUNT_NOTHING

    def _enter(self, device_rules: tuple[str, ...]) -> None:
        group = cgroups.legacy_group(self.parents, f"{_CGROUP_PREFIX}{self.name}")
        self.note_groups(*group.directories)
        group = cgroups.create(group)
        if cgroups.allow_devices(group, device_rules):
            cgroups.enter_with_thread(group)
            self.group = group
        else:
            cgroups.remove(group)

    def _await_init(self, started: int) -> None:
        said = os.read(started, 1000)
        if said != _HELLO:
            reason = said.decode(errors="replace").strip().splitlines()
            raise RuntimeUnavailable(f"mount /proc: {reason[0] if reason else 'no reason given'}")


def sweep(directory: str) -> None:
    """Removes what launchers left behind that were killed; `directory` is that for all of them.

    Their processes and mounts are gone already, by the namespaces; left are files and cgroups.
    """
    for name in os.listdir(directory):
        path = f"{directory}/{name}"
        lock = _lock_of(path)
        if lock < 0:
            continue
        try:
            if _is_at(lock, f"{path}/{_LOCK}"):
                groups = _groups_of(path)
                # Not what others may have put below a parent that was made for this one.
                own = f"/{_CGROUP_PREFIX}{name}"
                end_processes([group for group in groups.directories if own in group])
                _remove(path, groups)
        finally:
            os.close(lock)


@contextmanager
def private_directory(parent: str) -> Iterator[str]:
    """A new directory that only we can enter, removed with the files in it after the block.

    `parent` is the directory for all launchers: `sweep` removes it if this process is killed.
    """
    path, lock = _locked_directory(parent)
    try:
        os.chmod(path, 0o700)
        yield path
    finally:
        _remove_tree(path)
        os.close(lock)


def is_alive(directory: str, name: str) -> bool:
    """Whether a launcher of this name lives, in whichever process."""
    lock = _lock_of(f"{directory}/{name}") if name else -1
    if lock >= 0:
        os.close(lock)
        return False
    return bool(name) and os.path.exists(f"{directory}/{name}/{_LOCK}")


def _locked_directory(parent: str) -> tuple[str, int]:
    """A new directory, and the descriptor that locks it."""
    while True:
        path = f"{parent}/{os.urandom(6).hex()}"
        os.mkdir(path, 0o711)
        lock = _lock_of(path)
        # Between these lines a sweep may have taken the directory for one that is left over.
        if lock >= 0:
            if _is_at(lock, f"{path}/{_LOCK}"):
                return path, lock
            os.close(lock)


def _lock_of(path: str) -> int:
    """The locked descriptor of a launcher's lock file, or -1 when somebody else has the lock."""
    try:
        lock = os.open(f"{path}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return -1
    return lock


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _groups_of(path: str) -> cgroups.Cgroup:
    """The cgroups of a launcher that was killed: its own, and what runtimes made for it."""
    directories: list[str] = []
    prefix = f"{_CGROUP_PREFIX}{os.path.basename(path)}-"
    for mount in cgroups.detect().mounts:
        directories += [
            f"{mount.path}/{name}" for name in os.listdir(mount.path) if name.startswith(prefix)
        ]
    try:
        with open(f"{path}/{_CGROUPS}", encoding="utf-8") as file:
            # A parent is noted before what is made in it.
            directories += file.read().splitlines()[::-1]
    except FileNotFoundError:
        pass
    return cgroups.Cgroup(tuple(below(directories)))


def _remove(path: str, group: cgroups.Cgroup) -> None:
    """Removes a launcher's cgroup and directory, whose lock the caller holds."""
    deadline = time.monotonic() + _END_SECONDS
    while (group := cgroups.remove(group)).directories and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)  # the kernel still ends a thread or a process in it
    _remove_tree(path)


def _remove_tree(path: str) -> None:
    """Removes a directory, and of the mount points in it nothing but themselves."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if os.path.basename(path) == _MOUNT_POINTS:
                    os.rmdir(entry.path)
                else:
                    _remove_tree(entry.path)
            elif entry.name != _LOCK:
                os.unlink(entry.path)
    # The lock goes last: without it, nobody would find the rest.
    try:
        os.unlink(f"{path}/{_LOCK}")
    except FileNotFoundError:
        pass
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
