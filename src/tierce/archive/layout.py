"""Reads an OCI image layout (OCI image-spec, image-layout.md)."""

from __future__ import annotations

from tierce.archive.found import FoundImage, FoundLayer, FoundTarget
from tierce.archive.names import BLOBS, INDEX
from tierce.archive.source import read
from tierce.errors import ArchiveError, DigestMismatch, InvalidValue
from tierce.oci import media_types
from tierce.oci.config import SIZE_LIMIT as CONFIG_LIMIT
from tierce.oci.config import ImageConfig
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import SIZE_LIMIT as MANIFEST_LIMIT
from tierce.oci.manifest import Index, Manifest, parse
from tierce.oci.platform import best_match
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.archive.extent import Extent
    from tierce.archive.source import Archive
    from tierce.oci.platform import Platform

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"

_DEPTH_LIMIT = 4
_MANIFESTS_LIMIT = 10_000
"""Of all indexes together: bounds what a hostile archive makes us parse again and again."""


def read_layout(
    archive: Archive, platforms: Sequence[Platform], tags: Mapping[Digest, Sequence[Reference]]
) -> list[FoundTarget]:
    """What index.json lists, each target once, in its order.

    With `platforms`, only what suits them. `tags` are further names, by the digest of a config.
    Of an index, manifests that the archive does not have whole are passed over, as long as one
    is left: that is how tools save one platform of several. Raises ArchiveError, DigestMismatch,
    InvalidValue.
    """
    raw = read(archive, INDEX, MANIFEST_LIMIT)
    top = parse(raw, media_types.OCI_INDEX)
    assert isinstance(top, Index)
    names: dict[Digest, list[Reference]] = {}
    targets: dict[Digest, Descriptor] = {}
    for descriptor in top.manifests:
        targets.setdefault(descriptor.digest, descriptor)
        found = names.setdefault(descriptor.digest, [])
        name = _name(descriptor)
        if name is not None and name not in found:
            found.append(name)
    reader = _LayoutReader(archive, platforms)
    result = []
    for digest, descriptor in targets.items():
        target = reader.target(descriptor)
        if target is None:
            continue
        known = names[digest] or [
            tag for image in target.images for tag in tags.get(Digest.of(image.raw_config), ())
        ]
        result.append(target.replace(names=tuple(dict.fromkeys(known))))
    return result


def read_one(
    archive: Archive, tag: str, digest: Digest | None, platforms: Sequence[Platform]
) -> FoundTarget | None:
    """One image: that with the digest, or what is called `tag`, or else the only one there is.

    None when it is for none of the platforms. Raises as `read_layout`.
    """
    top = parse(read(archive, INDEX, MANIFEST_LIMIT), media_types.OCI_INDEX)
    assert isinstance(top, Index)
    if digest is not None:
        # What an index within the layout lists can be named, too.
        found = [each for each in top.manifests if each.digest == digest]
        found = found or [Descriptor("", digest, 0)]
    else:
        found = [each for each in top.manifests if each.annotation(IMAGE_NAME) == tag]
        found = found or [each for each in top.manifests if each.annotation(REF_NAME) == tag]
        if not found and len(top.manifests) == 1:
            found = list(top.manifests)
    if not found:
        raise ArchiveError(
            f"read archive: failed to resolve digest: it has {len(top.manifests)} images, none of"
            f" them called {tag}",
            hint="name one as oci-layout://path:tag or oci-layout://path@sha256:…",
        )
    return _LayoutReader(archive, platforms).target(found[0])


