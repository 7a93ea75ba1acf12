"""Waiting for what a running container does: for its end, for more in its log."""

from __future__ import annotations

import fcntl
import os
import select
import time

from tierce.containers.state import ContainerState
from tierce.containers.sweep import finish, lock_name
from tierce.errors import ContainerError
from tierce.lean import signal
from tierce.linux import inotify
from tierce.linux.process import children, number_of
from tierce.runtime.crun import PID_FILE
from tierce.runtime.monitor import ENDED, ProcessId
from tierce.store import Store
from tierce.store.containers import ContainerRow

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Self

FOREGROUND = "1"
"""What a launcher calls the one container that `container run` starts with it."""

_CHANGES = inotify.IN_MODIFY | inotify.IN_CREATE | inotify.IN_MOVED_TO
_LOOK_AGAIN = 0.005
_CHUNK = 1 << 12


class Running:
    """A container that runs, held by descriptors, so that its end is not missed. Context manager.

    `process` is a pidfd of its process 1, -1 when that has ended already.
    """

    def __init__(self, store: Store, row: ContainerRow) -> None:
        state = ContainerState.decode(row.state)
        self._store = store
        self._id = row.id
        self._launcher = ""
        self._monitor = -1
        if state.detached:
            directory = f"{store.paths.detached}/{row.id}"
            self._monitor = ProcessId(*state.monitor).open()
            self.process = ProcessId(*state.process).open()
        else:
            directory = f"{store.paths.bundles}/{state.launcher}"
            self._launcher = directory
            self.process = _foreground_process(directory)
        try:
            self._ended = os.open(f"{directory}/{ENDED}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._ended = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (self.process, self._monitor, self._ended):
            if descriptor >= 0:
                os.close(descriptor)

    @property
    def pid(self) -> int:
        """The number of process 1, 0 when it has ended."""
        return 0 if self.process < 0 else number_of(self.process)

    @property
    def end(self) -> int:
        """A descriptor that is readable when the container has ended, -1 when it has."""
        return self._monitor if not self._launcher else self.process

    def send(self, number: int) -> None:
        """Sends a signal to process 1; one that has ended does not mind."""
        if self.process < 0:
            return
        try:
            signal.pidfd_send_signal(self.process, number)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            raise ContainerError(f"signal the container's process: {error.strerror}") from error

    def await_process(self, seconds: float | None) -> bool:
        """Waits for the end of process 1; says whether it has ended. None: for ever."""
        return _await(self.process, seconds)

    def await_end(self) -> int | None:
        """Waits until the container is over, and what is to be done then is done.

        Returns the exit status if it is known; else it is in the container's row.
        """
        _await(self.process, None)
        _await(self._monitor, None)
        if self._launcher:
            _await_unlock(f"{self._launcher}/lock")
        else:
            # conmon does not wait for the command that it has clear up. Whoever comes first does.
            with self._store.locks.hold(lock_name(self._id)):
                finish(self._store, self._id)
        if self._ended < 0:
            return None
        text = os.pread(self._ended, _CHUNK, 0)
        return int(text) if text else None


class LogWaiter:
    """Waits for more in a log. Context manager; to be called as `logs.read_log` says."""

    def __init__(self, directory: str, running: Running | None) -> None:
        """Nothing more comes when the container has ended, or is not `running`."""
        self._directory = directory
        self._running = running
        self._watch = -1
        self._over = running is None or running.end < 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._watch >= 0:
            os.close(self._watch)

    def __call__(self) -> bool:
        if self._over:
            return False
        if self._watch >= 0:
            return self._pause()
        self._watch = inotify.inotify_init1()
        try:
            # The directory: a log is made with the first output, and may move on to another file.
            inotify.inotify_add_watch(self._watch, self._directory, _CHANGES)
        except FileNotFoundError:  # removed by force
            self._over = True
        return True  # there may be what was written before it was watched

    def _pause(self) -> bool:
        assert self._running is not None
        end = self._running.end
        ready, _, _ = select.select([self._watch, end], [], [])
        if self._watch in ready:
            os.read(self._watch, _CHUNK)
        if end in ready:
            self._running.await_end()  # who writes the log may still be at it
            self._over = True
        return not self._over


def _await(descriptor: int, seconds: float | None) -> bool:
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None or seconds < 0 else seconds * 1000))


def _await_unlock(path: str) -> None:
    """Waits until a launcher is closed, which keeps its lock until then."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _foreground_process(directory: str) -> int:
    """A pidfd of process 1: the child of the runtime that a launcher has started.

    The runtime notes its number right after its start, and has a child soon after that.
    """
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            with open(f"{directory}/{FOREGROUND}/{PID_FILE}", encoding="ascii") as file:
                words = file.read().split()
        except FileNotFoundError:
            if not os.path.exists(directory):
                return -1
            words = []
        if len(words) == 2:
            runtime = ProcessId(int(words[0]), int(words[1]))
            for child in children(runtime.pid):
                found = ProcessId.of(child)
                if runtime.is_alive and (descriptor := found.open()) >= 0:
                    return descriptor
            if not runtime.is_alive:
                return -1
        time.sleep(_LOOK_AGAIN)
    return -1
