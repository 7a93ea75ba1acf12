"""Leases: what is being made is not garbage, although nothing refers to it yet.

A lease is a row in the database and, for as long as its holder lives, a lock on one byte of the
file `leases`: byte number N for lease number N. The lock is an open file description lock
(fcntl(2), F_OFD_SETLK): the kernel drops it when the process is gone, however it went, it is
seen from other PID namespaces, where a process id would name somebody else, and there is
nothing to clean up after a reboot. The row is inserted and the byte locked in one
transaction, so that a row without a lock is always one whose holder is dead.

`gc` says how a lease protects. Whatever is made or used while a store holds a lease gets its
number; there is nothing to protect item by item.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from contextlib import contextmanager

from tierce.errors import StoreError, StoreFull
from tierce.store.failures import reported
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tierce.store.database import Database

NO_LEASE = 0
"""What rows have that were made outside of any lease; no lease has this number."""

_FLOCK = "hhqqi4x"
"""struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid."""


class Lease(Value):
    """A piece of work in flight; `purpose` and `pid` are for people, `started` in epoch seconds."""

    id: int
    purpose: str
    pid: int
    started: float


class Leases:
    """The leases of a store, those of this process and of others."""

    def __init__(
        self, database: Database, path: str, sweep: Callable[[Sequence[int]], object]
    ) -> None:
        """`sweep` is called with dead leases, when there are any, by whoever takes a new one."""
        self._database = database
        self._path = path
        self._sweep = sweep
        self._guard = threading.Lock()
        self._descriptor = -1
        self._held: dict[int, int] = {}
        """Own leases, and how many blocks rely on each."""
        self._locked: set[int] = set()
        """Own leases that have a row: a lock of one's own is invisible to F_OFD_GETLK."""
        self._current = NO_LEASE

    @property
    def current(self) -> int:
        """The newest lease that this store holds, or NO_LEASE; what is made now is marked so.

        The newest of several: it protects for as long as any of them lives (see `gc`).
        """
        return self._current

    @contextmanager
    def take(self, purpose: str) -> Iterator[Lease]:
        """Hold a lease while the block runs. Leases may overlap, also in several threads."""
        try:
            lease = self._acquire(purpose)
        except StoreFull:
            # What a killed process left may be what fills the disk.
            self._sweep(self.dead())
            lease = self._acquire(purpose)
        try:
            if dead := self.dead():
                self._sweep(dead)
            yield lease
        finally:
            self._release(lease.id)

    @contextmanager
    def ensure(self, purpose: str) -> Iterator[None]:
        """Hold a lease while the block runs: the current one, if there is one.

        That is then not released before the block ends, although another thread may be done.
        """
        with self._guard:
            number = self._current
            if number:
                self._held[number] += 1
        if not number:
            number = self._acquire(purpose).id
        try:
            yield
        finally:
            self._release(number)

    def mark_snapshot(self, number: int) -> bool:
        """Mark a snapshot as used under the current lease; False when gc has just taken it."""
        current = self._current
        row = self._database.one("SELECT lease FROM snapshots WHERE id = ?", (number,))
        if row is None or row[0] >= current:
            return row is not None
        marked = self._database.execute(
            "UPDATE snapshots SET lease = max(lease, ?) WHERE id = ?", (current, number)
        )
        return bool(marked.rowcount)

    def living(self) -> list[Lease]:
        """All leases whose holders live, oldest first."""
        rows = self._database.all("SELECT id, purpose, pid, started FROM leases ORDER BY id")
        return [Lease(*row) for row in rows if self._lives(row[0])]

    def dead(self) -> list[int]:
        """Leases whose holders did not release them; usually none."""
        rows = self._database.all("SELECT id FROM leases ORDER BY id")
        return [number for (number,) in rows if not self._lives(number)]

    def oldest_living(self) -> int | None:
        """The number of the oldest lease whose holder lives, or None."""
        for (number,) in self._database.all("SELECT id FROM leases ORDER BY id"):
            if self._lives(number):
                return int(number)
        return None

    def forget(self, numbers: list[int]) -> None:
        """Delete the rows of dead leases, once what they left is swept."""
        self._database.execute_many("DELETE FROM leases WHERE id = ?", [(n,) for n in numbers])

    def close(self) -> None:
        """Let go of all locks. Idempotent."""
        with self._guard:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _acquire(self, purpose: str) -> Lease:
        pid, started = os.getpid(), time.time()
        number = NO_LEASE
        try:
            # The guard inside the transaction, as everywhere: a thread that collects garbage asks
            # who lives while it holds the write lock.
            with self._database.transaction(), self._guard:
                number = self._insert(purpose, pid, started)
                self._locked.add(number)
                with reported(f"take lease for {purpose}"):
                    fcntl.fcntl(self._file(), fcntl.F_OFD_SETLK, _lock(fcntl.F_WRLCK, number))
        except BaseException:
            self._unlock(number)
            raise
        with self._guard:
            self._held[number] = 1
            self._current = max(self._held)
        return Lease(number, purpose, pid, started)

    def _insert(self, purpose: str, pid: int, started: float) -> int:
        number = self._database.execute(
            "INSERT INTO leases (purpose, pid, started) VALUES (?, ?, ?)", (purpose, pid, started)
        ).lastrowid
        assert number is not None
        return number

    def _release(self, number: int) -> None:
        with self._guard:
            self._held[number] -= 1
            if self._held[number]:
                return
            del self._held[number]
            self._current = max(self._held, default=NO_LEASE)
        try:
            self._database.execute("DELETE FROM leases WHERE id = ?", (number,))
        except StoreError:
            # A full disk. Without its lock the row would be a dead lease's, and what other
            # threads marked with it would be swept: both stay as long as this process lives.
            return
        self._unlock(number)

    def _unlock(self, number: int) -> None:
        with self._guard:
            self._locked.discard(number)
            if self._descriptor >= 0:
                fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _lock(fcntl.F_UNLCK, number))

    def _lives(self, number: int) -> bool:
        with self._guard:
            if number in self._locked:
                return True
            with reported("look for living leases"):
                found = fcntl.fcntl(self._file(), fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK, number))
        kind: int = struct.unpack(_FLOCK, found)[0]
        return kind != fcntl.F_UNLCK

    def _file(self) -> int:
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor


def _lock(kind: int, number: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, number, 1, 0)
