"""Removing build cache on purpose: by age, by what it is, or until it fits into so many bytes."""

from __future__ import annotations

import heapq
import os

from tierce.store.cache_usage import (
    CACHE_MOUNT,
    CONTEXT,
    FAILED,
    REGULAR,
    REPOSITORY,
    cache_usage,
)
from tierce.store.failures import reported
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.store.cache_usage import CacheItem, CacheUsage
    from tierce.store.store import Store

_NOBODY = 1 << 62
_ROUNDS = 8
"""Sizes are measured again after each; one is mostly enough."""


class Limits(Value):
    """How much may stay, in bytes, as BuildKit has it; all zero: no limit, so that all goes.

    Removed is until the cache has no more than `max_used`, and the disk has `min_free`, but never
    so much that the cache has less than `reserved`.
    """

    max_used: int = 0
    reserved: int = 0
    min_free: int = 0

    def kept(self, total: int, free: int) -> int | None:
        """The bytes that may stay of a cache of `total`, with `free` on the disk; None: nothing."""
        if not (self.max_used or self.reserved or self.min_free):
            return None
        kept = self.max_used or total
        if self.min_free > free:
            kept = min(kept, total - (self.min_free - free))
        elif not self.max_used and not self.min_free:
            kept = 0  # only the reserved space is to be kept
        return max(kept, self.reserved)


class PrunedCache(Value):
    """What was removed, and the bytes on disk that it freed."""

    items: tuple[CacheItem, ...]
    size: int


def prune_cache(
    store: Store,
    *,
    all: bool = False,
    accept: Callable[[CacheItem], bool] = lambda _item: True,
    limits: Limits | None = None,
) -> PrunedCache:
    """Remove what no build uses, the least recently used first, and what only that needed.

    What images have too takes no space of its own and stays, unless `all`. `accept` may spare
    more. With `limits`, things go only until the rest fits. Raises StoreError.
    """
    removed: dict[str, CacheItem] = {}
    size = 0
    for _ in range(_ROUNDS):
        usage = cache_usage(store)
        kept = None if limits is None else limits.kept(usage.private, _free_bytes(store))
        if kept is not None and usage.private <= kept:
            break
        chosen = _choose(usage, kept, lambda item: (all or not item.shared) and accept(item))
        gone = [each for each in chosen if each.id not in removed and _remove(store, each)]
        removed |= {each.id: each for each in gone}
        size += store.collect().size
        if not gone or kept is None:
            break
    return PrunedCache(tuple(removed.values()), size)


def _choose(
    usage: CacheUsage, kept: int | None, accept: Callable[[CacheItem], bool]
) -> Sequence[CacheItem]:
    """What to remove, in order; `kept` are the bytes that may stay (None: nothing)."""
    may_go = [each for each in usage.items if each.name and not each.in_use and accept(each)]
    if kept is None:
        return sorted(may_go, key=_age)
    excess = usage.private - kept
    chosen = []
    # A layer is freed when nothing stands on it any more: the topmost go first.
    upon: dict[str, int] = {}
    for each in usage.items:
        for parent in each.parents:
            upon[parent] = upon.get(parent, 0) + 1
    free_to_go = {each.id: each for each in may_go}
    queue = [(*_age(each), each.id) for each in may_go if not upon.get(each.id)]
    heapq.heapify(queue)
    while queue and excess > 0:
        item = free_to_go[heapq.heappop(queue)[-1]]
        chosen.append(item)
        excess -= 0 if item.shared else item.size
        for parent in item.parents:
            upon[parent] -= 1
            if not upon[parent] and parent in free_to_go:
                heapq.heappush(queue, (*_age(free_to_go[parent]), parent))
    return chosen


def _age(item: CacheItem) -> tuple[float, int]:
    return item.last_used, -item.size


def _remove(store: Store, item: CacheItem) -> bool:
    """Remove one item, unless a build uses it by now; says whether it went."""
    if item.type == REGULAR:
        return _remove_row(store, "records", "id", int(item.name))
    if item.type == CACHE_MOUNT:
        return _remove_row(store, "cache_mounts", "name", item.name)
    if item.type == FAILED:
        store.failed_steps.remove(item.name)
        return True
    if item.type == CONTEXT:
        store.trash.throw(store.paths.contexts / item.name)
        return True
    assert item.type == REPOSITORY, item
    with store.locks.try_hold(f"git-{item.name}") as held:
        if held:
            store.trash.throw(store.paths.repository(item.name))
        return bool(held)


def _remove_row(store: Store, table: str, column: str, value: int | str) -> bool:
    # The leases are looked at in the same transaction: nobody can begin to use it in between.
    with store.database.removal():
        oldest = store.leases.oldest_living() or _NOBODY
        deleted = store.database.execute(
            f"DELETE FROM {table} WHERE {column} = ? AND lease < ?", (value, oldest)
        )
    return bool(deleted.rowcount)


def _free_bytes(store: Store) -> int:
    with reported("look for free space"):
        status = os.statvfs(store.paths.root)
    return status.f_bavail * status.f_frsize
