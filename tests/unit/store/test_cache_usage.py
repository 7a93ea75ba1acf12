"""The items of the build cache, their sizes, and what of them goes."""

import time
from pathlib import Path

import pytest

from support.layers import add_snapshot, put_image
from tierce.store import Store
from tierce.store.cache_prune import Limits, prune_cache
from tierce.store.cache_usage import CacheItem, cache_usage
from tierce.store.failed_steps import StepProcess
from tierce.store.snapshots import Snapshot
from tierce.store.usage import disk_usage_of

KB = 1000


def step(store: Store, parent: Snapshot | None, name: str, size: int = 100 * KB) -> Snapshot:
    """A layer of about so many bytes that a step called `name` has made."""
    snapshot = add_snapshot(store, parent, {name: bytes(size)})
    store.records.add([name], snapshot.id, name)
    return snapshot


def by_name(store: Store) -> dict[str, CacheItem]:
    return {each.description: each for each in cache_usage(store).items}


def used(store: Store, name: str, ago_seconds: float) -> None:
    store.database.execute(
        "UPDATE records SET last_used = ? WHERE name = ?", (time.time() - ago_seconds, name)
    )


@pytest.fixture
def full(store: Store) -> Store:
    """A base image; upon it a, upon that b and c; alone d; a cache mount and a context."""
    base = add_snapshot(store, None, {"base": bytes(50 * KB)})
    assert base.diff_id is not None
    put_image(store, [base.diff_id])
    store.records.add(["base"], base.id, "base")
    a = step(store, base, "a")
    step(store, a, "b")
    step(store, a, "c")
    step(store, None, "d")
    (store.cache_mounts.directory("apt") / "file").write_bytes(bytes(30 * KB))
    Path(store.paths.context_cache("context")).write_bytes(bytes(5 * KB))
    store.collect()
    for age, name in enumerate(("a", "d", "b", "c")):
        used(store, name, 1000 - 100 * age)
    return store


# What there is


def test_items_add_up_to_what_system_df_says(full: Store) -> None:
    usage = cache_usage(full)
    parts = disk_usage_of(full)
    assert usage.private == parts.build_cache.size + parts.cache_mounts.size
    assert usage.total == usage.private + usage.shared
    assert usage.reclaimable == usage.total


def test_layers_of_images_are_shared_and_others_not(full: Store) -> None:
    items = by_name(full)
    assert items["base"].shared
    assert items["base"].size > 50 * KB
    assert not items["a"].shared
    assert 100 * KB < items["a"].size < 120 * KB


def test_items_know_what_they_stand_on(full: Store) -> None:
    items = by_name(full)
    assert items["b"].parents == items["c"].parents == (items["a"].id,)
    assert items["a"].parents == (items["base"].id,)
    assert items["d"].parents == ()


def test_layer_of_two_steps_is_counted_once(store: Store) -> None:
    snapshot = step(store, None, "first")
    store.records.add(["second"], snapshot.id, "second")
    items = by_name(store)
    assert items["first"].size > 100 * KB
    assert items["second"].size == 0


def test_layer_beneath_without_a_record_is_an_item_that_cannot_be_removed(store: Store) -> None:
    base = add_snapshot(store, None, {"base": bytes(50 * KB)})
    step(store, base, "top")
    [_top, below] = cache_usage(store).items
    assert below.size > 50 * KB
    assert not below.name
    prune_cache(store)
    assert cache_usage(store).items == ()


def test_cache_mounts_have_sizes_and_count_their_uses(store: Store) -> None:
    for _ in range(3):
        (store.cache_mounts.directory("apt") / "file").write_bytes(bytes(30 * KB))
    [mount] = cache_usage(store).items
    assert (mount.type, mount.name, mount.uses, mount.mutable) == (
        "exec.cachemount",
        "apt",
        2,
        True,
    )
    assert mount.size > 30 * KB


