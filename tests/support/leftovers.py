"""Finds what a test has left on the machine: mounts, processes, cgroups.

Only things of this run are found, so that other runs may go on at the same time.
"""

import fcntl
import os
import select
import tempfile
from pathlib import Path

MARK = "TIERCE_TEST_RUN"
"""Environment variable that every process started by a test inherits."""

_CGROUP_ROOT = Path("/sys/fs/cgroup")


class Session:
    """One run of the tests, which knows whether it has been alone on the machine all the time.

    Cgroups do not say whose they are; so they can be held against nobody but who was alone.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        path = Path(tempfile.gettempdir(), "tierce-test-runs")
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._first = self._try(fcntl.LOCK_EX)
        os.write(self._lock, b".")
        self._number = os.fstat(self._lock).st_size
        self._cgroups = tierce_cgroups()
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def left(self) -> list[str]:
        """Everything that tests with temporary files below `base` have left, one line each."""
        left = marked_processes(self._base) + mounts_in_any_namespace(self._base)
        alone = self._first and os.fstat(self._lock).st_size == self._number
        return left + (sorted(tierce_cgroups() - self._cgroups) if alone else [])

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def mounts_below(base: Path) -> list[str]:
    """Lines of this process's mount table whose mount point or layers are below `base`."""
    return _lines_with("/proc/self/mounts", str(base))


def children() -> list[str]:
    """Living children of this process, one line each."""
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            listed = Path(f"/proc/self/task/{task}/children").read_text()
        except OSError:  # a thread that has just ended
            continue
        found += [line for pid in listed.split() if (line := _described(pid))]
    return found


def marked_processes(base: Path) -> list[str]:
    """Living processes, other than this one, that a test of this run has started."""
    mark = f"{MARK}={base}".encode()
    found = []
    for pid in _other_processes():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in environment and (line := _described(pid)):
            found.append(line)
    return found


def mounts_in_any_namespace(base: Path) -> list[str]:
    """As `mounts_below`, in whichever mount namespace a process keeps them."""
    found = mounts_below(base)
    seen = {_mount_namespace("self"), ""}
    for pid in _other_processes():
        namespace = _mount_namespace(pid)
        if namespace not in seen:
            seen.add(namespace)
            lines = _lines_with(f"/proc/{pid}/mounts", str(base))
            found += [f"{line} (kept by {_described(pid)})" for line in lines]
    return found


def still_running(base: Path, seconds: float = 10.0) -> list[str]:
    """Processes that work on what is below `base`, or were started with its path in a variable,
    and do not end within so many seconds: the kernel takes a moment to end what it kills.
    """
    with select.epoll() as poll:
        found: dict[int, str] = {}
        for pid in _other_processes():
            if _mentions(f"/proc/{pid}/environ", base) or _mentions(f"/proc/{pid}/mounts", base):
                try:
                    ended = os.pidfd_open(int(pid))
                except ProcessLookupError:
                    continue
                found[ended] = _described(pid) or f"process {pid}"
                poll.register(ended, select.EPOLLIN)
        try:
            alive = dict(found)
            while alive and (ended_now := poll.poll(seconds)):
                for ended, _ in ended_now:
                    poll.unregister(ended)
                    del alive[ended]
        finally:
            for ended in found:
                os.close(ended)
    return list(alive.values())


def tierce_cgroups() -> set[str]:
    """Cgroups of tierce in any hierarchy that hold no process: a full one is still in use."""
    found = set()
    for directory, subdirectories, _ in os.walk(_CGROUP_ROOT):
        subdirectories[:] = [name for name in subdirectories if not name.startswith("docker")]
        if "tierce" not in directory.removeprefix(str(_CGROUP_ROOT)):
            continue
        try:
            empty = not Path(directory, "cgroup.procs").read_text()
        except OSError:
            continue
        if empty and not subdirectories:
            found.add(directory)
    return found


def _other_processes() -> list[str]:
    own = str(os.getpid())
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and pid != own]


def _mentions(path: str, base: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return os.fsencode(base) in file.read()
    except OSError:  # a process that has just ended
        return False


def _mount_namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:  # ended, or none of ours
        return ""


def _lines_with(path: str, text: str) -> list[str]:
    try:
        with open(path, errors="surrogateescape") as table:
            return [line.strip() for line in table if text in line]
    except OSError:  # a process that has just ended
        return []


def _described(pid: str) -> str:
    """ "process 12: its command line", or nothing when it is gone or only waits to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return ""
    return "" if state in "ZX" else f"process {pid}: {words.decode(errors='replace').strip()}"
