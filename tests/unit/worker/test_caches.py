"""Caches of steps: which directory each is, and who waits for whom."""

import threading
from pathlib import Path

import pytest

from support.layers import add_snapshot
from tierce.errors import Cancelled
from tierce.graph.ops import CacheMount
from tierce.runtime.bundle import BindMount
from tierce.store import Store
from tierce.worker.caches import StepCaches
from tierce.worker.results import FileSystem, Result


def caches(store: Store, *inputs: Result, cancelled: threading.Event | None = None) -> StepCaches:
    return StepCaches(store, (FileSystem(None), *inputs), cancelled or threading.Event())


def directory(bind: BindMount) -> str:
    return bind.root[0].source


def cache(identity: str = "c", sharing: str = "shared", **more: object) -> CacheMount:
    return CacheMount("/c", identity, sharing, **more)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def lease(store: Store) -> object:
    with store.leases.take("build"):
        yield


def test_shared_cache_is_one_for_all(store: Store) -> None:
    with caches(store) as one, caches(store) as two:
        assert directory(one.open(cache())) == directory(two.open(cache()))
        assert directory(one.open(cache())) != directory(one.open(cache("other")))


def test_private_cache_is_one_for_each_step_and_found_again(store: Store) -> None:
    private = cache(sharing="private")
    with caches(store) as one:
        first = directory(one.open(private))
        assert directory(one.open(private)) == first, "one step has it once"
        with caches(store) as two:
            assert directory(two.open(private)) != first
    with caches(store) as three:
        assert directory(three.open(private)) == first


def test_locked_cache_is_waited_for(store: Store) -> None:
    locked = cache(sharing="locked")
    got = threading.Event()

    def use() -> None:
        with store.leases.take("build"), caches(store) as two:
            two.lock([locked])
            got.set()

    with caches(store) as one:
        one.lock([locked])
        thread = threading.Thread(target=use)
        thread.start()
        assert not got.is_set()
    thread.join()
    assert got.is_set()


def test_step_that_mounts_a_locked_cache_twice_does_not_wait_for_itself(store: Store) -> None:
    locked = cache(sharing="locked")
    with caches(store) as one:
        one.lock([locked, locked.replace(target="/d")])
        assert directory(one.open(locked)) == directory(one.open(locked.replace(target="/d")))


def test_steps_do_not_wait_for_each_other(store: Store) -> None:
    """Whatever the order in which they write two locked caches."""
    mounts = [cache("a", "locked"), cache("b", "locked")]
    barrier = threading.Barrier(2)

    def use(order: list[CacheMount]) -> None:
        barrier.wait()
        for _ in range(20):
            with caches(store) as one:
                one.lock(order)

    threads = [threading.Thread(target=use, args=(order,)) for order in (mounts, mounts[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_waiting_ends_when_the_build_is_cancelled(store: Store) -> None:
    cancelled = threading.Event()
    with caches(store) as one, caches(store, cancelled=cancelled) as two:
        one.lock([cache(sharing="locked")])
        threading.Thread(target=cancelled.set).start()
        with pytest.raises(Cancelled, match="cache-mount-use"):
            two.lock([cache(sharing="locked")])


def test_cache_starts_with_a_part_of_another_file_system(store: Store) -> None:
    made = add_snapshot(store, None, {"s/f": b"one", "s/sub/g": b"two", "other": b"x"})
    with caches(store, FileSystem(made.id)) as one:
        bind = one.open(cache(input=1, source="/s"))
        root = Path(directory(bind))
        assert (root / "f").read_bytes() == b"one"
        assert (root / "sub/g").read_bytes() == b"two"
        assert not (root / "other").exists()
        assert directory(one.open(cache())) != directory(bind), "of one id, but it starts empty"
        assert one.open(cache(input=1, source="/s/f")).source == "/f"


def test_cache_of_another_content_is_another_one(store: Store) -> None:
    first, second = (add_snapshot(store, None, {"f": text}) for text in (b"1", b"2"))
    with caches(store, FileSystem(first.id), FileSystem(second.id)) as one:
        found = [directory(one.open(cache(input=number))) for number in (1, 2, 1)]
    assert found[0] == found[2] != found[1]
