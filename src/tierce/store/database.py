"""The SQLite database of a store: connections, transactions, and its one way of failing.

WAL, so that readers and one writer do not wait for each other; synchronous=NORMAL, so that a
transaction costs no fsync: after a power cut the last ones may be gone, but never half of one
(sqlite.org/wal.html, "Performance Considerations"). What rows say about files is built to bear
that: see `durability`.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager

from tierce.errors import StoreError, StoreFull, StoreVersion
from tierce.lean import sqlite3
from tierce.store.failures import store_error
from tierce.store.reserve import Reserve
from tierce.store.schema import MIGRATIONS, VERSION
from tierce.store.turns import Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

BUSY_TIMEOUT_SECONDS = 30.0
LOG_PAGES = 256
"""Pages of 4 KiB in the write-ahead log before a commit writes them back."""


class Database:
    """A pool of one connection per thread.

    Every method raises StoreError (StoreFull on a full disk). Rows are plain tuples.
    """

    def __init__(self, path: Path | str, turns: Path | str, reserve: Path | str) -> None:
        self._path = os.fspath(path)
        self._reserve = Reserve(os.fspath(reserve))
        self._turns = os.fspath(turns)
        self._local = threading.local()
        self._guard = threading.Lock()
        self._connections: list[tuple[threading.Thread, _Connection]] = []
        self._closed = False

    @classmethod
    def open(cls, path: Path | str, turns: Path | str, reserve: Path | str) -> Database:
        """Open the database, making or migrating it where needed.

        The other files are for its `Turns` and its `Reserve`.

        Raises StoreVersion for one that a newer tierce has made, and leaves that as it is.
        """
        database = cls(path, turns, reserve)
        try:
            database._prepare()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close the connections of all threads; none may be in use. Idempotent."""
        with self._guard:
            self._closed = True
            connections, self._connections = self._connections, []
        for _, connection in connections:
            connection.close()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        try:
            cursor = self._connection().sqlite.execute(sql, parameters)
            row: tuple[Any, ...] | None = cursor.fetchone()
        except sqlite3.Error as error:
            raise store_error("read database", error) from error
        return row

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        try:
            return self._connection().sqlite.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise store_error("read database", error) from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement that changes rows; on its own it is a transaction.

        The cursor's `rowcount` and `lastrowid` are what callers want from it.
        """
        connection = self._connection()
        try:
            if connection.sqlite.in_transaction:
                return connection.sqlite.execute(sql, parameters)
            with connection.turns:
                return connection.sqlite.execute(sql, parameters)
        except (sqlite3.Error, OSError) as error:
            raise store_error("write database", error) from error

    def execute_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each set of parameters, all in one transaction."""
        if not parameters:
            return
        with self.transaction():
            try:
                self._connection().sqlite.executemany(sql, parameters)
            except sqlite3.Error as error:
                raise store_error("write database", error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that holds the write lock from the start; nested ones join the outer.

        Immediate, because a transaction that reads first and then writes fails at once with
        SQLITE_BUSY when somebody else has written in between, whatever the busy timeout is.
        """
        connection = self._connection()
        if connection.sqlite.in_transaction:
            yield
            return
        with connection.turns:
            try:
                connection.sqlite.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise store_error("begin transaction", error) from error
            try:
                yield
                connection.sqlite.execute("COMMIT")
            except BaseException as error:
                _roll_back(connection.sqlite)
                if isinstance(error, sqlite3.Error):
                    raise store_error("commit transaction", error) from error
                raise

    @contextmanager
    def removal(self) -> Iterator[None]:
        """A transaction that only removes things: the disk may be full."""
        with self._reserve.released(), self.transaction():
            yield

    def keep_reserve(self) -> None:
        """Set space aside again that `removal` gave back, when there is enough."""
        self._reserve.keep()

    def _connection(self) -> _Connection:
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
        return connection

    def _connect(self) -> _Connection:
        with self._guard:
            if self._closed:
                raise StoreError("use store: it is closed")
            try:
                sqlite = self._open()
            except StoreFull:
                # To be read, too, the database needs its log and the log's index as files.
                if not self._reserve.release():
                    raise
                sqlite = self._open()
            connection = _Connection(sqlite, Turns(self._turns))
            self._connections = [each for each in self._connections if each[0].is_alive()]
            self._connections.append((threading.current_thread(), connection))
            return connection

    def _open(self) -> sqlite3.Connection:
        try:
            sqlite = sqlite3.connect(
                self._path,
                timeout=BUSY_TIMEOUT_SECONDS,
                isolation_level=None,  # transactions are begun here, not guessed by the module
                check_same_thread=False,  # only `close` is called by another thread
                cached_statements=256,
            )
        except sqlite3.Error as error:
            raise store_error(f"open database {self._path}", error) from error
        try:
            sqlite.execute("PRAGMA synchronous=NORMAL")
            sqlite.execute("PRAGMA foreign_keys=ON")
            # A process that opens the database reads all of a log that the last one left.
            sqlite.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
        except sqlite3.Error as error:
            sqlite.close()
            raise store_error(f"open database {self._path}", error) from error
        return sqlite

    def _prepare(self) -> None:
        version = self._version()
        if version == VERSION:
            return
        if version > VERSION:
            raise StoreVersion(
                f"open store {os.path.dirname(self._path)}: its version is {version}, "
                f"this tierce knows {VERSION} at most",
                hint="use the newer tierce that made it, or another store with --root",
            )
        if version == 0:
            self._initialise()
        with self.transaction():
            # Another process may have been faster while this one waited for the lock.
            for statements in MIGRATIONS[self._version() :]:
                for statement in statements:
                    self.execute(statement)
            self.execute(f"PRAGMA user_version={VERSION}")
        self._reserve.keep()

    def _initialise(self) -> None:
        """What is part of the file for ever; cannot be done in a transaction."""
        os.chmod(self._path, 0o600)
        self.execute("PRAGMA journal_mode=WAL")

    def _version(self) -> int:
        row = self.one("PRAGMA user_version")
        assert row is not None
        return int(row[0])


class _Connection:
    """A thread's connection, and its place in the queue of writers.

    Closed by `Database.close`, or when the thread has ended and another one has come.
    """

    __slots__ = ("sqlite", "turns")

    def __init__(self, sqlite: sqlite3.Connection, turns: Turns) -> None:
        self.sqlite = sqlite
        self.turns = turns

    def close(self) -> None:
        self.sqlite.close()
        self.turns.close()

    def __del__(self) -> None:
        self.close()


def _roll_back(connection: sqlite3.Connection) -> None:
    # On a full disk SQLite has rolled back by itself.
    if connection.in_transaction:
        connection.execute("ROLLBACK")
