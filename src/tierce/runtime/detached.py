"""Starting a container that outlives the command: in a mount namespace that conmon keeps.

The namespace is that of one thread of this process. What is mounted in it is seen by nobody
else, and it ends with the last process in it: first this thread, then conmon and the container.
So nothing is mounted any more when these have ended, however that came.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import nullcontext

from tierce.errors import ContainerError, RuntimeUnavailable
from tierce.lean import json, signal
from tierce.linux import cgroups, mounts, namespaces, userns
from tierce.linux.process import bounding_capabilities
from tierce.linux.resources import killed_for_memory
from tierce.runtime import executable, unprivileged
from tierce.runtime.container import write_bundle
from tierce.runtime.crun import runtime_environment, seccomp_for
from tierce.runtime.ending import end_processes
from tierce.runtime.monitor import (
    CGROUP_PREFIX,
    ENDED,
    PARENT,
    ProcessId,
    find_monitor,
    monitor_arguments,
    number_in,
)
from tierce.runtime.root import ContainerRoot
from tierce.runtime.runtimes import failure_in_log, sealed_copy
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from tierce.runtime.container import ContainerSpec
    from tierce.runtime.particulars import Pins
    from tierce.runtime.runtimes import Runtime

    Result = TypeVar("Result")

_START_SECONDS = 120.0
_CHUNK = 1 << 16


class DetachedSpec(Value):
    """A container to be started in the background.

    `directory` is the one that `monitor` describes, `log` the file that its output goes to (empty:
    none); `exit_command` is run at its end, with whatever environment this process has.
    conmon keeps the descriptors in `held` open. `created` is called before the process runs, when
    all that is in `directory` is there. The process's input stays open when somebody who gave it
    has no more, unless that is given only `once`.
    """

    id: str
    container: ContainerSpec
    directory: str
    log: str
    stdin: bool
    exit_command: tuple[str, ...]
    held: tuple[int, ...] = ()
    stdin_once: bool = False
    created: Callable[[], None] | None = None


class Started(Value):
    """The container's process 1, and the conmon that watches it."""

    process: ProcessId
    monitor: ProcessId


def start_detached(runtime: Runtime, spec: DetachedSpec) -> Started:
    """Starts a container; returns when its process runs.

    Raises ContainerError, with the exit status that `container run` is to have, and
    RuntimeUnavailable. What was started is then still there: see `clear`.
    """
    program = find_monitor()
    return in_private_mounts(lambda: _Start(runtime, spec, program).run())


def in_private_mounts(function: Callable[[], Result]) -> Result:
    """Calls a function in a thread with a mount namespace of its own.

    In a hybrid setup, cgroup version 2 is covered there as `launcher` does it. Raises what the
    function raises, and RuntimeUnavailable.
    """
    results: list[Result] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            _unshare()
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        thread.join()
    except BaseException:  # interrupted: what it is at must be over before anything is undone
        thread.join()
        raise
    if failures:
        raise failures[0]
    return results[0]


def _unshare() -> None:
    try:
        hidden = cgroups.detect().unified_in_conflict
        namespaces.unshare(namespaces.CLONE_NEWNS)
        namespaces.make_private()
        if hidden:
            mounts.mount("tmpfs", hidden, "tmpfs", mounts.MS_NOSUID, "mode=755")
    except OSError as error:
        raise RuntimeUnavailable(
            f"make a private mount namespace: {error.strerror}",
            hint=userns.what_containers_need(),
        ) from error


