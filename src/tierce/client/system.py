"""The store as a whole: what takes how much space, what may go, whether it is sound."""

from __future__ import annotations

from tierce.client.container_prune import prune_containers
from tierce.client.filters import moment, parse_filters
from tierce.client.images import PRUNE_FILTERS, Images
from tierce.client.volumes import Volumes, VolumesPruned
from tierce.runtime.launcher import sweep
from tierce.store.check import check
from tierce.store.prune import (
    prune_cache_mounts,
    prune_contexts,
    prune_failed_steps,
    prune_images,
    prune_logs,
    prune_records,
    prune_repositories,
)
from tierce.store.usage import disk_usage_of, image_usage
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.store import Store
    from tierce.store.cache_mounts import CacheMount
    from tierce.store.check import Report
    from tierce.store.image_removal import Removed
    from tierce.store.records import Record
    from tierce.store.usage import ImageUsage, Usage


class SystemPruned(Value):
    """What a prune removed, and the bytes on disk that it freed.

    Containers by their ids, volumes by their names.
    """

    containers: tuple[str, ...]
    volumes: tuple[str, ...]
    images: tuple[Removed, ...]
    records: tuple[Record, ...]
    cache_mounts: tuple[CacheMount, ...]
    size: int


class System:
    """One store, as a whole."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def usage(self) -> Usage:
        """Where the bytes of the store are. Walks all of it. Raises StoreError."""
        return disk_usage_of(self._store)

    def image_usage(self) -> Sequence[ImageUsage]:
        """Every image with what it shares with others."""
        return image_usage(self._store)

    def prune(
        self, filters: Sequence[str] = (), *, all: bool = False, volumes: bool = False
    ) -> SystemPruned:
        """Remove containers that do not run, images without names, build cache that no image has,
        failed steps, logs; with `all` every image that no container uses, and all build cache;
        with `volumes` the anonymous ones that no container uses. What a build works on stays.

        `filters` are `label=…` and `label!=…` for all but cache, `until=…` for all but volumes.
        Raises UsageError.
        """
        wanted = parse_filters(filters, PRUNE_FILTERS)
        until = min((moment(text) for text in wanted.get("until", ())), default=float("inf"))
        images = Images(self._store)
        # Cache has no labels: who filters by them means images.
        labelled = bool(wanted.get("label") or wanted.get("label!"))
        containers = prune_containers(self._store, filters)
        unused = VolumesPruned((), 0)
        if volumes:
            labels = [text for text in filters if text.strip().lower().startswith("label")]
            unused = Volumes(self._store).prune(labels)
        removed = prune_images(self._store, unnamed_only=not all, accept=images.acceptable(filters))
        records: Sequence[Record] = ()
        mounts: Sequence[CacheMount] = ()
        if not labelled:
            records = prune_records(
                self._store, with_images=all, accept=lambda record: record.last_used < until
            )
            mounts = prune_cache_mounts(self._store, accept=lambda mount: mount.last_used < until)
            prune_failed_steps(self._store, accept=lambda step: step.created < until)
            prune_logs(self._store, until=until)
            if all:
                prune_contexts(self._store, max_bytes=0)
                prune_repositories(self._store)
        size = containers.size + unused.size + self._store.collect().size
        return SystemPruned(
            containers.ids, unused.names, tuple(removed), tuple(records), tuple(mounts), size
        )

    def check(self, *, repair: bool = True) -> Report:
        """Look whether everything is what it should be. Raises StoreError.

        With `repair`, what killed processes left beside the store goes too: empty cgroups, files
        of their containers.
        """
        if repair:
            sweep(self._store.paths.bundles)
        return check(self._store, repair=repair)