def test_what_a_build_uses_is_in_use(store: Store) -> None:
    step(store, None, "old")
    with store.leases.take("build"):
        store.records.find(["old"])
        store.cache_mounts.directory("apt")
        assert all(each.in_use for each in cache_usage(store).items)
        assert cache_usage(store).reclaimable == 0
        assert prune_cache(store, all=True).items == ()
    assert len(prune_cache(store, all=True).items) == 2


# What goes


def test_prune_leaves_what_images_have_and_all_takes_it(full: Store) -> None:
    pruned = prune_cache(full)
    assert [each.description for each in pruned.items if each.type == "regular"] == list("adbc")
    assert set(by_name(full)) == {"base"}
    assert pruned.size > 400 * KB
    assert [each.description for each in prune_cache(full, all=True).items] == ["base"]


def test_prune_by_what_is_accepted(full: Store) -> None:
    prune_cache(full, accept=lambda item: item.type == "exec.cachemount")
    assert set(by_name(full)) == {"base", "a", "b", "c", "d", "local source for context"}


def test_freed_bytes_are_those_that_were_told(full: Store) -> None:
    before = cache_usage(full).private
    assert prune_cache(full).size == before
    assert cache_usage(full).private == 0


def test_least_recently_used_goes_until_the_rest_fits(full: Store) -> None:
    total = cache_usage(full).private
    # a is the oldest, but b and c stand on it: it would free nothing.
    pruned = prune_cache(full, limits=Limits(max_used=total - 1))
    assert [each.description for each in pruned.items] == ["d"]
    pruned = prune_cache(full, limits=Limits(max_used=cache_usage(full).private - 150 * KB))
    assert [each.description for each in pruned.items] == ["b", "c"]
    assert {"a", "base"} <= set(by_name(full))


def test_layer_goes_when_nothing_stands_on_it_any_more(full: Store) -> None:
    prune_cache(full, limits=Limits(max_used=60 * KB))
    assert "a" not in by_name(full)
    assert cache_usage(full).private <= 60 * KB


def test_what_fits_stays(full: Store) -> None:
    total = cache_usage(full).private
    assert prune_cache(full, limits=Limits(max_used=total)).items == ()
    assert prune_cache(full, limits=Limits(reserved=total)).items == ()
    assert prune_cache(full, limits=Limits(min_free=1)).items == ()


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (Limits(), None),
        (Limits(max_used=60), 60),
        (Limits(reserved=60), 60),
        (Limits(max_used=60, reserved=80), 80),
        (Limits(min_free=50), 100),
        (Limits(min_free=70), 80),
        (Limits(min_free=70, reserved=90), 90),
        (Limits(min_free=70, max_used=30), 30),
        (Limits(min_free=1000), 0),
    ],
)
def test_limits_are_those_of_buildkit(limits: Limits, kept: int | None) -> None:
    # cache/manager.go, calculateKeepBytes: of a cache of 100 bytes, with 50 free on the disk.
    assert limits.kept(100, 50) == kept


def test_failed_steps_are_items_and_go(store: Store) -> None:
    base = step(store, None, "base")
    left = add_snapshot(store, base, {"left": bytes(40 * KB)})
    store.failed_steps.add("build", "RUN false", left.id, StepProcess(("false",)))
    failed = by_name(store)["failed: RUN false"]
    assert failed.size > 40 * KB
    prune_cache(store, accept=lambda item: item.type == "failed")
    assert set(by_name(store)) == {"base"}


def test_repository_that_is_being_fetched_stays(store: Store) -> None:
    (store.paths.repository("abc") / "objects").mkdir(parents=True)
    (store.paths.repository("abc") / "objects/pack").write_bytes(bytes(20 * KB))
    [item] = cache_usage(store).items
    assert (item.type, item.size > 20 * KB) == ("source.git.checkout", True)
    with store.lock("git-abc"):
        assert prune_cache(store).items == ()
    assert len(prune_cache(store).items) == 1
    assert cache_usage(store).items == ()


def test_store_that_never_fetched_a_repository_has_none(store: Store) -> None:
    store.paths.repositories.rmdir()
    assert cache_usage(store).items == ()
    assert prune_cache(store).items == ()
