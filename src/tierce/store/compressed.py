"""Compressed forms of layers: made once, kept beside the layer, and found by its diff id."""

from __future__ import annotations

from tierce.layer.compression import GZIP_MAGIC, ZSTD_MAGIC, compress
from tierce.oci.media_types import OCI_LAYER, compressed_layer
from tierce.store.failures import reported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tierce.oci.digest import Digest
    from tierce.store.store import Store

GZIP = "gzip"
ZSTD = "zstd"
UNCOMPRESSED = "uncompressed"
_MAGIC_BYTES = 4


def compressed_blob(
    store: Store, diff_id: Digest, kind: str = GZIP, level: int | None = None
) -> Digest:
    """The blob of a layer that is compressed so, made if it is not here.

    Two that want it, in whichever process, have it made once. Raises NotFound, LayerError,
    StoreError.
    """
    with (
        store.leases.ensure("compress layer"),
        store.locks.hold(f"compress {diff_id} {kind} {level}"),
    ):
        known = remembered_blob(store, diff_id, kind, level)
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


def remembered_blob(
    store: Store, diff_id: Digest, kind: str = GZIP, level: int | None = None
) -> Digest | None:
    """The blob of a layer that was compressed so before, if it is here."""
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
