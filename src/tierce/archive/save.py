"""Saves images to archives: `docker save`, in docker's form or as an OCI layout.

Docker's form is a layout too, with manifest.json and `repositories` beside it for older readers.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from tierce.archive.extent import Extent
from tierce.archive.layout import IMAGE_NAME, REF_NAME
from tierce.archive.names import BLOBS, INDEX, LAYOUT, MANIFEST, REPOSITORIES
from tierce.archive.output import DirectoryOutput, TarOutput, replaced_file
from tierce.errors import ArchiveError, InvalidValue, NotFound
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.document import dump
from tierce.oci.manifest import Index, Manifest, parse
from tierce.oci.media_types import OCI_INDEX, OCI_LAYER
from tierce.oci.platform import Platform, best_match
from tierce.oci.reference import Reference
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO, Any

    from tierce.archive.output import Content, Output
    from tierce.store import Store
    from tierce.store.images import Image

FORMATS = ("docker", "oci")

_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


class SavedImage(Value):
    """An image, and the manifest under which it is saved."""

    platform: Platform
    manifest: Manifest
    raw: bytes
    raw_config: bytes
    diff_ids: tuple[Digest, ...]

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.manifest.media_type, Digest.of(self.raw), len(self.raw))


class Target(Value):
    """What goes into index.json, and the images that it needs."""

    names: tuple[Reference, ...]
    descriptor: Descriptor
    indexes: tuple[bytes, ...]
    images: tuple[SavedImage, ...]


def save(
    store: Store,
    references: Sequence[str],
    sink: IO[bytes] | str | os.PathLike[str],
    *,
    format: str = "docker",
    platforms: Sequence[Platform] = (),
) -> None:
    """Save images to an archive.

    `references` are names, IDs or digests; a repository without a tag stands for all its tags.
    `sink` is a stream, or a path: a file appears there when it is complete, and an existing
    directory gets the layout of format "oci". Layers that images share are saved once, layers
    that a registry compressed as they are. Of an image for several platforms all that are here
    are saved, or those for `platforms`. Equal images give equal bytes.
    Raises NotFound, ArchiveError, StoreError.
    """
    if format not in FORMATS:
        raise ArchiveError(f"save images: unknown format {format!a}")
    with store.leases.take("save images"):
        targets = _targets(store, references, platforms)
        with _open_output(sink, format) as output:
            write_archive(store, targets, output, docker=format == "docker")


def _targets(
    store: Store, references: Sequence[str], platforms: Sequence[Platform]
) -> list[Target]:
    """Each target once, with all the names by which it was asked for."""
    names: dict[Digest, dict[Reference, None]] = {}
    for text in references:
        for digest, name in _resolve(store, text):
            found = names.setdefault(digest, {})
            if name is not None:
                found[name] = None
    return [_target(store, digest, tuple(names[digest]), platforms) for digest in names]


def _resolve(store: Store, text: str) -> list[tuple[Digest, Reference | None]]:
    """The digests of manifests or indexes that a text means, with their names."""
    images = store.images
    try:
        reference = Reference.parse(text)
    except InvalidValue:
        reference = None
    if reference is not None and reference.tag is None and reference.digest is None:
        tags = _tags_of(store, reference)
        if tags:
            return [(images.target(tag), tag) for tag in tags]
    name = images.find_name(text)
    if name is not None:
        return [(images.target(name), name if name.tagged else None)]
    image = images.resolve(text)
    return [(image.index or image.manifest, None)]


def _tags_of(store: Store, repository: Reference) -> list[Reference]:
    found = {
        name
        for names in store.images.all_names().values()
        for name in names
        if name.tagged and name.digest is None and name.name == repository.name
    }
    return sorted(found, key=str)


def _target(
    store: Store, digest: Digest, names: tuple[Reference, ...], platforms: Sequence[Platform]
) -> Target:
    raw = store.blobs.read(digest)
    document = parse(raw)
    if isinstance(document, Manifest):
        image = _saved(store, store.images.get(digest))
        if platforms and not any(p.matches(image.platform) for p in platforms):
            raise _no_platform(names, digest, platforms)
        return Target(names, image.descriptor, (), (image,))
    present = list(_images_of(store, document))
    if platforms:
        candidates = [image.platform for image in present]
        places = {best_match(platform, candidates) for platform in platforms}
        if None in places:
            raise _no_platform(names, digest, platforms)
        present = [image for place, image in enumerate(present) if place in places]
    images = tuple(_saved(store, image) for image in present)
    if not images:
        raise NotFound("image", str(digest), f"save {digest}: none of its platforms is here")
    if len(platforms) == 1:
        return Target(names, images[0].descriptor, (), images)
    return Target(names, Descriptor(document.media_type, digest, len(raw)), (raw,), images)


def _images_of(store: Store, index: Index) -> Iterator[Image]:
    """The images of an index that are here, in its order."""
    for descriptor in index.manifests:
        try:
            yield store.images.get(descriptor.digest)
        except NotFound:
            continue


def _saved(store: Store, image: Image) -> SavedImage:
    store.images.protect(image)
    raw, raw_config = store.blobs.read(image.manifest), store.blobs.read(image.config)
    manifest = store.images.manifest(image)
    diff_ids = store.images.config(image).diff_ids
    if any(not _available(store, layer, d) for layer, d in zip(manifest.layers, diff_ids)):
        # What the registry's blobs were is lost; the layers are not.
        layers = tuple(
            layer
            if _available(store, layer, diff_id)
            else Descriptor(OCI_LAYER, diff_id, store.layers.tar_size(diff_id))
            for layer, diff_id in zip(manifest.layers, diff_ids)
        )
        manifest = manifest.replace(layers=layers)
        raw = manifest.encode()
    return SavedImage(image.platform, manifest, raw, raw_config, diff_ids)


def _available(store: Store, layer: Descriptor, diff_id: Digest) -> bool:
    return layer.digest == diff_id or store.blobs.has(layer.digest)


def _no_platform(
    names: Sequence[Reference], digest: Digest, platforms: Sequence[Platform]
) -> NotFound:
    shown = names[0].familiar if names else str(digest)
    wanted = ", ".join(str(platform) for platform in platforms)
    return NotFound("image", shown, f"save {shown}: it is not here for platform {wanted}")


@contextmanager
def _open_output(sink: IO[bytes] | str | os.PathLike[str], format: str) -> Iterator[Output]:
    if not isinstance(sink, str | os.PathLike):
        yield TarOutput(sink)
        return
    path = os.fspath(sink)
    if os.path.isdir(path):
        if format != "oci":
            raise ArchiveError(f"write archive: {path} is a directory")
        yield DirectoryOutput(path)
        return
    with replaced_file(path) as file:
        yield TarOutput(file)


def write_archive(
    store: Store,
    targets: Sequence[Target],
    output: Output,
    *,
    docker: bool,
    others: Sequence[Descriptor] = (),
) -> None:
    """Write images, whose layers are in the store, as a layout or (`docker`) docker's archive.

    `others` are further entries for index.json, of images that are there already. All members
    come in the order of their names: equal images give equal archives. Raises ArchiveError,
    StoreError.
    """
    blobs = _blobs(store, targets)
    output.directory(BLOBS)
    directory = ""
    for digest in sorted(blobs, key=str):
        if digest.algorithm != directory:
            directory = digest.algorithm
            output.directory(f"{BLOBS}/{directory}")
        with _content(store, blobs[digest]) as (content, size):
            output.file(_place(digest), content, size)
    documents = {INDEX: dump(_index(targets, others)), LAYOUT: _LAYOUT}
    if docker:
        documents[MANIFEST] = dump([_docker_item(target) for target in targets]) + b"\n"
        repositories = _repositories(targets)
        if repositories:
            documents[REPOSITORIES] = dump(repositories) + b"\n"
    for name in sorted(documents):
        output.file(name, documents[name], len(documents[name]))
    output.finish()


def _blobs(store: Store, targets: Sequence[Target]) -> dict[Digest, bytes | Descriptor]:
    """What the targets consist of: documents by their bytes, layers by their descriptors."""
    blobs: dict[Digest, bytes | Descriptor] = {}
    for target in targets:
        for raw in target.indexes:
            blobs[Digest.of(raw, target.descriptor.digest.algorithm)] = raw
        for image in target.images:
            blobs[image.descriptor.digest] = image.raw
            blobs[image.manifest.config.digest] = image.raw_config
            for layer in image.manifest.layers:
                blobs[layer.digest] = layer
    return blobs


@contextmanager
def _content(store: Store, blob: bytes | Descriptor) -> Iterator[tuple[Content, int]]:
    if isinstance(blob, bytes):
        yield blob, len(blob)
        return
    found = store.blobs.find(blob.digest)
    if found is None:
        # The tar of a layer that exists as a directory only.
        with store.layers.open_tar(blob.digest) as stream:
            yield stream, blob.size
        return
    with store.blobs.open(blob.digest) as file:
        yield Extent(file.fileno(), 0, found.size, str(blob.digest)), found.size


def _place(digest: Digest) -> str:
    return f"{BLOBS}/{digest.algorithm}/{digest.hex}"


def _index(targets: Sequence[Target], others: Sequence[Descriptor]) -> dict[str, Any]:
    descriptors = list(others)
    for target in targets:
        own = target.descriptor.annotations
        descriptors += [
            target.descriptor.replace(
                annotations=(*own, (IMAGE_NAME, str(name)), (REF_NAME, name.tag or ""))
            )
            for name in target.names
        ] or [target.descriptor]
    return Index(OCI_INDEX, tuple(descriptors)).to_json()


def _docker_item(target: Target) -> dict[str, Any]:
    """An entry of manifest.json, which knows one platform only: this machine's, if it is there."""
    best = best_match(Platform.host(), [image.platform for image in target.images]) or 0
    image = target.images[best]
    return {
        "Config": _place(image.manifest.config.digest),
        "RepoTags": [name.familiar for name in target.names] or None,
        "Layers": [_place(layer.digest) for layer in image.manifest.layers],
        "LayerSources": {
            str(diff_id): layer.to_json()
            for diff_id, layer in sorted(zip(image.diff_ids, image.manifest.layers), key=str)
        },
    }


def _repositories(targets: Sequence[Target]) -> dict[str, dict[str, str]]:
    """The oldest form's list of names: repository, tag, topmost layer."""
    repositories: dict[str, dict[str, str]] = {}
    for target in targets:
        layers = target.images[0].manifest.layers
        for name in target.names:
            if name.tag is not None and layers:
                tags = repositories.setdefault(name.familiar_name, {})
                tags[name.tag] = layers[-1].digest.hex
    return {name: dict(sorted(tags.items())) for name, tags in sorted(repositories.items())}
