"""Loads images from archives: `docker load`, for docker's archives and OCI layouts."""

from __future__ import annotations

import os

from tierce.archive.docker import read_docker, repository_tags
from tierce.archive.found import FoundImage, FoundTarget
from tierce.archive.layers import take_layers
from tierce.archive.layout import read_layout, read_one
from tierce.archive.legacy import read_legacy
from tierce.archive.names import INDEX, LAYOUT, MANIFEST, REPOSITORIES
from tierce.archive.source import open_archive
from tierce.archive.staging import Staging
from tierce.errors import ArchiveError, InvalidValue
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tierce.oci.platform import Platform, best_match
from tierce.store.images import Image
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

    from tierce.archive.found import FoundLayer
    from tierce.archive.layers import TakenLayer
    from tierce.archive.source import Archive
    from tierce.archive.staging import Progress
    from tierce.oci.reference import Reference
    from tierce.store import Store


class Loaded(Value):
    """What was loaded: an image, or of an index the image that suits this machine best.

    `names` point to it now; without any it is known by its ID. `replaced` are those of them that
    pointed to another image before, with that image's ID.
    """

    names: tuple[Reference, ...]
    image: Image
    replaced: tuple[tuple[Reference, Digest], ...] = ()


def load(
    store: Store,
    source: IO[bytes] | str | os.PathLike[str],
    *,
    platforms: Sequence[Platform] = (),
    on_progress: Callable[[Progress], object] | None = None,
) -> list[Loaded]:
    """Load all images of an archive, and let its names point to them.

    `source` is the path of an archive or of a layout's directory, or a stream that is read to
    its end; compressed or not. With `platforms` only images for these are loaded. `on_progress`
    is called from several threads, layer by layer.

    Layers stay as they are in the archive, compressed or not, and each is verified: its digest,
    and its diff id. If anything is wrong the store is left as it was: content enters it when all
    of it is verified, and names move last.
    Raises ArchiveError, DigestMismatch, StoreError.
    """
    with store.leases.take("load images"), Staging(store, on_progress) as staging:
        with open_archive(source, staging) as archive:
            try:
                targets = _read(archive, platforms)
            except InvalidValue as error:
                raise ArchiveError(f"read archive: {error.message}", hint=error.hint) from error
            if not targets:
                raise ArchiveError("read archive: it has no images")
            layers = take_layers(
                store,
                staging,
                [layer for target in targets for image in target.images for layer in image.layers],
            )
        staging.publish()
        return _add(store, targets, layers)


def load_from_layout(
    store: Store, directory: str, tag: str, digest: Digest | None, platform: Platform
) -> tuple[Image, bool]:
    """Load one image of a layout's directory, without a name; says whether it is new here.

    It is the one with the digest, or else the one that is called `tag`, or else all that there
    is. What is in the store already is not read again. Raises ArchiveError, DigestMismatch,
    StoreError.
    """
    with Staging(store) as staging:
        with open_archive(directory, staging) as archive:
            try:
                target = read_one(archive, tag, digest, [platform])
            except InvalidValue as error:
                raise ArchiveError(f"read archive: {error.message}", hint=error.hint) from error
            if target is None:
                raise ArchiveError(f"read archive: it has no image for {platform}")
            layers = take_layers(
                store, staging, [layer for image in target.images for layer in image.layers]
            )
        staging.publish()
        known = {image.manifest for image in store.images.list()}
        image = _add(store, [target.replace(names=())], layers)[0].image
        return image, image.manifest not in known


def _read(archive: Archive, platforms: Sequence[Platform]) -> list[FoundTarget]:
    """Every image, in whichever form the archive describes it best."""
    has_docker_form = archive.find(MANIFEST) is not None
    if archive.find(LAYOUT) is not None and archive.find(INDEX) is not None:
        # The layout has the original manifests, and all platforms; docker's form has one.
        tags = repository_tags(archive) if has_docker_form else {}
        targets = read_layout(archive, platforms, tags)
    elif has_docker_form:
        targets = _suitable(read_docker(archive), platforms)
    elif archive.find(REPOSITORIES) is not None:
        targets = _suitable(read_legacy(archive), platforms)
    else:
        raise ArchiveError(
            "read archive: it is neither a docker archive nor an OCI layout",
            hint="to make an image of a root file system, use: tierce image import",
        )
    if not targets and platforms:
        wanted = ", ".join(str(platform) for platform in platforms)
        raise ArchiveError(f"read archive: it has no image for {wanted}")
    return targets


def _suitable(targets: list[FoundTarget], platforms: Sequence[Platform]) -> list[FoundTarget]:
    if not platforms:
        return targets
    return [
        target
        for target in targets
        if any(platform.matches(target.images[0].config.platform) for platform in platforms)
    ]


def _add(
    store: Store, targets: Sequence[FoundTarget], layers: Mapping[FoundLayer, TakenLayer]
) -> list[Loaded]:
    """Add images whose layers are in the store already, and name them."""
    loaded = []
    with store.database.transaction():
        for target in targets:
            images = [_add_image(store, image, layers) for image in target.images]
            indexes = [store.images.put_index(raw) for raw in target.indexes]
            best = best_match(Platform.host(), [image.platform for image in images]) or 0
            image = images[best].replace(index=indexes[0]) if indexes else images[0]
            loaded.append(Loaded(target.names, image))
        return [each.replace(replaced=_name(store, each)) for each in loaded]


def _name(store: Store, loaded: Loaded) -> tuple[tuple[Reference, Digest], ...]:
    """Let the names point to the image; the images that lost them."""
    replaced = []
    for name in loaded.names:
        before = store.images.find(str(name))
        if before is not None and before.id != loaded.image.id:
            replaced.append((name, before.id))
        store.images.tag(name, loaded.image.index or loaded.image.manifest)
    return tuple(replaced)


def _add_image(store: Store, found: FoundImage, layers: Mapping[FoundLayer, TakenLayer]) -> Image:
    manifest = found.manifest
    if not manifest:
        config = Descriptor(OCI_CONFIG, Digest.of(found.raw_config), len(found.raw_config))
        blobs = tuple(layers[layer].descriptor for layer in found.layers)
        manifest = Manifest(OCI_MANIFEST, config, blobs).encode()
    image = store.images.put(manifest, found.raw_config)
    for layer in found.layers:
        store.blobs.set_diff_id(layers[layer].descriptor.digest, layer.diff_id)
    return image
