"""The layers of an image as a manifest lists them: compressed as an output wants them.

What was compressed once stays in the store beside its layer, and is found again by the layer's
diff id.
"""

from __future__ import annotations

from tierce.export.outputs import UNCOMPRESSED
from tierce.oci.descriptor import Descriptor
from tierce.oci.media_types import (
    DOCKER_LAYER,
    OCI_LAYER,
    compressed_layer,
    is_layer,
    layer_compression,
)
from tierce.store.compressed import compressed_blob
from tierce.store.parallel import in_parallel

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.export.outputs import Compression
    from tierce.oci.digest import Digest
    from tierce.store import Store
    from tierce.store.snapshots import Snapshot


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
        digest = compressed_blob(store, layer.diff_id, compression.kind, compression.level)
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
