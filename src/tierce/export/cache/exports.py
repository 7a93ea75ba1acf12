"""Writing the cache of a build: to a directory, or into its image."""

from __future__ import annotations

from tierce.archive.staging import Staging
from tierce.errors import ArchiveError, BuildError, InvalidValue, TierceError
from tierce.export.cache.directory import CacheWriter
from tierce.export.cache.document import (
    CACHE_CONFIG,
    CachedLayer,
    CacheDocument,
    CachedRecord,
)
from tierce.export.cache.imports import ImportedCache, ImportedRecord
from tierce.export.cache.inline import encode_inline
from tierce.export.cache.options import MAX, DirectoryExport, InlineExport, RegistryExport
from tierce.export.layers import layer_descriptors
from tierce.oci.config import chain_ids
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Manifest
from tierce.oci.media_types import OCI_MANIFEST, compressed_layer, layer_compression
from tierce.oci.reference import Reference
from tierce.solver.progress import VertexWarning
from tierce.solver.reporting import reported_step
from tierce.store.parallel import in_parallel
from tierce.store.records import Record
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tierce.export.cache.options import CacheExport
    from tierce.export.cache.registry import CacheRegistries, RegistryWriter
    from tierce.export.outputs import Compression
    from tierce.solver.cache import Outcome
    from tierce.solver.progress import Listener
    from tierce.solver.reporting import ReportedStep
    from tierce.store import Store
    from tierce.store.snapshots import Snapshot


class _Layer(Value):
    """A layer of a result: a snapshot of the store or, where it is not here, of a cache."""

    diff_id: Digest
    size: int
    created_us: int
    snapshot: Snapshot | None = None
    cache: ImportedCache | None = None
    cached: CachedLayer | None = None


class _Result(Value):
    """A record to be written, and the layers of its result; None for one without."""

    name: str
    layers: tuple[_Layer, ...] | None
    created: float
    keys: tuple[str, ...]
    components: bytes


def check_exports(exports: Sequence[CacheExport]) -> None:
    """Refuse, before anything is built, where a cache cannot be written. Raises BuildError."""
    for export in exports:
        if isinstance(export, DirectoryExport) and not export.ignore_error:
            CacheWriter(export.path)


def export_caches(
    store: Store,
    outcomes: Sequence[Outcome],
    snapshot: int | None,
    exports: Sequence[CacheExport],
    imported: Sequence[ImportedCache],
    listener: Listener,
    registries: Callable[[], CacheRegistries] | None = None,
) -> None:
    """Write the cache of a build, whose result is `snapshot`, to directories and registries.

    What is there already is not written again. Raises BuildError, StoreError, LayerError; with
    `ignore_error` it is a warning.
    """
    for export in exports:
        if isinstance(export, InlineExport):
            continue
        place = "registry" if isinstance(export, RegistryExport) else "client directory"
        try:
            with reported_step(f"exporting cache to {place}", listener) as step:
                _export(store, outcomes, snapshot, export, imported, step, registries)
                if isinstance(export, DirectoryExport) and export.reset:
                    _reset(store, export, step, listener)
        except TierceError as error:
            if not export.ignore_error:
                raise
            listener(VertexWarning("", f"{error.message}; ignored (ignore-error)"))


def inline_cache(
    store: Store,
    outcomes: Sequence[Outcome],
    snapshot: int | None,
    exports: Sequence[CacheExport],
    listener: Listener,
    *,
    inherited: int = 0,
    epoch: int | None = None,
) -> str:
    """The cache as text for the config of the image of `snapshot`; empty unless one is wanted.

    Its layers are those of the image: with an `epoch` (seconds since 1970), all but the first
    `inherited` ones have no later times than that.
    """
    if not any(isinstance(export, InlineExport) for export in exports):
        return ""
    with (
        reported_step("exporting inline cache", listener) as step,
        step.part("preparing layers for inline cache"),
    ):
        results = _results(store, outcomes, snapshot, everything=False)
        final = () if snapshot is None else store.snapshots.chain(snapshot)
        if epoch is not None:
            final = store.snapshots.clamp(final, inherited, epoch)
        layers = tuple(_here(each) for each in final)
        # An image is for everybody: what steps were made of stays out of it.
        bare = [
            each.replace(
                layers=None if each.layers is None else layers[: len(each.layers)],
                components=b"",
            )
            for each in results
        ]
        return encode_inline(_document(bare, {}))


