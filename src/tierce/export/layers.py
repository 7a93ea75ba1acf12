"""The layers of an image as a manifest lists them: compressed as an output wants them.

What was compressed once stays in the store beside its layer, and is found again by the layer's
diff id.
"""

from __future__ import annotations

from tierce.export.outputs import GZIP, UNCOMPRESSED, ZSTD
from tierce.layer.compression import GZIP_MAGIC, ZSTD_MAGIC, compress
from tierce.oci.descriptor import Descriptor
from tierce.oci.media_types import (
    DOCKER_LAYER,
    OCI_LAYER,
    compressed_layer,
    is_layer,
    layer_compression,
)
from tierce.store.failures import reported
from tierce.store.parallel import in_parallel

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.export.outputs import Compression
    from tierce.oci.digest import Digest
    from tierce.store import Store
    from tierce.store.snapshots import Snapshot

_MAGIC_BYTES = 4


def layer_descriptors(
    store: Store,
    layers: Sequence[Snapshot],
    compression: Compression,
    *,
    came: Mapping[Digest, Descriptor],
    oci: bool,
) -> tuple[Descriptor, ...]:
    """A descriptor for each layer, whose content is here, several compressed at once.

    `came` has, by diff id, the layers of the base image as its manifest lists them: one that is
    compressed is used as it is, unless the compression is forced. With `oci` the media types are
    OCI's, else docker's. Raises LayerError, StoreError.
    """
    family = OCI_LAYER if oci else DOCKER_LAYER

    def describe(layer: Snapshot) -> Descriptor:
        assert layer.diff_id is not None
        if not compression.force:
            known = _as_it_came(store, came.get(layer.diff_id))
            if known is not None:
                kind = layer_compression(known.media_type)
                return Descriptor(compressed_layer(family, kind), known.digest, known.size)
        if compression.kind in ("", UNCOMPRESSED):
            return Descriptor(family, layer.diff_id, layer.tar_size)
        digest = _compressed(store, layer.diff_id, compression)
        media_type = compressed_layer(family, compression.kind)
        return Descriptor(media_type, digest, store.blobs.size(digest))

    return tuple(in_parallel(describe, layers))


def _as_it_came(store: Store, layer: Descriptor | None) -> Descriptor | None:
    """The base image's own blob of a layer, if it is a compressed one that is here."""
    if layer is None or not is_layer(layer.media_type):
        return None
    if layer_compression(layer.media_type) == "none" or not store.blobs.has(layer.digest):
        return None
    return layer


def _compressed(store: Store, diff_id: Digest, compression: Compression) -> Digest:
    """The blob of a layer that is compressed so, made if it is not here."""
    kind, level = compression.kind, compression.level
    with (
        store.leases.ensure("compress layer"),
        store.locks.hold(f"compress {diff_id} {kind} {level}"),
    ):
        known = _remembered(store, diff_id, kind, level)
        if known is not None:
            return known
        media_type = compressed_layer(OCI_LAYER, kind)
        if level is not None:
            # A blob's type in the store is for us alone; the parameter tells levels apart.
            media_type = f"{media_type};level={level}"
        with store.blobs.writer(media_type=media_type) as writer:
            with store.layers.open_tar(diff_id) as tar:
                digest, size = compress(tar, writer.write_unhashed, kind, level)
            writer.adopt(digest, size)
        store.blobs.set_diff_id(digest, diff_id)
    return digest


def _remembered(store: Store, diff_id: Digest, kind: str, level: int | None) -> Digest | None:
    for digest in store.blobs.by_diff_id(diff_id):
        blob = store.blobs.find(digest)
        if blob is None or digest == diff_id:
            continue
        _, _, parameter = blob.media_type.partition(";level=")
        if parameter != ("" if level is None else str(level)):
            continue
        if _kind_of(store, digest) == kind:
            return digest  # kept for as long as the layer is
    return None


def _kind_of(store: Store, digest: Digest) -> str:
    """By its first bytes: a blob out of an archive may have no media type."""
    with store.blobs.open(digest) as file, reported(f"read blob {digest}"):
        head = file.read(_MAGIC_BYTES)
    if head.startswith(GZIP_MAGIC):
        return GZIP
    return ZSTD if head.startswith(ZSTD_MAGIC) else UNCOMPRESSED