class _Start:
    """The steps of one start, in the private mount namespace."""

    def __init__(self, runtime: Runtime, spec: DetachedSpec, program: str) -> None:
        self._runtime = runtime
        self._spec = spec
        self._program = program
        self._options = (
            *("--root", f"{spec.directory}/state"),
            *("--log", f"{spec.directory}/log", "--log-format", "json"),
            *(("--cgroup-manager", "disabled") if self._groupless_crun else ()),
        )

    @property
    def _groupless_crun(self) -> bool:
        # runc leaves groups alone by itself where it may make none.
        return self._runtime.groupless and self._runtime.name == "crun"

    def run(self) -> Started:
        os.chdir("/")  # for this thread, and conmon: it is to hold up no file system of ours
        # This thread has the host's /proc before it, in which the others are that it is to join.
        particulars = self._spec.container.isolation.particulars
        with particulars.pins() if particulars is not None else nullcontext() as pins:
            self._prepare(pins)
            self._monitor()
        directory = self._spec.directory
        started = Started(
            ProcessId.of(number_in(f"{directory}/pid")),
            ProcessId.of(number_in(f"{directory}/monitor")),
        )
        if self._spec.created is not None:
            self._spec.created()
        copy = sealed_copy(self._runtime.path)
        program = f"/proc/self/fd/{copy}" if copy >= 0 else self._runtime.path
        try:
            pid = self._spawn(program, [self._runtime.name, *self._options, "start"])
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
                raise self._failure("")
        finally:
            if copy >= 0:
                os.close(copy)
        return started

    def _prepare(self, pins: Pins | None) -> None:
        spec = self._spec
        for part in ("", "/bundle", "/mounts", "/state", "/exit"):
            os.mkdir(f"{spec.directory}{part}", 0o700)
        with open(f"{spec.directory}/{ENDED}", "x", encoding="ascii"):
            pass
        root = ContainerRoot(f"{spec.directory}/mounts", "c")
        try:
            write_bundle(
                spec.container,
                f"{spec.directory}/bundle",
                root,
                grantable=bounding_capabilities(),
                seccomp=seccomp_for(self._runtime, spec.container.isolation),
                cgroup=self._cgroup,
                pins=pins,
                space=self._runtime.space,
            )
        except BaseException:
            root.remove_stubs()
            root.close()
            raise

    def _cgroup(self) -> str:
        """The group that the runtime is to make; it is noted where `groups_of` would not find it.

        Empty where it can make none.
        """
        groups = self._spec.container.groups
        if self._runtime.groupless:
            if groups is not None and unprivileged.limits(groups):
                raise ContainerError(
                    "limit what a container may use: users cannot, in the background",
                    hint="run it in the foreground, with a group that is delegated to you",
                )
            return ""
        parent = groups.parent.strip("/") if groups is not None else ""
        if not parent:
            return f"/{CGROUP_PREFIX}{self._spec.id}"
        with open(f"{self._spec.directory}/{PARENT}", "x", encoding="utf-8") as file:
            file.write("\n".join([parent, *_missing_groups(parent)]))
        return f"/{parent}/{CGROUP_PREFIX}{self._spec.id}"

    def _monitor(self) -> None:
        """Starts conmon, which has the runtime create the container."""
        spec = self._spec
        arguments = monitor_arguments(
            identifier=spec.id,
            directory=spec.directory,
            runtime=self._runtime.path,
            runtime_options=self._options,
            log=spec.log,
            terminal=spec.container.process.terminal,
            stdin=spec.stdin,
            stdin_once=spec.stdin_once,
            exit_command=spec.exit_command,
        )
        told, tells = os.pipe()
        try:
            try:
                pid = self._spawn(self._program, arguments, tells)
            finally:
                os.close(tells)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if status:
                raise ContainerError(f"start conmon: it ended with status {status}")
            answer = _line_of(told)
        finally:
            os.close(told)
        if int(answer.get("data", answer.get("pid", -1))) <= 0:  # type: ignore[call-overload]
            raise self._failure(str(answer.get("message", "")))

    def _spawn(self, program: str, arguments: Sequence[str], tells: int = -1) -> int:
        """Starts a program with no input and no output; for the runtime, the id is added."""
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        environment = runtime_environment()
        actions = [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (0, 1, 2)]
        words = list(arguments)
        if tells >= 0:
            # The same number stays open: it is not close-on-exec any more (posix_spawn(3)).
            actions += [(os.POSIX_SPAWN_DUP2, held, held) for held in self._spec.held]
            # conmon's way to say how it went; a number that is free in it for certain.
            actions.append((os.POSIX_SPAWN_DUP2, tells, 3))
            environment["_OCI_SYNCPIPE"] = "3"
        else:
            words.append(self._spec.id)
        try:
            return os.posix_spawn(
                program,
                words,
                environment,
                file_actions=actions,
                setsid=True,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
                setsigmask=(),
            )
        finally:
            os.close(nothing)

    def _failure(self, message: str) -> ContainerError:
        reason = failure_in_log(f"{self._spec.directory}/log") or message or "no reason given"
        return executable.failure(self._spec.container.process.args[0], reason)


