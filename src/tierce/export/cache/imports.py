"""Caches of elsewhere, beside the records of the store.

They are only read. A result is brought into the store when a build needs it, and becomes a record
of the store then; a layer is used only when its digest and its diff id are right. Whatever else is
wrong with a cache is a warning, and the build goes on without it.
"""

from __future__ import annotations

import threading

from tierce.archive.found import FoundLayer
from tierce.archive.layers import take_layers
from tierce.archive.source import open_archive
from tierce.archive.staging import Staging
from tierce.errors import (
    ArchiveError,
    CredentialsError,
    DigestMismatch,
    InvalidValue,
    LayerError,
    NotFound,
    RegistryError,
)
from tierce.export.cache.directory import blob_of, read_cache
from tierce.export.cache.document import CacheDocument
from tierce.export.cache.inline import read_inline
from tierce.export.cache.options import CacheDirectory
from tierce.solver.progress import VertexWarning
from tierce.solver.reporting import reported_step
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.export.cache.directory import CacheWriter
    from tierce.export.cache.document import CachedLayer, CachedRecord
    from tierce.export.cache.options import CacheSource
    from tierce.export.cache.registry import CacheRegistries, RegistryWriter
    from tierce.oci.descriptor import Descriptor
    from tierce.oci.digest import Digest
    from tierce.oci.manifest import Manifest
    from tierce.oci.platform import Platform
    from tierce.solver.progress import Listener
    from tierce.solver.types import CacheRecord, Origin, Step
    from tierce.store import Store

    Warn = Callable[[str], None]

BROKEN = (
    ArchiveError,
    CredentialsError,
    DigestMismatch,
    InvalidValue,
    LayerError,
    NotFound,
    RegistryError,
)
"""What a cache that is not sound raises; a full disk, or a store that fails, is another matter."""


class ImportedCache:
    """One cache. `path` is where the blobs of `manifest` are, empty for a cache in an image."""

    def __init__(
        self, name: str, document: CacheDocument, path: str = "", manifest: Manifest | None = None
    ) -> None:
        self.name = name
        self.document = document
        self.path = path
        self.damaged = False
        """Whether a blob turned out not to be what it should be."""
        self._manifest = manifest

    def descriptor(self, layer: CachedLayer) -> Descriptor | None:
        """What the blob of a layer is, if there is one."""
        if self._manifest is None or layer.blob < 0:
            return None
        return self._manifest.layers[layer.blob]

    def take(self, store: Store, chain: Sequence[CachedLayer], step: Step) -> dict[Digest, int]:
        """Bring layers into the store, which are not there, and verify them.

        Returns the sizes of their tars, by diff id. Raises what is in BROKEN.
        """
        wanted = [layer for layer in chain if not store.layers.has(layer.diff_id)]
        if not wanted:
            return {}
        if not self.path:
            raise NotFound("layer", str(wanted[0].diff_id))
        sizes = {}
        with (
            store.leases.ensure("import cache"),
            Staging(store) as staging,
            open_archive(self.path, staging) as archive,
        ):
            layers = []
            for layer in wanted:
                descriptor = self.descriptor(layer)
                if descriptor is None:
                    raise NotFound("layer", str(layer.diff_id))
                content = blob_of(archive, descriptor)
                layers.append(
                    FoundLayer(content, layer.diff_id, descriptor.digest, descriptor.media_type)
                )
                step.status(str(descriptor.digest), 0, descriptor.size)
            taken = take_layers(store, staging, layers)
            staging.publish()
            for found, each in taken.items():
                store.blobs.set_diff_id(each.descriptor.digest, found.diff_id)
                sizes[found.diff_id] = each.tar_size
                size = each.descriptor.size
                step.status(str(each.descriptor.digest), size, size, finished=True)
        return sizes

    def copy(self, store: Store, blob: Descriptor, writer: CacheWriter | RegistryWriter) -> None:
        """Write a blob elsewhere, without its entering the store. Raises as `take`, BuildError."""
        with Staging(store) as staging, open_archive(self.path, staging) as archive:
            content = blob_of(archive, blob)

            def fill(sink: Callable[[bytes | memoryview], object]) -> None:
                for chunk in content.chunks():
                    sink(chunk)

            writer.write(blob, fill)


class ImportedRecord(Value):
    """A record of a cache of elsewhere. Records of the store have positive numbers."""

    id: int
    record: CachedRecord
    cache: ImportedCache
    origin: Origin

    @property
    def key(self) -> str:
        return self.record.keys[0]

    @property
    def snapshot(self) -> None:
        """It has none before it is fetched."""

    @property
    def chain(self) -> Sequence[CachedLayer]:
        """The layers of its result, the lowest first."""
        return self.cache.document.chain(self.record.layer)


