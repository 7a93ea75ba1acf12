"""conmon, which stays with a container when the command that started it has ended.

It starts the runtime, holds the container's terminal or pipes, writes the log, takes the exit
status, and at the end runs the command that clears up. A container that it watches has a
directory, below the one for all of them, that is gone after a reboot:

- `bundle/`: what the runtime and conmon read, and conmon's sockets
- `mounts/`: mount points, in the mount namespace that conmon and the container share
- `state/`: the runtime's
- `exit/<id>`: the exit status, once there is one
- `parent`: the group that its groups are below, if they are not at the root of each hierarchy,
  and directories that were made for it
- `ended`: that again, for who opened the file before the directory goes with the container
"""

from __future__ import annotations

import os

from tierce.errors import RuntimeUnavailable
from tierce.linux.process import open_process, start_time
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PROGRAM = "conmon"
_DIRECTORIES = "/usr/local/libexec:/usr/libexec/podman:/usr/local/bin:/usr/bin:/bin:/usr/sbin"
CGROUP_PREFIX = "tierce-"
ENDED = "ended"
PARENT = "parent"


class ProcessId(Value):
    """One process of this boot: its number, and when it started (see `linux.process`)."""

    pid: int = 0
    started: int = 0

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The process that has a number now."""
        return cls(pid, start_time(pid))

    def open(self) -> int:
        """A pidfd, or -1 when the process is no more."""
        return open_process(self.pid, self.started)

    @property
    def is_alive(self) -> bool:
        return self.pid > 0 and self.started > 0 and start_time(self.pid) == self.started


def find_monitor() -> str:
    """The path of conmon. Raises RuntimeUnavailable."""
    for directory in f"{os.environ.get('PATH', '')}:{_DIRECTORIES}".split(":"):
        path = f"{directory}/{_PROGRAM}"
        if directory.startswith("/") and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise RuntimeUnavailable(
        "find conmon: it is not in PATH",
        hint="containers in the background need it: apt-get install conmon",
    )


def monitor_arguments(
    *,
    identifier: str,
    directory: str,
    runtime: str,
    runtime_options: Sequence[str],
    log: str,
    terminal: bool,
    stdin: bool,
    stdin_once: bool,
    exit_command: Sequence[str],
) -> list[str]:
    """The command line of conmon for a container with this directory."""
    words = [_PROGRAM, "--api-version", "1", "--cid", identifier, "--cuuid", identifier]
    words += ["--name", identifier, "--bundle", f"{directory}/bundle", "--runtime", runtime]
    for option in runtime_options:
        words += ["--runtime-arg", option]
    words += ["--container-pidfile", f"{directory}/pid"]
    words += ["--conmon-pidfile", f"{directory}/monitor"]
    words += ["--exit-dir", f"{directory}/exit", "--full-attach"]
    words += ["--log-path", f"k8s-file:{log}" if log else "none"]
    words += ["--log-level", "error", "--no-sync-log"]
    words += ["--terminal"] if terminal else []
    words += ["--stdin"] if stdin else []
    words += ["--leave-stdin-open"] if stdin and not stdin_once else []
    words += ["--exit-command", exit_command[0]]
    for word in exit_command[1:]:
        words += ["--exit-command-arg", word]
    return words


def exit_status(directory: str, identifier: str) -> int | None:
    """The exit status that conmon has noted, None before it has."""
    try:
        with open(f"{directory}/exit/{identifier}", encoding="ascii") as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return None


def number_in(path: str) -> int:
    """The number in a file that conmon or a runtime wrote; 0 when it is not there."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read() or "0")
    except FileNotFoundError:
        return 0


def monitors_of(identifier: str) -> Iterator[ProcessId]:
    """Every conmon that watches a container, also one that has not written its number yet.

    What another user calls so is none: we could not end it, and may not be able to look at it.
    """
    own = os.geteuid()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{name}").st_uid != own:
                continue
            found = ProcessId.of(int(name))
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words[0] == _PROGRAM.encode() and identifier.encode() in words:
            yield found