class _LayoutReader:
    def __init__(self, archive: Archive, platforms: Sequence[Platform]) -> None:
        self._archive = archive
        self._platforms = platforms
        self._parsed = 0

    def target(self, descriptor: Descriptor) -> FoundTarget | None:
        """What a descriptor of index.json stands for; None if there is no image to be had."""
        raw = self._blob(descriptor, MANIFEST_LIMIT)
        parsed = self._parse(raw, descriptor)
        if isinstance(parsed, Manifest):
            image = self._image(raw, parsed)
            return None if image is None or not self._wanted(image) else FoundTarget((), (image,))
        indexes = [raw]
        images: list[FoundImage] = []
        absent: list[ArchiveError] = []
        self._collect(parsed, indexes, images, absent, 1)
        if self._platforms:
            candidates = [image.config.platform for image in images]
            places = {best_match(platform, candidates) for platform in self._platforms}
            images = [image for place, image in enumerate(images) if place in places]
        if images:
            return FoundTarget((), tuple(images), tuple(indexes))
        if absent:
            raise absent[0]
        return None

    def _collect(
        self,
        index: Index,
        indexes: list[bytes],
        images: list[FoundImage],
        absent: list[ArchiveError],
        depth: int,
    ) -> None:
        for descriptor in index.manifests:
            if descriptor.platform is not None and descriptor.platform.os == "unknown":
                continue  # an attestation: not an image, although it looks like one
            try:
                raw = self._blob(descriptor, MANIFEST_LIMIT)
                parsed = self._parse(raw, descriptor)
                if isinstance(parsed, Manifest):
                    image = self._image(raw, parsed)
                    if image is not None:
                        images.append(image)
                    continue
            except MemberAbsent as error:
                absent.append(error)
                continue
            if depth == _DEPTH_LIMIT:
                raise ArchiveError("read archive: indexes are nested too deeply")
            indexes.append(raw)
            self._collect(parsed, indexes, images, absent, depth + 1)

    def _image(self, raw: bytes, manifest: Manifest) -> FoundImage | None:
        if not manifest.is_image:
            return None
        raw_config = self._blob(manifest.config, CONFIG_LIMIT)
        config = ImageConfig.parse(raw_config)
        if len(manifest.layers) != len(config.diff_ids):
            raise ArchiveError(
                f"read archive: manifest {Digest.of(raw)} has {len(manifest.layers)} layers, "
                f"its config {len(config.diff_ids)}"
            )
        layers = tuple(
            self._layer(descriptor, diff_id)
            for descriptor, diff_id in zip(manifest.layers, config.diff_ids)
        )
        return FoundImage(config, raw_config, layers, raw)

    def _layer(self, descriptor: Descriptor, diff_id: Digest) -> FoundLayer:
        if not media_types.is_layer(descriptor.media_type):
            raise ArchiveError(
                f"read archive: layer {descriptor.digest} is of unsupported media type "
                f"{descriptor.media_type[:100]!a}"
            )
        content = self._member(descriptor)
        if content.size != descriptor.size:
            raise ArchiveError(
                f"read archive: layer {descriptor.digest} has {content.size} bytes instead of "
                f"{descriptor.size}"
            )
        return FoundLayer(content, diff_id, descriptor.digest, descriptor.media_type)

    def _blob(self, descriptor: Descriptor, limit: int) -> bytes:
        raw = descriptor.data or self._member(descriptor).content(limit)
        actual = Digest.of(raw, descriptor.digest.algorithm)
        if actual != descriptor.digest:
            raise DigestMismatch(
                "blob in archive", expected=str(descriptor.digest), actual=str(actual)
            )
        return raw

    def _member(self, descriptor: Descriptor) -> Extent:
        digest = descriptor.digest
        member = self._archive.find(f"{BLOBS}/{digest.algorithm}/{digest.hex}")
        if member is None:
            raise MemberAbsent(f"read archive: blob {digest} is not in it")
        return member

    def _parse(self, raw: bytes, descriptor: Descriptor) -> Manifest | Index:
        self._parsed += 1
        if self._parsed > _MANIFESTS_LIMIT:
            raise ArchiveError(f"read archive: more than {_MANIFESTS_LIMIT} manifests")
        return parse(raw, descriptor.media_type)

    def _wanted(self, image: FoundImage) -> bool:
        platform = image.config.platform
        return not self._platforms or any(each.matches(platform) for each in self._platforms)


class MemberAbsent(ArchiveError):
    """A blob that a manifest names is not in the archive."""


def _name(descriptor: Descriptor) -> Reference | None:
    """The name an annotation gives to a target.

    The name of OCI's own annotation is most often a bare tag, to be looked up inside of one
    layout: only one that could not be a tag names an image.
    """
    text = descriptor.annotation(IMAGE_NAME)
    if not text:
        text = descriptor.annotation(REF_NAME)
        if "/" not in text and ":" not in text:
            return None
    try:
        return Reference.parse(text).with_default_tag()
    except InvalidValue as error:
        raise ArchiveError(f"read archive: {error.message}") from error
