"""The program that runs a process in another root directory, and ends with all that it started.

Started by `runtime.chroot`. On descriptor 3 it reads one line of JSON, a `Chrooted`, and then
waits there, too: when whoever started it closes that, or is killed, it kills everything. It exits
with the status of the process, 128 + n for one that ended by signal n.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal

from tierce.linux import libc
from tierce.linux.process import CAPABILITIES, children
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import NoReturn

CONTROL = 3
"""The descriptor with what is to be run."""

NOT_FOUND, NOT_EXECUTABLE = 127, 126

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36


class Chrooted(Value):
    """What to run where, and as whom. `capabilities`: None for all that there are."""

    root: str
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    ulimits: tuple[tuple[str, int, int], ...]
    capabilities: tuple[str, ...] | None

    def encode(self) -> bytes:
        return json.dumps([getattr(self, name) for name in self._fields]).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Chrooted:
        return cls(*json.loads(line))


def main() -> NoReturn:
    """Runs what descriptor 3 says."""
    with open(CONTROL, "rb", buffering=0, closefd=False) as control:
        line = control.readline()
    try:
        status = _supervise(Chrooted.decode(line)) if line else 0
    finally:
        _kill_all()
    os._exit(status)


def _supervise(what: Chrooted) -> int:
    """Runs it to its end; returns its status, or that of a killed one when it is not wanted."""
    # Orphans of the process become children of this one, which can so find them all.
    libc.call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    pid = os.fork()
    if not pid:
        _become(what)
    ended = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(CONTROL, select.POLLHUP)
    if any(descriptor == CONTROL for descriptor, _ in poll.poll()):
        return 128 + signal.SIGKILL
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status if status >= 0 else 128 - status


def _kill_all() -> None:
    """Kills every descendant: those that are left are adopted by this process as others end."""
    while True:
        for pid in children(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _become(what: Chrooted) -> NoReturn:
    """Turns this process into the wanted one."""
    status = 125
    try:
        libc.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.close(CONTROL)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        for name, soft, hard in what.ulimits:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (soft, hard))
        os.chroot(what.root)
        os.chdir(what.cwd)
        os.umask(0o022)
        if what.capabilities is not None:
            _drop_all_but(what.capabilities)
        os.setgroups(what.groups)
        os.setresgid(what.gid, what.gid, what.gid)
        os.setresuid(what.uid, what.uid, what.uid)
        status = NOT_EXECUTABLE
        _execute(what.args, dict(variable.partition("=")[::2] for variable in what.env))
    except FileNotFoundError as error:
        _say(f'exec: "{what.args[0]}": {error.strerror}')
        status = NOT_FOUND if status == NOT_EXECUTABLE else status
    except (OSError, ValueError) as error:
        _say(f'start "{what.args[0]}": {error}')
    finally:
        os._exit(status)


def _execute(args: tuple[str, ...], env: dict[str, str]) -> NoReturn:
    """As execvpe(3). That of `os` imports a module, which in another root is not there."""
    if "/" in args[0]:
        os.execve(args[0], args, env)
    refused: OSError | None = None
    for directory in env.get("PATH", "").split(":"):
        try:
            os.execve(f"{directory or '.'}/{args[0]}", args, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            refused = error
    raise refused or FileNotFoundError(errno.ENOENT, "executable file not found in $PATH")


def _drop_all_but(kept: tuple[str, ...]) -> None:
    """What this process has more stays here: the capabilities of a container, as docker has it."""
    for number, name in enumerate(CAPABILITIES):
        if f"CAP_{name}" in kept:
            continue
        try:
            if libc.call("prctl", _PR_CAPBSET_READ, number, 0, 0, 0):
                libc.call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0)
        except OSError:  # one that this kernel does not know, or no CAP_SETPCAP to drop it
            continue


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode(errors="surrogateescape"))
