"""What the build cache may take when nobody prunes it: BuildKit's default policy, once a day.

Gone is what was not used for 60 days and, the least recently used first, what is beyond 100 GB or
three quarters of the disk, whichever is less, or keeps less than a fifth of the disk free; but
10 GB, or a tenth of the disk, may always stay. (BuildKit's cmd/buildkitd/config/gcpolicy.go. Its
rule that cache mounts go after two days when there is half a gigabyte of cache is left out.)
"""

from __future__ import annotations

import os
import time

from tierce.store.cache_prune import Limits, PrunedCache, prune_cache
from tierce.store.failures import reported
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tierce.store.store import Store

_DAY_SECONDS = 86_400
_GB = 1_000_000_000
_LOCK = "collect-cache"


class Policy(Value):
    """`age_seconds` since the last use is the most that is kept, within `limits` in bytes."""

    age_seconds: float
    limits: Limits


def default_policy(store: Store) -> Policy:
    """The policy for the disk that the store is on. Raises StoreError."""
    with reported("look at the disk"):
        status = os.statvfs(store.paths.root)
    disk = status.f_blocks * status.f_frsize
    limits = Limits(
        max_used=min(100 * _GB, disk * 75 // 100),
        reserved=min(10 * _GB, disk * 10 // 100),
        min_free=disk * 20 // 100,
    )
    return Policy(60 * _DAY_SECONDS, limits)


def collect_cache(store: Store, policy: Policy | None = None) -> PrunedCache:
    """Remove what the policy (by default `default_policy`) does not keep; of images, nothing.

    At the same time as another does this it does nothing. Raises StoreError.
    """
    policy = policy or default_policy(store)
    before = time.time() - policy.age_seconds
    with store.locks.try_hold(_LOCK) as held:
        if not held:
            return PrunedCache((), 0)
        old = prune_cache(store, accept=lambda item: item.last_used < before)
        more = prune_cache(store, limits=policy.limits)
    return PrunedCache((*old.items, *more.items), old.size + more.size)
