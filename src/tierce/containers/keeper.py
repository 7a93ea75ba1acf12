"""The process beside a container that bounds its log, or sees whether it is well.

Few containers have one. It is to be small: so it is not tierce with all its modules, but this
file and what it imports, told by a file what to do, and a probe is a process of its own. It ends
with the container; when it is killed before, the next command that meets the container starts
another one (see `keeping`).
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

from tierce.containers.logfiles import LogFiles, LogLimits
from tierce.linux import inotify
from tierce.linux.process import open_process, start_time

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

REOPEN = b"2 0 0\n"
"""What has conmon make another log: REOPEN_LOGS in its ctrl.c, by its pipe `ctl`."""

_STARTING = "starting"
_CHUNK = 1 << 16
_FASTEST = 1 << 30
"""No container writes more bytes in a second: so long nothing needs to be looked at."""

_LEAST_SECONDS = 0.001
_PATIENCE_SECONDS = 10.0


def main() -> None:
    """Becomes the keeper that the file named by the only argument describes.

    The process that was called ends as soon as the keeper, its child, has noted its number.
    """
    with open(sys.argv[1], encoding="utf-8") as file:
        task: dict[str, Any] = json.load(file)
    told, tells = os.pipe()
    if os.fork():
        os.close(tells)
        os._exit(0 if os.read(told, 1) else 1)
    os.close(told)
    number = os.getpid()
    with open(task["record"], "w", encoding="ascii") as file:
        file.write(f"{number} {start_time(number)}")
    os.write(tells, b".")
    os.close(tells)
    ended = open_process(*task["end"])
    if ended >= 0:
        Keeper(task, ended).run()


class Keeper:
    """One container's; `ended` is readable when that has ended.

    A task has the `files` directory of the container, and `log` or `health` or both: see `keeping`.
    """

    def __init__(self, task: dict[str, Any], ended: int) -> None:
        self._ended = ended
        self._poll = select.poll()
        self._poll.register(ended, select.POLLIN)
        self._log = _Log(task["files"], **task["log"]) if task.get("log") else None
        self._health = _Health(task["files"], **task["health"]) if task.get("health") else None

    def run(self) -> None:
        """Returns when the container has ended."""
        try:
            while not (self._log and self._log.over):
                ready = self._wait()
                if self._ended in ready:
                    return
                if self._log:
                    self._log.turn()
                if self._health:
                    self._health.turn()
        finally:
            if self._health:
                self._health.stop()

    def _wait(self) -> set[int]:
        moments = []
        for part in (self._log, self._health):
            if part is None:
                continue
            # What is registered changes; to do it again costs less than to know.
            for descriptor in part.descriptors:
                self._poll.register(descriptor, select.POLLIN)
            if part.due is not None:
                moments.append(part.due)
        seconds = max(min(moments) - time.monotonic(), 0.0) if moments else None
        ready = self._poll.poll(None if seconds is None else seconds * 1000 + 1)
        for part in (self._log, self._health):
            for descriptor in part.descriptors if part else ():
                self._poll.unregister(descriptor)
        return {descriptor for descriptor, _ in ready}


class _Log:
    """Has the log move on to another file when one is full."""

    def __init__(self, directory: str, size: int, files: int, control: str) -> None:
        self._files = LogFiles(directory)
        self._limits = LogLimits(size, files)
        self._control = control
        self.over = False
        self._watch = inotify.inotify_init1()
        inotify.inotify_add_watch(self._watch, directory, inotify.IN_MODIFY)
        self.due: float | None = time.monotonic()
        if self._files.newest() is None and self._files.numbers():
            self._begin_another()  # a keeper before this one was killed over it

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Waited for only when there is enough room for long."""
        return () if self.due is not None else (self._watch,)

    def turn(self) -> None:
        now = time.monotonic()
        if self.due is not None and now < self.due:
            return
        size = self._files.mark().position
        if size >= self._limits.size_bytes:
            self._files.move_on(self._limits)
            self._begin_another()
            size = self._files.mark().position
        if self.due is not None and not self._changed():
            self.due = None  # nothing was written since: until there is
            return
        room = (self._limits.size_bytes - size) / _FASTEST
        self.due = time.monotonic() + max(room, _LEAST_SECONDS)

    def _changed(self) -> bool:
        """Whether something was written since this was asked last."""
        try:
            return bool(os.read(self._watch, _CHUNK))
        except BlockingIOError:
            return False

    def _begin_another(self) -> None:
        """Has conmon make another file, and waits until it has."""
        try:
            control = os.open(self._control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # conmon is gone, and the container with it
            self.over = True
            return
        try:
            os.write(control, REOPEN)
        finally:
            os.close(control)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._files.newest() is None and time.monotonic() < deadline:
            time.sleep(_LEAST_SECONDS)


class _Health:
    """Has the container probed again and again."""

    def __init__(
        self,
        directory: str,
        probe: list[str],
        started: float,
        interval: float,
        start_interval: float,
        start_period: float,
    ) -> None:
        self._file = f"{directory}/health"
        self._command = probe
        self._started = started
        self._interval = interval
        self._start_interval = start_interval
        self._start_period = start_period
        self._pid = 0
        self._probe = -1
        self.due: float | None = time.monotonic() + self._pause()

    @property
    def descriptors(self) -> tuple[int, ...]:
        return (self._probe,) if self._probe >= 0 else ()

    def turn(self) -> None:
        if self._probe >= 0:
            if not select.select([self._probe], [], [], 0)[0]:
                return
            self._reap()
            self.due = time.monotonic() + self._pause()
        elif self.due is not None and time.monotonic() >= self.due:
            self._pid = os.posix_spawn(self._command[0], self._command, os.environ)
            self._probe = os.pidfd_open(self._pid)
            self.due = None

    def stop(self) -> None:
        """Ends a probe that is under way."""
        if self._probe >= 0:
            os.kill(self._pid, signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        os.close(self._probe)
        os.waitpid(self._pid, 0)
        self._probe = -1

    def _pause(self) -> float:
        """Shorter while the container starts, and has not been found well yet."""
        if time.time() - self._started >= self._start_period:
            return self._interval
        try:
            with open(self._file, encoding="utf-8") as file:
                starting = json.load(file)["status"] == _STARTING
        except (FileNotFoundError, ValueError):
            starting = True
        return self._start_interval if starting else self._interval