def _export(
    store: Store,
    outcomes: Sequence[Outcome],
    snapshot: int | None,
    export: DirectoryExport | RegistryExport,
    imported: Sequence[ImportedCache],
    step: ReportedStep,
    registries: Callable[[], CacheRegistries] | None,
) -> None:
    with step.part("preparing build cache for export"):
        results = _results(store, outcomes, snapshot, everything=export.mode == MAX)
        blobs = _blobs(store, results, export.compression)
    if not results:
        with step.part("skipping cache export for empty result"):
            return
    # A cache that is damaged is mostly written to where it came from: there it is mended.
    verify = any(cache.damaged for cache in imported)
    if isinstance(export, DirectoryExport):
        with CacheWriter(export.path) as writer:
            _write(store, writer, export.tag, results, blobs, step, verify=verify)
        return
    if registries is None:
        raise BuildError(f"export cache to {export.reference}: there are no registries")
    tag = Reference.parse(export.reference).with_default_tag().tag
    if tag is None:
        raise BuildError(f"export cache to {export.reference}: a cache is written under a tag")
    with registries().writer(export.reference) as remote:
        _write(store, remote, tag, results, blobs, step, verify=verify)


def _reset(store: Store, export: DirectoryExport, step: ReportedStep, listener: Listener) -> None:
    with (
        step.part("removing what no cache needs"),
        CacheWriter(export.path) as writer,
        Staging(store) as staging,
    ):
        try:
            done = writer.reset(staging)
        except (ArchiveError, InvalidValue) as error:
            listener(VertexWarning("", f"reset cache in {export.path}: {error.message}"))
            return
        if not done:
            listener(VertexWarning("", f"reset cache in {export.path}: others write to it now"))


def _write(
    store: Store,
    writer: CacheWriter | RegistryWriter,
    tag: str,
    results: Sequence[_Result],
    blobs: Mapping[Digest, _Blob],
    step: ReportedStep,
    *,
    verify: bool,
) -> None:
    """Write the blobs that are not there (by their size, or verified), the documents, the tag."""
    listed = {blob.descriptor.digest: blob for blob in blobs.values()}
    missing = [blob for blob in listed.values() if not writer.has(blob.descriptor, verify=verify)]

    def write(blob: _Blob) -> None:
        with step.part(f"writing layer {blob.descriptor.digest}", blob.descriptor.size):
            blob.write(store, writer)

    in_parallel(write, missing)
    places = {digest: place for place, digest in enumerate(listed)}
    document = _document(
        results, {diff_id: places[blob.descriptor.digest] for diff_id, blob in blobs.items()}
    ).encode()
    config = Descriptor(CACHE_CONFIG, Digest.of(document), len(document))
    with step.part(f"writing config {config.digest}"):
        writer.write_bytes(config, document)
    layers = tuple(blob.descriptor for blob in listed.values())
    raw = Manifest(OCI_MANIFEST, config, layers).encode()
    manifest = Descriptor(OCI_MANIFEST, Digest.of(raw), len(raw))
    with step.part(f"writing cache image manifest {manifest.digest}"):
        writer.write_bytes(manifest, raw)
        writer.tag(tag, manifest)


# What is exported


def _results(
    store: Store, outcomes: Sequence[Outcome], snapshot: int | None, *, everything: bool
) -> list[_Result]:
    """What became of the steps; the layers of those that the result is made of, or of all."""
    finished = [snapshot] if snapshot is not None else []
    known = [each for each in outcomes if each.keys and each.record is not None]
    if everything:
        finished += [
            each.record.snapshot
            for each in known
            if each.record is not None and each.record.snapshot is not None
        ]
    store.snapshots.finish(list(dict.fromkeys(finished)))
    image = () if snapshot is None else store.snapshots.chain(snapshot)
    members = {each.id for each in image}
    image_ids = [_sure(each.diff_id) for each in image]
    results = []
    for outcome in known:
        record = outcome.record
        assert record is not None
        layers: tuple[_Layer, ...] | None = None
        if isinstance(record, ImportedRecord):
            if record.record.has_result:
                cached = record.chain
                in_image = image_ids[: len(cached)] == [each.diff_id for each in cached]
                if everything or in_image:
                    layers = _elsewhere(record)
            name, created = record.record.name, float(record.record.created)
            components = record.record.components
            keys: Sequence[str] = record.record.keys
        else:
            # As it was found or made: another build may have replaced it in the store since.
            assert isinstance(record, Record)
            if record.snapshot is None or everything or record.snapshot in members:
                chain = () if record.snapshot is None else store.snapshots.chain(record.snapshot)
                layers = tuple(_here(each) for each in chain)
            name, created = record.name, record.created
            components = store.records.components(record.id) or outcome.components
            keys = store.records.keys(record.id)
        every = tuple(dict.fromkeys([*outcome.keys, *keys]))
        results.append(_Result(name, layers, created, every, components))
    return results


