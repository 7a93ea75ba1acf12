"""Removing on purpose what is not in use: images, build cache. Never what somebody works on.

These delete rows; `gc.collect` then frees what is left without a reference.
"""

from __future__ import annotations

import os
import time

from tierce.store.failures import reported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.store.cache_mounts import CacheMount
    from tierce.store.failed_steps import FailedStep
    from tierce.store.image_removal import Removed
    from tierce.store.images import Image
    from tierce.store.records import Record
    from tierce.store.store import Store

_NOBODY = 1 << 62
CONTEXT_BYTES = 256 << 20
"""What `contexts/` may hold before the least recently used files in it go."""


def prune_images(
    store: Store,
    *,
    unnamed_only: bool = True,
    accept: Callable[[Image], bool] = lambda _image: True,
) -> Sequence[Removed]:
    """Remove images that no name points to, or else all that no container uses.

    Those between the steps of a build stay as long as what was made of them.
    `accept` may spare some; it is called within a transaction and must be quick.
    """
    removed = []
    with store.database.removal():
        named = store.images.all_names()
        in_use = _images_in_use(store)
        images = {
            image.config: image
            for image in store.images.list()
            if not (image.config in named and unnamed_only)
        }
        # An image that a step of a build has made another one of stays as long as that one.
        parents = dict(store.images.parents())
        while free := images.keys() - parents.values():
            for config in [each for each in images if each in free]:
                image = images.pop(config)
                if store.images.find(str(config)) is None:
                    continue  # it went with that for another platform, whose name it had
                if str(config) not in in_use and accept(image):
                    removed.append(store.images.remove(str(config), force=True))
                    parents.pop(config, None)
    return removed


def prune_records(
    store: Store,
    *,
    with_images: bool = False,
    accept: Callable[[Record], bool] = lambda _record: True,
) -> Sequence[Record]:
    """Remove cache records that no build uses, the least recently used first.

    Records of layers that are in images take no space of their own, and stay unless
    `with_images`. Nothing is measured; `cache_prune` keeps to limits in bytes.
    """
    removed = []
    with store.database.removal():
        oldest = store.leases.oldest_living() or _NOBODY
        free = {
            number
            for (number,) in store.database.all("SELECT id FROM records WHERE lease < ?", (oldest,))
        }
        shared = set() if with_images else _snapshots_of_images(store)
        records = sorted(store.records.list(), key=lambda record: (record.last_used, record.id))
        for record in records:
            if record.id in free and record.snapshot not in shared and accept(record):
                store.records.remove(record.id)
                removed.append(record)
    return removed


def prune_cache_mounts(
    store: Store, *, accept: Callable[[CacheMount], bool] = lambda _mount: True
) -> Sequence[CacheMount]:
    """Remove the contents of RUN --mount=type=cache that no build uses."""
    removed = []
    with store.database.removal():
        oldest = store.leases.oldest_living() or _NOBODY
        rows = store.database.all("SELECT name FROM cache_mounts WHERE lease >= ?", (oldest,))
        in_use = {name for (name,) in rows}
        for mount in store.cache_mounts.list():
            if mount.name not in in_use and accept(mount):
                store.cache_mounts.remove(mount.name)
                removed.append(mount)
    return removed


def prune_failed_steps(
    store: Store, *, accept: Callable[[FailedStep], bool] = lambda _step: True
) -> Sequence[FailedStep]:
    """Remove failed steps; a container that was made of one keeps what it needs."""
    removed = []
    with store.database.removal():
        for step in store.failed_steps.list():
            if accept(step):
                store.failed_steps.remove(step.id)
                removed.append(step)
    return removed


def prune_contexts(
    store: Store, *, max_bytes: int = CONTEXT_BYTES, max_age_seconds: float | None = None
) -> int:
    """Remove what is remembered of build contexts, the oldest first; returns the bytes."""
    freed = 0
    now = time.time()
    with reported("prune build contexts"):
        found = []
        with os.scandir(store.paths.contexts) as entries:
            for entry in entries:
                status = _status(entry)
                if status is not None:
                    found.append((status.st_mtime, status.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for changed, size, path in sorted(found):
            too_old = max_age_seconds is not None and now - changed > max_age_seconds
            if total <= max_bytes and not too_old:
                break
            store.trash.throw(store.paths.contexts / os.path.basename(path))
            total -= size
            freed += size
    return freed


def prune_repositories(store: Store) -> None:
    """Remove what was fetched of git repositories, but for those that are being worked on."""
    try:
        names = os.listdir(store.paths.repositories)
    except FileNotFoundError:
        return  # a store that has never fetched any
    for name in names:
        with store.locks.try_hold(f"git-{name}") as held:
            if held:
                store.trash.throw(store.paths.repository(name))


def prune_logs(store: Store, *, until: float = float("inf")) -> None:
    """Remove the logs of steps that ended before `until` (epoch seconds); not of running builds."""
    until = min([until, *(lease.started for lease in store.leases.living())])
    with reported("prune logs"), os.scandir(store.paths.logs) as entries:
        for entry in entries:
            status = _status(entry)
            if status is not None and status.st_mtime < until:
                store.trash.throw(store.paths.logs / entry.name)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What a file is like; None when a build, or another prune, has removed it by now."""
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _images_in_use(store: Store) -> set[str]:
    """Image IDs that a container or a living lease uses."""
    oldest = store.leases.oldest_living() or _NOBODY
    rows = store.database.all(
        "SELECT image FROM containers UNION SELECT config FROM images WHERE lease >= ?", (oldest,)
    )
    return {config for (config,) in rows}


def _snapshots_of_images(store: Store) -> set[int | None]:
    rows = store.database.all(
        "WITH RECURSIVE chain AS ("
        " SELECT snapshots.id, parent FROM snapshots JOIN images USING (chain_id)"
        " UNION SELECT snapshots.id, snapshots.parent FROM snapshots"
        " JOIN chain ON snapshots.id = chain.parent) SELECT id FROM chain"
    )
    return {number for (number,) in rows}
