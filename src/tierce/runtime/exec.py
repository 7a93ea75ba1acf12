"""One more process in a running container, by `crun exec` (or `runc exec`).

The runtime is started where it was when it made the container: in the namespaces of conmon, or
of the runtime that is still there in the foreground. It runs as a sealed copy in memory, gets no
descriptors but the streams, and so has nothing that the container could write to or leave by
(CVE-2019-5736, CVE-2024-21626).
"""

from __future__ import annotations

import os
import signal

from tierce.errors import ContainerError
from tierce.lean import json
from tierce.linux import cgroups
from tierce.linux.process import bounding_capabilities
from tierce.linux.rootfs import open_in_root, stat_in_root
from tierce.runtime import capabilities, entering, executable
from tierce.runtime.bundle import ProcessSpec
from tierce.runtime.crun import runtime_environment
from tierce.runtime.entering import Program
from tierce.runtime.monitor import ProcessId
from tierce.runtime.runtimes import Runtime, failure_in_log, sealed_copy
from tierce.runtime.user import Identity, read_file, resolve_user
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any


class ExecTarget(Value):
    """A running container.

    `name` is what the runtime calls it, whose state is in `state`, and `bundle` its bundle.
    `process` is its process 1, `keeper` one in whose namespaces the runtime made it.
    """

    name: str
    state: str
    bundle: str
    process: ProcessId
    keeper: ProcessId


class ExecProcess:
    """A process in a container, of the command that starts it. For one thread.

    `directory` is empty, and only we can enter it. Context manager: when the block is left, the
    runtime that waits for the process is gone; the process itself may go on.
    """

    def __init__(
        self,
        runtime: Runtime,
        target: ExecTarget,
        process: ProcessSpec,
        directory: str,
        *,
        privileged: bool = False,
    ) -> None:
        self._runtime = runtime
        self._target = target
        self._process = process
        self._privileged = privileged
        self._log = f"{directory}/log"
        self._document = f"{directory}/process.json"
        self._child: entering.Child | None = None
        self.ended = -1
        """A pidfd, readable when the process has ended; -1 before `start`."""

    def __enter__(self) -> ExecProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._reap()

    def start(
        self,
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        pid_file: str,
        console: str = "",
        detached: bool = False,
    ) -> None:
        """Starts the process with these descriptors, or on a terminal, see `console`.

        The runtime writes the process's number, as it sees it, to `pid_file`. When it is to be
        `detached`, the runtime ends as soon as the process runs. Raises ContainerError, with the
        status that `container exec` is to have.
        """
        config = self._config()
        shares_cgroup = "cgroupsPath" not in config["linux"]
        self._write(config["process"])
        groups = cgroups.Cgroup(())
        if shares_cgroup:
            groups = entering.groups_to_enter(self._target.process.pid)
        copy = sealed_copy(self._runtime.path)
        words = [self._runtime.name, "--root", self._target.state]
        words += ["--log", self._log, "--log-format", "json"]
        if shares_cgroup and self._runtime.name == "crun":
            words += ["--cgroup-manager", "disabled"]
        words += ["exec", "--process", self._document, "--pid-file", pid_file]
        words += ["--console-socket", console] if console else []
        words += ["--detach"] if detached else []
        program = Program(
            self._runtime.path, copy, (*words, self._target.name), (stdin, stdout, stderr)
        )
        try:
            keeper = self._target.keeper
            self._child = entering.Child(program, runtime_environment(), keeper, groups)
        finally:
            if copy >= 0:
                os.close(copy)
        self.ended = os.pidfd_open(self._child.pid)

    def wait(self) -> int:
        """Waits for the end; returns the exit status, 128 + n for one that ended by signal n.

        Raises ContainerError when the runtime could not start the process.
        """
        status = self._reap()
        status = status if status >= 0 else 128 - status
        if status != 0 and (reason := failure_in_log(self._log)):
            if not self._target.process.is_alive:
                raise ContainerError("the container ended before the command was started")
            raise executable.failure(self._process.args[0], reason)
        return status

    def _config(self) -> dict[str, Any]:
        try:
            with open(f"{self._target.bundle}/config.json", encoding="utf-8") as file:
                found: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            raise ContainerError("enter the container: it is not running") from None
        return found

    def _write(self, document: dict[str, Any]) -> None:
        """Writes what the process is to be: what the container's own is, but for what is asked."""
        root = self._open_root()
        try:
            identity = resolve_user(
                self._process.user, lambda path: read_file(root, path), self._process.groups
            )
            check_directory(root, self._process.cwd)
            executable.check(self._process, lambda path: stat_in_root(root, path))
        finally:
            os.close(root)
        document["args"] = list(self._process.args)
        document["env"] = list(_environment(self._process, identity))
        document["cwd"] = self._process.cwd
        document["terminal"] = self._process.terminal
        groups = list(identity.groups)
        document["user"] = {"uid": identity.uid, "gid": identity.gid, "additionalGids": groups}
        document.pop("consoleSize", None)
        if self._process.terminal and self._process.size:
            rows, columns = self._process.size
            document["consoleSize"] = {"height": rows, "width": columns}
        if self._privileged:
            grantable = bounding_capabilities()
            granted = [name for name in capabilities.ALL if name in grantable]
            sets = ("bounding", "permitted", "effective")
            document["capabilities"] = dict.fromkeys(sets, granted)
        with open(self._document, "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(file.fileno(), 0o600)  # the environment may hold secrets
            json.dump(document, file)

    def _open_root(self) -> int:
        """The root directory of process 1, by which nothing outside is reached (see `rootfs`)."""
        process = self._target.process
        try:
            root = os.open(f"/proc/{process.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            root = -1
        if not process.is_alive:
            if root >= 0:
                os.close(root)
            raise ContainerError("enter the container: it is not running")
        return root

    def _reap(self) -> int:
        assert self._child is not None
        status = self._child.reap()
        self._child = None
        if self.ended >= 0:
            os.close(self.ended)
            self.ended = -1
        return os.waitstatus_to_exitcode(status)


def check_directory(root: int, path: str) -> None:
    """Refuses a working directory that is none, or that a magic link of /proc leads to.

    With /proc/self/fd/N, such a one may be outside of the container (CVE-2024-21626). Raises
    ContainerError with docker's words and status.
    """
    try:
        os.close(open_in_root(root, path, os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ContainerError(
            f'chdir to cwd ("{path}") set in config.json failed: {reason}',
            status=ContainerError.COMMAND_NOT_FOUND,
        ) from error


def _environment(process: ProcessSpec, identity: Identity) -> list[str]:
    if any(variable.startswith("HOME=") for variable in process.env):
        return list(process.env)
    return [*process.env, f"HOME={identity.home}"]