def _here(layer: Snapshot) -> _Layer:
    # Rounded as in `history.timestamp`: the float is not precise to a tenth of a microsecond.
    seconds = int(layer.created)
    created_us = seconds * 1_000_000 + round((layer.created - seconds) * 1_000_000)
    return _Layer(_sure(layer.diff_id), layer.size, created_us, layer)


def _elsewhere(record: ImportedRecord) -> tuple[_Layer, ...]:
    """The layers of a result that was not needed here, and so was not fetched."""
    return tuple(
        _Layer(each.diff_id, each.size, each.created_us, None, record.cache, each)
        for each in record.chain
    )


def _document(results: Sequence[_Result], blobs: dict[Digest, int]) -> CacheDocument:
    """`blobs` are the places of layers in the manifest."""
    layers: list[CachedLayer] = []
    places: dict[Digest, int] = {}
    records = []
    for result in results:
        layer = -1
        for each, chain in zip(
            result.layers or (), chain_ids([each.diff_id for each in result.layers or ()])
        ):
            if chain not in places:
                places[chain] = len(layers)
                blob = blobs.get(each.diff_id, -1)
                layers.append(CachedLayer(each.diff_id, layer, blob, each.size, each.created_us))
            layer = places[chain]
        records.append(
            CachedRecord(
                result.keys,
                result.name,
                layer,
                result.layers is not None,
                int(result.created),
                result.components,
            )
        )
    return CacheDocument(tuple(layers), tuple(records))


# Layers


class _Blob(Value):
    """What a layer is written as; `cache` has it when the store does not."""

    descriptor: Descriptor
    diff_id: Digest
    cache: ImportedCache | None = None

    def write(self, store: Store, writer: CacheWriter | RegistryWriter) -> None:
        """Raises BuildError, DigestMismatch, ArchiveError, StoreError."""
        if self.cache is not None:
            self.cache.copy(store, self.descriptor, writer)
        elif self.descriptor.digest == self.diff_id:
            writer.write(self.descriptor, lambda sink: store.layers.write_tar(self.diff_id, sink))
        else:
            with store.blobs.open(self.descriptor.digest) as file:
                pieces = iter(lambda: file.read(1 << 20), b"")
                writer.write(self.descriptor, lambda sink: _all(pieces, sink))


def _all(pieces: object, sink: Callable[[bytes | memoryview], object]) -> None:
    for piece in pieces:  # type: ignore[attr-defined]
        sink(piece)


def _blobs(
    store: Store, results: Sequence[_Result], compression: Compression
) -> dict[Digest, _Blob]:
    """What each layer is written as, by its diff id; compressed where it is not yet."""
    here: dict[Digest, Snapshot] = {}
    blobs: dict[Digest, _Blob] = {}
    for result in results:
        for layer in result.layers or ():
            if layer.snapshot is not None:
                here.setdefault(layer.diff_id, layer.snapshot)
    for result in results:
        for layer in result.layers or ():
            if layer.diff_id in here or layer.diff_id in blobs:
                continue
            assert layer.cache is not None
            assert layer.cached is not None
            descriptor = layer.cache.descriptor(layer.cached)
            if descriptor is None:
                raise BuildError(f"export cache: layer {layer.diff_id} is in no cache")
            blobs[layer.diff_id] = _Blob(descriptor, layer.diff_id, layer.cache)
    snapshots = list(here.values())
    came = _as_they_came(store, snapshots)
    described = layer_descriptors(store, snapshots, compression, came=came, oci=True)
    for snapshot, descriptor in zip(snapshots, described):
        diff_id = _sure(snapshot.diff_id)
        blobs[diff_id] = _Blob(descriptor, diff_id)
    return blobs


def _as_they_came(store: Store, layers: Sequence[Snapshot]) -> dict[Digest, Descriptor]:
    """Layers that are here compressed already, in whichever way."""
    came = {}
    for layer in layers:
        diff_id = _sure(layer.diff_id)
        for digest in store.blobs.by_diff_id(diff_id):
            blob = store.blobs.find(digest)
            if blob is None or digest == diff_id:
                continue
            kind = layer_compression(blob.media_type.partition(";")[0])
            if kind != "none":
                media_type = compressed_layer(OCI_MANIFEST, kind)
                came[diff_id] = Descriptor(media_type, digest, blob.size)
                break
    return came


def _sure(diff_id: Digest | None) -> Digest:
    assert diff_id is not None
    return diff_id