class ImportedRecords:
    """Implements `tierce.solver.types.CacheRecords`, and `Origin` for those of the caches.

    What the store has comes first.
    """

    def __init__(self, store: Store, caches: Sequence[ImportedCache], warn: Warn) -> None:
        self.caches = caches
        self._store = store
        self._own = store.records
        self._warn = warn
        self._lock = threading.Lock()
        self._by_key: dict[str, ImportedRecord] = {}
        self._later_keys: dict[int, list[str]] = {}
        self._fetched: dict[int, CacheRecord | None] = {}
        number = 0
        for cache in caches:
            for record in cache.document.records:
                number -= 1
                imported = ImportedRecord(number, record, cache, self)
                for key in record.keys:
                    known = self._by_key.get(key)
                    if known is None or (imported.record.has_result > known.record.has_result):
                        self._by_key[key] = imported

    def find(self, keys: Sequence[str]) -> CacheRecord | None:
        """See `CacheRecords`."""
        for key in keys:
            found = self._own.find([key]) or self._by_key.get(key)
            if found is not None:
                return found
        return None

    def has(self, key: str) -> bool:
        """See `CacheRecords`."""
        return key in self._by_key or self._own.has(key)

    def add(
        self, keys: Sequence[str], snapshot: int | None, name: str, components: bytes = b""
    ) -> CacheRecord:
        """Remember a result in the store."""
        return self._own.add(keys, snapshot, name, components)

    def add_keys(self, number: int, keys: Sequence[str]) -> None:
        """See `CacheRecords`; for a record of a cache, its record in the store gets them."""
        if number > 0:
            self._own.add_keys(number, keys)
            return
        with self._lock:
            self._later_keys.setdefault(number, []).extend(keys)

    def offers(self, record: CacheRecord) -> bool:
        """See `Origin`."""
        assert isinstance(record, ImportedRecord)
        return record.record.has_result and self._fetched.get(record.id, record) is not None

    def fetch(self, record: CacheRecord, step: Step) -> CacheRecord | None:
        """See `Origin`. Raises StoreError."""
        assert isinstance(record, ImportedRecord)
        if not record.record.has_result:
            return None
        # One at a time: the layers of one result are taken in at the same time.
        with self._lock:
            if record.id not in self._fetched:
                self._fetched[record.id] = self._fetch(record, step)
            return self._fetched[record.id]

    def candidates(self) -> Sequence[CachedRecord]:
        """All records of all caches, to compare misses with."""
        return [record for cache in self.caches for record in cache.document.records]

    def _fetch(self, record: ImportedRecord, step: Step) -> CacheRecord | None:
        found = record.record
        try:
            snapshot = self._snapshot(record, step)
        except BROKEN as error:
            record.cache.damaged = True
            self._warn(f"use cache {record.cache.name}: {found.name}: {error.message}")
            return None
        keys = [*found.keys, *self._later_keys.get(record.id, ())]
        return self._own.add(list(dict.fromkeys(keys)), snapshot, found.name, found.components)

    def _snapshot(self, record: ImportedRecord, step: Step) -> int | None:
        store = self._store
        parent: int | None = None
        with store.leases.ensure("import cache"):
            sizes = record.cache.take(store, record.chain, step)
            for layer in record.chain:
                tar_size = sizes.get(layer.diff_id) or store.layers.tar_size(layer.diff_id)
                parent = store.snapshots.add_layer(
                    parent,
                    layer.diff_id,
                    size=layer.size,
                    tar_size=tar_size,
                    created=layer.created_us / 1_000_000,
                ).id
            if parent is not None and not store.snapshots.use(parent):
                raise NotFound("layer", str(record.chain[-1].diff_id))
        return parent


def import_caches(
    store: Store,
    sources: Sequence[CacheSource],
    platform: Platform,
    listener: Listener,
    registries: Callable[[], CacheRegistries] | None = None,
) -> ImportedRecords:
    """The records of the store, with those of caches; each that cannot be used is a warning.

    Without `registries`, only what is here is looked into.
    """

    def warn(message: str) -> None:
        listener(VertexWarning("", message))

    caches = []
    for source in sources:
        name = f"local:{source.path}" if isinstance(source, CacheDirectory) else source.reference
        with reported_step(f"importing cache manifest from {name}", listener):
            try:
                caches.append(_open(store, source, name, platform, registries))
            except BROKEN as error:
                hint = f" ({error.hint})" if error.hint else ""
                warn(f"import cache from {name}: {error.message}{hint}")
    return ImportedRecords(store, caches, warn)


def _open(
    store: Store,
    source: CacheSource,
    name: str,
    platform: Platform,
    registries: Callable[[], CacheRegistries] | None,
) -> ImportedCache:
    if isinstance(source, CacheDirectory):
        with Staging(store) as staging:
            found = read_cache(source, staging)
        return ImportedCache(name, found.document, source.path, found.manifest)
    if registries is not None and store.images.find(source.reference, platform) is None:
        return registries().read(source.reference, platform)
    return ImportedCache(name, read_inline(store, source, platform))
