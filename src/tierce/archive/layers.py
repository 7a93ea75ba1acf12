"""Layers out of an archive or a layout, verified on their way into the store."""

from __future__ import annotations

from tierce.archive.extent import CHUNK
from tierce.archive.source import archive_errors, compression_of
from tierce.archive.staging import run_all
from tierce.errors import DigestMismatch
from tierce.layer.compression import open_decompressed
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest, new_hash
from tierce.oci.media_types import OCI_LAYER, compressed_layer
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from tierce.archive.extent import Extent
    from tierce.archive.found import FoundLayer
    from tierce.archive.staging import Staging, Task
    from tierce.store import Store


class TakenLayer(Value):
    """What a layer is as a blob. `tar_size` are the bytes of its plain tar, 0 when not counted."""

    descriptor: Descriptor
    tar_size: int = 0


def take_layers(
    store: Store, staging: Staging, layers: Sequence[FoundLayer]
) -> dict[FoundLayer, TakenLayer]:
    """Take in every layer, several at once, and verify it: its digest, and its diff id.

    Layers stay as they are, compressed or not. Raises ArchiveError, CorruptLayer, DigestMismatch.
    """
    layers = list(dict.fromkeys(layers))
    # The content knows better than what is written about it.
    kinds = [compression_of(layer.content) for layer in layers]
    expected = [
        layer.digest or (layer.diff_id if kind == "none" else None)
        for layer, kind in zip(layers, kinds)
    ]
    contents = [(layer.content, digest) for layer, digest in zip(layers, expected)]
    digests = staging.take_in(contents)
    sizes = _verify_diff_ids(store, staging, layers, kinds, digests)
    taken = {}
    for layer, kind, digest in zip(layers, kinds, digests):
        size = layer.content.size
        descriptor = Descriptor(compressed_layer(OCI_LAYER, kind), digest, size)
        tar_size = size if kind == "none" else sizes.get((digest, layer.diff_id), 0)
        taken[layer] = TakenLayer(descriptor, tar_size)
    return taken


def _verify_diff_ids(
    store: Store,
    staging: Staging,
    layers: Sequence[FoundLayer],
    kinds: Sequence[str],
    digests: Sequence[Digest],
) -> dict[tuple[Digest, Digest], int]:
    """Every content is, uncompressed, the layer that is promised; the sizes that were counted."""
    sizes: dict[tuple[Digest, Digest], int] = {}
    tasks: dict[tuple[Digest, Digest], Task] = {}
    for layer, kind, digest in zip(layers, kinds, digests):
        if digest == layer.diff_id:
            continue
        if kind == "none" and digest.algorithm == layer.diff_id.algorithm:
            raise _mismatch(layer.content.name, layer.diff_id, digest)
        blob = store.blobs.find(digest)
        if blob is None or blob.diff_id != layer.diff_id:
            names = (digest, layer.diff_id)
            tasks.setdefault(names, _diff_id_check(staging.read(digest), kind, names, sizes))
    run_all(list(tasks.values()))
    return sizes


def _diff_id_check(
    content: Extent,
    kind: str,
    names: tuple[Digest, Digest],
    sizes: dict[tuple[Digest, Digest], int],
) -> Task:
    diff_id = names[1]

    def check(stop: threading.Event) -> None:
        digester = new_hash(diff_id.algorithm)
        size = 0
        buffered = content.buffered()
        with archive_errors(), buffered if kind == "none" else open_decompressed(buffered) as plain:
            while (chunk := plain.read(CHUNK)) and not stop.is_set():
                digester.update(chunk)
                size += len(chunk)
        actual = Digest.from_hash(digester)
        if actual != diff_id and not stop.is_set():
            raise _mismatch(content.name, diff_id, actual)
        sizes[names] = size

    return check


def _mismatch(name: str, expected: Digest, actual: Digest) -> DigestMismatch:
    return DigestMismatch(f"diff id of {name}", expected=str(expected), actual=str(actual))
