"""Ending what is left in the groups of a container."""

from __future__ import annotations

import os
import select
import threading

from tierce.lean import signal
from tierce.linux import cgroups

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

_END_SECONDS = 120.0
_LOOK_AGAIN = 0.005

GUARD = """\
cat
while read -r group; do
    case $group in */tierce-"$2"*) ;; *) continue ;; esac
    while left=$(cat "$group"/cgroup.procs "$group"/*/cgroup.procs 2>/dev/null | grep -vx "$PPID")
    do kill -9 $left; sleep 0.05; done
done < "$1"/cgroups
"""
"""What ends the processes of groups when its input does, for sh; its arguments are the directory
in which the file `cgroups` names them, and the launcher's name, which theirs have. (A parent that
was made for them may hold others.) Its own parent is spared: that is who closes the input."""


def end_processes(directories: Iterable[str], *, spare: Collection[int] = ()) -> None:
    """Kills the processes in groups, and returns when they have ended.

    Those that they start meanwhile, too; but not the processes with the numbers in `spare`.
    """
    groups = list(directories)
    for directory in groups:
        killed: set[int] = set()
        while left := processes_in(directory).difference(spare, killed):
            for pid in left:
                _end(directory, pid, groups)
            killed |= left


class Follower:
    """Calls a function when the first process of a container ends, if its runtime goes on.

    crun waits for all that is left to it, which is to be ended by then.
    """

    def __init__(self, path: str, runtime: int, function: Callable[[], None]) -> None:
        """`path` is the file to which the runtime writes the number; `runtime` is its pidfd."""
        self._path = path
        self._runtime = runtime
        self._function = function
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def join(self) -> None:
        """Returns when the runtime has ended, and the function with it."""
        self._thread.join()

    def _follow(self) -> None:
        first = -1
        while first < 0 and not select.select([self._runtime], [], [], _LOOK_AGAIN)[0]:
            try:
                with open(self._path, encoding="ascii") as file:
                    text = file.read().strip()
                first = os.pidfd_open(int(text)) if text else -1
            except FileNotFoundError:
                continue
            except ProcessLookupError:
                self._function()
                return
        if first < 0:
            return
        try:
            select.select([first, self._runtime], [], [])
        finally:
            os.close(first)
        self._function()


def _end(directory: str, pid: int, groups: list[str]) -> None:
    """Ends a process of one group, which may be held up by another of its groups."""
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if pid in processes_in(directory):  # still that process
            signal.pidfd_send_signal(ended, signal.SIGKILL)
            for group in groups:
                _thaw(group)
            select.select([ended], [], [], _END_SECONDS)
    except ProcessLookupError:
        pass
    finally:
        os.close(ended)


def _thaw(directory: str) -> None:
    """What is frozen does not die either in version 1."""
    path = f"{directory}/freezer.state"
    if os.path.exists(path):
        with open(path, "w", encoding="ascii") as file:
            file.write("THAWED")


def processes_in(directory: str) -> set[int]:
    """The numbers of the processes in a group, none when it is gone."""
    try:
        with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
            return {int(text) for text in file.read().split()}
    except OSError:
        return set()


def below(directories: Iterable[str]) -> list[str]:
    """Groups, and those right below them, in the order in which they can be removed."""
    return [inner for directory in directories for inner in cgroups.with_children(directory)]
