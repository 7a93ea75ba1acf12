"""An image as it is pushed: its own manifest, or one of compressed layers in its place."""

from __future__ import annotations

from tierce.errors import InvalidValue, NotFound
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, Manifest, parse
from tierce.oci.media_types import (
    compressed_layer,
    is_foreign_layer,
    is_layer,
    layer_compression,
)
from tierce.store.compressed import GZIP
from tierce.store.origins import is_known_to_a_registry
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.oci.descriptor import Descriptor
    from tierce.oci.platform import Platform
    from tierce.store import Store
    from tierce.store.images import Image


class Layer(Value):
    """A layer of an image that is pushed.

    `compress`: it is to be compressed first, and gets its descriptor then.
    """

    descriptor: Descriptor
    diff_id: Digest | None
    compress: bool = False

    @property
    def is_foreign(self) -> bool:
        """Whether registries do not want it: it is fetched from elsewhere."""
        return is_foreign_layer(self.descriptor.media_type) and bool(self.descriptor.urls)

    @property
    def short(self) -> str:
        """Its name while it is pushed, which is of the diff id, as docker has it."""
        return (self.diff_id or self.descriptor.digest).short


class Packed(Value):
    """One manifest to be pushed. `raw` are its own bytes; they change if a layer is compressed."""

    digest: Digest
    raw: bytes
    manifest: Manifest
    raw_config: bytes
    layers: tuple[Layer, ...]

    def with_layers(self, descriptors: Mapping[Layer, Descriptor]) -> Packed:
        """The image with layers as they have become."""
        layers = tuple(descriptors.get(each, each.descriptor) for each in self.layers)
        if layers == self.manifest.layers:
            return self
        manifest = self.manifest.replace(layers=layers)
        raw = manifest.encode()
        return self.replace(digest=Digest.of(raw), raw=raw, manifest=manifest)


class Target(Value):
    """What a name points to: images, and of several an index. `missing` of it are not here."""

    digest: Digest
    images: tuple[Packed, ...]
    index: bytes = b""
    index_type: str = ""
    missing: tuple[Descriptor, ...] = ()


def target_of(store: Store, digest: Digest, platform: Platform | None = None) -> Target:
    """What the digest of a manifest or an index stands for, of all platforms or of one.

    Raises NotFound, InvalidValue.
    """
    raw = store.blobs.read(digest)
    document = parse(raw)
    if isinstance(document, Manifest):
        image = store.images.get(digest)
        if platform is not None and not platform.matches(image.platform):
            raise NotFound(
                "image",
                str(digest),
                f"it is here for platform {image.platform}, not for {platform}",
            )
        return Target(digest, (packed(store, image),))
    if platform is not None:
        found = store.images.find(str(digest), platform)
        if found is None:
            raise NotFound("image", str(digest), f"it is not here for platform {platform}")
        return Target(found.manifest, (packed(store, found),))
    return _of_index(store, digest, raw, document)


def _of_index(store: Store, digest: Digest, raw: bytes, index: Index) -> Target:
    images, missing = [], []
    for descriptor in index.manifests:
        try:
            images.append(packed(store, store.images.get(descriptor.digest)))
        except NotFound:
            missing.append(descriptor)
    if not images:
        raise NotFound("image", str(digest), "none of its platforms is here")
    return Target(digest, tuple(images), raw, index.media_type, tuple(missing))


def packed(store: Store, image: Image, kind: str = GZIP) -> Packed:
    """An image of the store. What a registry knows, or is compressed, stays as it is.

    Raises NotFound, InvalidValue.
    """
    store.images.protect(image)
    raw = store.blobs.read(image.manifest)
    manifest = parse(raw)
    assert isinstance(manifest, Manifest)
    raw_config = store.blobs.read(image.config)
    diff_ids = store.images.config(image).diff_ids
    if len(diff_ids) != len(manifest.layers):
        raise InvalidValue(f"push {image.manifest}: its layers are not those of its config")
    known = is_known_to_a_registry(store.database, image.manifest)
    layers = tuple(
        _layer(descriptor, diff_id, as_it_is=known or kind != GZIP)
        for descriptor, diff_id in zip(manifest.layers, diff_ids)
    )
    return Packed(image.manifest, raw, manifest, raw_config, layers)


def recompressed(layer: Descriptor, digest: Digest, size: int, kind: str = GZIP) -> Descriptor:
    """The descriptor of a layer that was compressed."""
    return layer.replace(
        media_type=compressed_layer(layer.media_type, kind), digest=digest, size=size
    )


def _layer(descriptor: Descriptor, diff_id: Digest, *, as_it_is: bool) -> Layer:
    plain = is_layer(descriptor.media_type) and layer_compression(descriptor.media_type) == "none"
    return Layer(descriptor, diff_id, compress=plain and not as_it_is)


def shown_platforms(platforms: Sequence[Platform]) -> str:
    """For messages."""
    return ", ".join(sorted({str(each) for each in platforms})) or "none"