def _line_of(descriptor: int) -> dict[str, object]:
    """The line of JSON in which conmon tells how it went; empty when it ended without one."""
    text = b""
    while b"\n" not in text:
        if not select.select([descriptor], [], [], _START_SECONDS)[0]:
            raise ContainerError("start conmon: it does not answer")
        data = os.read(descriptor, _CHUNK)
        if not data:
            break
        text += data
    found = json.loads(text) if text.strip() else {}
    return found if isinstance(found, dict) else {}


def clear(directory: str, identifier: str) -> None:
    """Ends what is left of a container that was started, and removes what it needed. Idempotent.

    For one whose conmon has ended, or runs this. Not removed is what is not in `directory`.
    """
    parent, made = _parent_in(directory)
    groups = groups_of(identifier, parent)
    end_processes(groups)
    cgroups.remove_soon(cgroups.Cgroup(tuple(groups)))
    cgroups.remove(cgroups.Cgroup(made))
    unprivileged.end_process(directory, identifier)
    points = f"{directory}/mounts"
    for name in _names(points):
        _unmount(f"{points}/{name}")
    _remove_tree(directory)


def _missing_groups(parent: str) -> list[str]:
    """Directories of a group, and of those above it, that a runtime will make; inner ones first."""
    parts = parent.split("/")
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [
        directory
        for mount in cgroups.detect().mounts
        for path in paths
        if not os.path.exists(directory := f"{mount.path}/{path}")
    ]


def _parent_in(directory: str) -> tuple[str, tuple[str, ...]]:
    """The group that a container's groups are below, and the directories made for it."""
    try:
        with open(f"{directory}/{PARENT}", encoding="utf-8") as file:
            parent, *made = file.read().split("\n")
    except FileNotFoundError:
        return "", ()
    return f"/{parent}", tuple(made)


def ran_out_of_memory(directory: str, identifier: str) -> bool:
    """Whether the kernel has killed a process of the container for lack of memory.

    While its groups are there, which `clear` removes.
    """
    groups = groups_of(identifier, _parent_in(directory)[0])
    return any(killed_for_memory(group) for group in groups)


def groups_of(identifier: str, parent: str = "") -> list[str]:
    """The groups of a container's processes, in each hierarchy that has one, inner ones first."""
    found: list[str] = []
    for mount in cgroups.detect().mounts:
        if not os.path.exists(f"{mount.path}/cgroup.procs"):
            continue  # covered, see `in_private_mounts`
        top = f"{mount.path}{parent}/{CGROUP_PREFIX}{identifier}"
        found += [directory for directory, _, _ in os.walk(top, topdown=False)]
    return found


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _unmount(point: str) -> None:
    while True:
        try:
            mounts.umount2(point, mounts.UMOUNT_NOFOLLOW | mounts.MNT_DETACH)
        except OSError:  # nothing is mounted there, for us
            return


def _remove_tree(path: str) -> None:
    """Removes files and directories, but nothing that is below a mount point."""
    try:
        entries = list(os.scandir(path))
    except FileNotFoundError:
        return
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
        elif os.path.basename(path) == "mounts":
            os.rmdir(entry.path)
        else:
            _remove_tree(entry.path)
    os.rmdir(path)
