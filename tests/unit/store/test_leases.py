import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tierce.store import Store
from tierce.store.leases import NO_LEASE

HOLDER = """
import sys
from pathlib import Path
from tierce.store import Store

store = Store.open(Path(sys.argv[1]), Path(sys.argv[2]))
with store.leases.take("build") as lease:
    print(lease.id, flush=True)
    sys.stdin.read()
"""


class Holder:
    """A process that holds a lease until it is told to end, or killed."""

    def __init__(self, store: Store) -> None:
        command = [sys.executable, "-c", HOLDER, str(store.paths.root), str(store.paths.run)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.lease = int(self.process.stdout.readline())

    def end(self, *, killed: bool) -> None:
        if killed:
            self.process.kill()
        self.process.communicate()


def test_lease_lives_as_long_as_the_block(store: Store) -> None:
    assert store.leases.current == NO_LEASE
    with store.leases.take("build") as lease:
        assert store.leases.current == lease.id
        assert store.leases.living() == [lease]
        assert lease.purpose == "build"
        assert lease.pid == os.getpid()
    assert store.leases.current == NO_LEASE
    assert store.leases.living() == []
    assert store.leases.dead() == []


def test_newest_of_several_leases_is_the_current_one(store: Store) -> None:
    first = store.leases.take("first")
    second = store.leases.take("second")
    older = first.__enter__()
    newer = second.__enter__()
    assert store.leases.current == newer.id > older.id
    assert store.leases.oldest_living() == older.id
    second.__exit__(None, None, None)
    assert store.leases.current == older.id
    first.__exit__(None, None, None)
    assert store.leases.oldest_living() is None


def test_ensure_takes_a_lease_only_without_one_and_keeps_it_for_the_block(store: Store) -> None:
    with store.leases.ensure("put"):
        assert [lease.purpose for lease in store.leases.living()] == ["put"]
    outer = store.leases.take("build")
    lease = outer.__enter__()
    with store.leases.ensure("put"):
        assert store.leases.current == lease.id
        outer.__exit__(None, None, None)
        assert store.leases.living() == [lease]
    assert store.leases.living() == []


def test_lease_of_another_process_is_seen_until_it_ends(store: Store) -> None:
    holder = Holder(store)
    assert [lease.id for lease in store.leases.living()] == [holder.lease]
    assert store.leases.living()[0].pid == holder.process.pid
    holder.end(killed=False)
    assert store.leases.living() == []
    assert store.leases.dead() == []


def test_lease_dies_with_its_process_and_is_swept_by_the_next(store: Store) -> None:
    holder = Holder(store)
    holder.end(killed=True)
    assert store.leases.living() == []
    assert store.leases.dead() == [holder.lease]
    with store.leases.take("next"):
        assert store.leases.dead() == []
    assert store.database.all("SELECT * FROM leases") == []


def test_lease_of_another_store_object_in_this_process_is_seen(store: Store) -> None:
    with (
        Store.open(store.paths.root, store.paths.run) as other,
        other.leases.take("build") as lease,
    ):
        assert store.leases.living() == [lease]
    assert store.leases.living() == []


def test_closing_one_store_object_keeps_the_leases_of_another(store: Store) -> None:
    with store.leases.take("build") as lease:
        with Store.open(store.paths.root, store.paths.run) as other:
            assert other.leases.living() == [lease]
        with Store.open(store.paths.root, store.paths.run) as other:
            assert other.leases.living() == [lease]


def test_numbers_of_leases_are_never_used_twice(store: Store) -> None:
    numbers = []
    for _ in range(3):
        with store.leases.take("build") as lease:
            numbers.append(lease.id)
    assert len(set(numbers)) == 3
    assert NO_LEASE not in numbers


def test_threads_take_leases_at_the_same_time(store: Store) -> None:
    barrier = threading.Barrier(6)
    seen: list[int] = []

    def work() -> None:
        barrier.wait()
        for _ in range(10):
            with store.leases.take("build") as lease:
                assert lease in store.leases.living()
                seen.append(lease.id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 60
    assert store.leases.current == NO_LEASE


def test_error_in_the_block_releases_the_lease(store: Store) -> None:
    with pytest.raises(KeyError), store.leases.take("build"):
        raise KeyError
    assert store.leases.living() == []


def test_read_only_commands_write_no_leases(store: Store, tmp_path: Path) -> None:
    assert store.leases.living() == []
    assert not os.path.exists(store.paths.leases)
