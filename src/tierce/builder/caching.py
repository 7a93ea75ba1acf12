"""What one build does with caches beyond its store, and what it tells of the steps that missed."""

from __future__ import annotations

import os

from tierce import export
from tierce.distribution.settings import Settings
from tierce.solver.progress import StepExplained
from tierce.worker.components import without
from tierce.worker.explaining import explain_misses

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from tierce.builder.request import BuildRequest
    from tierce.export.cache.imports import ImportedRecords
    from tierce.export.cache.registry import CacheRegistries
    from tierce.oci.platform import Platform
    from tierce.solver.cache import Outcome
    from tierce.solver.progress import Listener
    from tierce.solver.types import CacheRecord, CacheRecords
    from tierce.store import Store


class Caching:
    """The caches of one build, from where they are read to where they are written."""

    def __init__(
        self,
        store: Store,
        request: BuildRequest,
        listener: Listener,
        secrets: Sequence[str] = (),
        cancelled: Event | None = None,
    ) -> None:
        """`secrets` are values that nobody is told. Raises BuildError for a directory that cannot
        be written to.
        """
        self._secrets = secrets
        self._store = store
        self._request = request
        self._listener = listener
        self._cancelled = cancelled
        self._registries: CacheRegistries | None = None
        self._imported: ImportedRecords | None = None
        self._outcomes: Sequence[Outcome] = ()
        self._newest = store.records.newest()
        if request.cache_to:
            export.cache.check_exports(request.cache_to)

    def records(self, platform: Platform) -> CacheRecords:
        """The records to look into: those of the store, and of the caches that are imported."""
        sources = self._request.cache_from
        if not sources:
            return self._store.records
        self._imported = export.cache.import_caches(
            self._store, sources, platform, self._listener, self._reached()
        )
        return self._imported

    def solved(self, outcomes: Sequence[Outcome]) -> None:
        """The steps have been solved, or one has failed: tell why they were not cached."""
        self._outcomes = outcomes
        if not self._request.explain:
            return
        elsewhere = self._imported.candidates() if self._imported is not None else ()
        for each in explain_misses(self._store, outcomes, self._newest, elsewhere, self._secrets):
            self._listener(StepExplained(each.vertex, each))

    def inline(self, snapshot: int | None, inherited: int, epoch: int | None) -> str:
        """The cache for the config of the image, or nothing; see `inline_cache`."""
        if not self._request.cache_to:
            return ""
        return export.cache.inline_cache(
            self._store,
            self._outcomes,
            snapshot,
            self._request.cache_to,
            self._listener,
            inherited=inherited,
            epoch=epoch,
        )

    def write(self, snapshot: int | None) -> None:
        """Write the cache where it was asked for. Raises BuildError, StoreError."""
        if self._request.cache_to:
            imported = self._imported.caches if self._imported is not None else ()
            export.cache.export_caches(
                self._store,
                self._outcomes,
                snapshot,
                self._request.cache_to,
                imported,
                self._listener,
                self._reached(),
            )

    def close(self) -> None:
        """Let go of registries. Idempotent."""
        registries, self._registries = self._registries, None
        if registries is not None:
            registries.close()

    def _reached(self) -> Callable[[], CacheRegistries] | None:
        """What reaches registries, when it is called; None where that is forbidden."""
        environment = dict(self._request.environment)
        if Settings.of(environment or os.environ).offline:
            return None

        def reach() -> CacheRegistries:
            if self._registries is None:
                self._registries = export.cache.CacheRegistries(
                    self._store, environment, self._cancelled
                )
            return self._registries

        return reach


class DiscreetRecords:
    """Records that keep no secret value in the name of a step."""

    def __init__(self, records: CacheRecords, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._records = records
        self.find = records.find
        self.has = records.has
        self.add_keys = records.add_keys

    def add(
        self, keys: Sequence[str], snapshot: int | None, name: str, components: bytes = b""
    ) -> CacheRecord:
        """See `CacheRecords`."""
        return self._records.add(keys, snapshot, without(self._secrets, name), components)
