"""What goes of the build cache when nobody prunes it."""

import time

from support.layers import add_snapshot, put_image
from tierce.store import Store
from tierce.store.cache_gc import Policy, collect_cache, default_policy
from tierce.store.cache_prune import Limits
from tierce.store.cache_usage import cache_usage

GB = 1_000_000_000
DAY = 86_400


def add(store: Store, name: str, days_ago: float) -> None:
    snapshot = add_snapshot(store, None, {name: bytes(50_000)})
    store.records.add([name], snapshot.id, name)
    store.database.execute(
        "UPDATE records SET last_used = ? WHERE name = ?", (time.time() - days_ago * DAY, name)
    )


def names(store: Store) -> set[str]:
    return {record.name for record in store.records.list()}


def test_what_was_not_used_for_long_goes(store: Store) -> None:
    add(store, "old", 61)
    add(store, "recent", 59)
    assert [item.description for item in collect_cache(store).items] == ["old"]
    assert names(store) == {"recent"}


def test_images_keep_what_is_theirs(store: Store) -> None:
    add(store, "old", 100)
    [snapshot] = store.snapshots.list()
    assert snapshot.diff_id is not None
    put_image(store, [snapshot.diff_id])
    assert collect_cache(store).items == ()


def test_beyond_the_limits_the_least_recently_used_goes(store: Store) -> None:
    for number in range(4):
        add(store, str(number), number)
    policy = Policy(60 * DAY, Limits(max_used=130_000))
    assert [item.description for item in collect_cache(store, policy).items] == ["3", "2"]
    assert cache_usage(store).private <= 130_000


def test_default_leaves_room_on_the_disk_and_something_in_the_cache(store: Store) -> None:
    policy = default_policy(store)
    assert 0 < policy.limits.reserved <= 10 * GB
    assert policy.limits.reserved < policy.limits.max_used <= 100 * GB
    assert policy.limits.min_free > 0


def test_only_one_collects_at_a_time(store: Store) -> None:
    add(store, "old", 100)
    with store.lock("collect-cache"):
        assert collect_cache(store).items == ()
    assert len(collect_cache(store).items) == 1
