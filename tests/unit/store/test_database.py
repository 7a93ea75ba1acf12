import os
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from tierce.errors import StoreError, StoreFull, StoreVersion
from tierce.store import Store
from tierce.store.database import Database
from tierce.store.prune import prune_records
from tierce.store.schema import VERSION


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database.open(tmp_path / "tierce.db", tmp_path / "turns", tmp_path / "reserve")


def test_new_database_has_the_latest_version_and_is_private(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "tierce.db", tmp_path / "turns", tmp_path / "reserve")
    assert database.one("PRAGMA user_version") == (VERSION,)
    assert database.one("PRAGMA journal_mode") == ("wal",)
    assert (tmp_path / "tierce.db").stat().st_mode & 0o777 == 0o600
    database.close()


def test_database_of_a_newer_tierce_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tierce.db"
    Database.open(path, tmp_path / "turns", tmp_path / "reserve").close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreVersion, match="its version is") as refused:
        Database.open(path, tmp_path / "turns", tmp_path / "reserve")
    assert "newer tierce" in refused.value.hint
    assert path.read_bytes() == before


def test_migrations_run_once_when_many_open_a_new_store(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(8)

    def open_it() -> None:
        try:
            barrier.wait()
            Store.open(tmp_path / "store", tmp_path / "run").close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_failed_transaction_leaves_nothing(database: Database) -> None:
    with pytest.raises(KeyError), database.transaction():
        database.execute("INSERT INTO names VALUES ('a', 'b', 0)")
        raise KeyError
    assert database.all("SELECT * FROM names") == []
    database.close()


def test_nested_transaction_joins_the_outer(database: Database) -> None:
    with pytest.raises(KeyError), database.transaction():
        with database.transaction():
            database.execute("INSERT INTO names VALUES ('a', 'b', 0)")
        raise KeyError
    assert database.all("SELECT * FROM names") == []
    database.close()


def test_each_thread_has_its_own_connection(database: Database) -> None:
    seen: list[list[tuple[object, ...]]] = []
    with database.transaction():
        database.execute("INSERT INTO names VALUES ('a', 'b', 0)")
        thread = threading.Thread(target=lambda: seen.append(database.all("SELECT * FROM names")))
        thread.start()
        thread.join()
    assert seen == [[]]
    database.close()


def test_connections_of_threads_that_ended_do_not_pile_up(database: Database) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def write() -> None:
        database.execute("DELETE FROM names")

    write()
    before = descriptors()
    for _ in range(20):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert descriptors() <= before + 5  # the last one's: database, log, its index, turns
    database.close()


def test_closed_database_says_so(database: Database) -> None:
    database.close()
    database.close()
    thread_error: list[BaseException] = []

    def use() -> None:
        try:
            database.one("SELECT 1")
        except BaseException as error:
            thread_error.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert isinstance(thread_error[0], StoreError)
    with pytest.raises(StoreError):
        database.one("SELECT 1")


def test_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tierce.db"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreError, match="damaged"):
        Database.open(path, tmp_path / "turns", tmp_path / "reserve")


def test_unreadable_root_is_a_store_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="open store"):
        Store.open(tmp_path / "file" / "store", tmp_path / "run")


def test_full_disk_is_store_full_and_leaves_the_store_as_it_was(small_store: Store) -> None:
    put = small_store.blobs.put_bytes(b"kept")
    filler = small_store.paths.root / "filler"
    with pytest.raises(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(StoreFull) as full:
        small_store.blobs.put_bytes(os.urandom(1 << 16))
    assert "prune" in full.value.hint
    with pytest.raises(StoreFull):
        for number in range(10000):
            small_store.records.add([f"key {number}"], None, "step", bytes(4096))
    filler.unlink()
    assert small_store.blobs.read(put) == b"kept"
    assert small_store.database.one("PRAGMA integrity_check") == ("ok",)
    assert not [name for name in os.listdir(small_store.paths.blobs / "sha256") if name[0] == "."]
    small_store.records.add(["afterwards"], None, "step")


def test_full_disk_can_be_pruned(tmp_path: Path) -> None:
    """Although deleting rows makes the database's log grow."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], check=True)
    try:
        with Store.open(disk / "store", tmp_path / "run") as store:
            for number in range(200):
                store.records.add([f"key {number}"], None, "step", bytes(1000))
            store.blobs.put_bytes(bytes(5_000_000))
        # The log went with the last process that closed the database.
        with pytest.raises(OSError), open(disk / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with Store.open(disk / "store", tmp_path / "run") as store:
            assert len(prune_records(store)) == 200
            assert store.collect().size > 5_000_000
            assert store.records.list() == []
            store.blobs.put_bytes(os.urandom(1 << 20))
            assert os.path.exists(store.paths.reserve)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_opening_a_store_on_a_full_disk_is_store_full(small_disk: Path) -> None:
    with pytest.raises(OSError), open(small_disk / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(StoreFull):
        Store.open(small_disk / "store", small_disk / "run")
    (small_disk / "filler").unlink()
    Store.open(small_disk / "store", small_disk / "run").close()
