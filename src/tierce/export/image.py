"""Turns the result of a build into an image of the store: config, manifest, names last."""

from __future__ import annotations

from tierce import export
from tierce.export.history import date_history, timestamp
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from tierce.oci.config import ImageConfig
    from tierce.oci.reference import Reference
    from tierce.store import Store
    from tierce.store.images import Image
    from tierce.store.snapshots import Snapshot

    Report = Callable[[str], AbstractContextManager[object]]
    """Shows a part of the export, by its text, while the block runs."""


class Exported(Value):
    """The image, and how its config came out."""

    image: Image
    config: ImageConfig


def export_image(
    store: Store,
    snapshot: int | None,
    config: ImageConfig,
    tags: Sequence[Reference],
    report: Report,
    *,
    inherited_history: int = 0,
    epoch: int | None = None,
) -> Exported:
    """Make an image of a snapshot and give it its names.

    `config` has the history, oldest first, of which the first `inherited_history` entries came
    with the base; layers and times are filled in here. With an `epoch` (seconds since 1970),
    nothing new in the image is later than that. Idempotent: the same snapshot and config give
    the same image. Raises StoreError.
    """
    with report("exporting layers"):
        layers = _layers(store, snapshot, len(config.diff_ids), epoch)
    diff_ids = [layer.diff_id for layer in layers]
    times = [timestamp(layer.created) for layer in layers]
    history = date_history(config.history, times, inherited_history, epoch)
    created = next((entry.created for entry in reversed(history) if entry.created), None)
    done = config.replace(diff_ids=tuple(_known(diff_ids)), history=history, created=created)
    raw = done.encode()
    image_id = Digest.of(raw)
    with report(f"writing image {image_id}"):
        manifest = Manifest(
            OCI_MANIFEST,
            Descriptor(OCI_CONFIG, image_id, len(raw)),
            tuple(Descriptor(OCI_LAYER, _sure(each.diff_id), each.tar_size) for each in layers),
        )
        image = store.images.put(manifest.encode(), raw)
    for tag in tags:
        with report(f"naming to {tag}"):
            store.images.tag(tag, image.manifest)
    return Exported(image, done)


def _layers(
    store: Store, snapshot: int | None, inherited: int, epoch: int | None
) -> list[Snapshot]:
    """The snapshots of the image, bottom first, all with their diff id."""
    if snapshot is None:
        return []
    chain = store.snapshots.chain(snapshot)
    unknown = [each.id for each in chain if each.diff_id is None]
    if unknown:
        store.snapshots.finish(unknown)
        chain = store.snapshots.chain(snapshot)
    return list(chain) if epoch is None else export.clamp_layers(store, chain, inherited, epoch)


def _known(diff_ids: Sequence[Digest | None]) -> list[Digest]:
    return [_sure(diff_id) for diff_id in diff_ids]


def _sure(diff_id: Digest | None) -> Digest:
    if diff_id is None:
        raise RuntimeError("a finished snapshot has no diff id")
    return diff_id
