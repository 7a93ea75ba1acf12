"""Turns the result of a build into an image of the store: config, manifest, names last."""

from __future__ import annotations

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

    from tierce.export.outputs import Output
    from tierce.oci.config import ImageConfig
    from tierce.oci.reference import Reference
    from tierce.store import Store
    from tierce.store.snapshots import Snapshot

    Report = Callable[[str], AbstractContextManager[object]]
    """Shows a part of the export, by its text, while the block runs."""


class Built(Value):
    """What the steps of a build resulted in.

    `config` has the history, oldest first, of which the first `inherited_history` entries came
    with the base, as did the layers in its `diff_ids`; new layers and times are filled in by
    `finish_image`. `base` is the manifest of the image that the build began with.
    """

    snapshot: int | None
    config: ImageConfig
    inherited_history: int = 0
    base: Digest | None = None


class Finished(Value):
    """An image, of which a manifest can be made: its config, complete, and its layers."""

    config: ImageConfig
    raw_config: bytes
    image_id: Digest
    layers: tuple[Snapshot, ...]


class Exported(Value):
    """What became of one output of a build; `output` is None where none was asked for.

    An image has an `image_id`, which is the digest of its config, the descriptor of its
    `manifest`, and the names it was given. `path` is where files are that were written.
    """

    output: Output | None
    image_id: Digest | None = None
    manifest: Descriptor | None = None
    names: tuple[str, ...] = ()
    path: str = ""


def finish_image(
    store: Store, built: Built, *, epoch: int | None = None, rewrite: bool = True
) -> Finished:
    """Complete the config of an image, with the diff ids of its layers.

    With an `epoch` (seconds since 1970), no time in the config is later than that and, unless
    `rewrite` is off, no time of a file in a new layer. Idempotent. Raises LayerError, StoreError.
    """
    config = built.config
    layers = _layers(store, built, epoch if rewrite else None)
    times = [timestamp(layer.created) for layer in layers]
    history = date_history(config.history, times, built.inherited_history, epoch)
    created = next((entry.created for entry in reversed(history) if entry.created), None)
    diff_ids = tuple(_sure(layer.diff_id) for layer in layers)
    done = config.replace(diff_ids=diff_ids, history=history, created=created)
    raw = done.encode()
    return Finished(done, raw, Digest.of(raw), tuple(layers))


def export_image(
    store: Store,
    built: Built,
    tags: Sequence[Reference],
    report: Report,
    *,
    epoch: int | None = None,
) -> Exported:
    """Make an image of what was built, in the store's own form, and give it its names.

    Idempotent: the same snapshot and config give the same image. Raises as `finish_image`.
    """
    with report("exporting layers"):
        finished = finish_image(store, built, epoch=epoch)
    with report(f"writing image {finished.image_id}"):
        manifest = Manifest(
            OCI_MANIFEST,
            Descriptor(OCI_CONFIG, finished.image_id, len(finished.raw_config)),
            tuple(
                Descriptor(OCI_LAYER, _sure(layer.diff_id), layer.tar_size)
                for layer in finished.layers
            ),
        )
        raw = manifest.encode()
        image = store.images.put(raw, finished.raw_config)
    for tag in tags:
        with report(f"naming to {tag}"):
            store.images.tag(tag, image.manifest)
    descriptor = Descriptor(OCI_MANIFEST, image.manifest, len(raw), finished.config.platform)
    return Exported(None, image.config, descriptor, tuple(str(tag) for tag in tags))


def _layers(store: Store, built: Built, epoch: int | None) -> Sequence[Snapshot]:
    """The snapshots of the image, bottom first, all with their diff id and their tar's size."""
    if built.snapshot is None:
        return []
    chain = store.snapshots.chain(built.snapshot)
    unknown = [each.id for each in chain if each.diff_id is None]
    if unknown:
        store.snapshots.finish(unknown)
        chain = store.snapshots.chain(built.snapshot)
    unmeasured = [_sure(each.diff_id) for each in chain if not each.tar_size]
    if unmeasured:
        # Of a base that came compressed: nothing has asked for its plain tars before.
        for diff_id in unmeasured:
            store.snapshots.set_tar_size(diff_id, store.layers.tar_size(diff_id))
        chain = store.snapshots.chain(built.snapshot)
    if epoch is None:
        return chain
    return store.snapshots.clamp(chain, len(built.config.diff_ids), epoch)


def _sure(diff_id: Digest | None) -> Digest:
    if diff_id is None:
        raise RuntimeError("a finished snapshot has no diff id")
    return diff_id
