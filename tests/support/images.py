"""Images as builds leave them: with names, labels, a history and layers of some files."""

from collections.abc import Mapping, Sequence

from support.layers import put_layer
from tierce.oci.config import ContainerConfig, History, ImageConfig
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tierce.oci.reference import Reference
from tierce.store import Store
from tierce.store.images import Image

CREATED = "2024-05-01T10:00:00Z"


def add_image(
    store: Store,
    *names: str,
    layers: Sequence[Mapping[str, bytes]] = ({"etc/motd": b"hello\n"},),
    config: ContainerConfig | None = None,
    history: Sequence[History] | None = None,
    created: str | None = CREATED,
    architecture: str = "amd64",
    container: str = "",
    author: str = "",
) -> Image:
    """An image with these names; every argument makes it another one.

    By default each layer is a COPY in its history. `container` marks a step of docker's builder.
    """
    made = []
    parent = None
    for files in layers:
        layer = put_layer(store, files)
        size = sum(entry.size for entry in layer.entries)
        parent = store.snapshots.add_layer(parent, layer.diff_id, size=size, tar_size=layer.size).id
        made.append(layer)
    if history is None:
        history = [History(created, f"COPY {n} / # buildkit") for n in range(len(made))]
    document = ImageConfig(
        architecture,
        "linux",
        created=created,
        author=author,
        config=config or ContainerConfig(),
        diff_ids=tuple(layer.diff_id for layer in made),
        history=tuple(history),
        container=container,
    ).encode()
    manifest = Manifest(
        OCI_MANIFEST,
        Descriptor(OCI_CONFIG, Digest.of(document), len(document)),
        tuple(Descriptor(OCI_LAYER, layer.diff_id, layer.size) for layer in made),
    )
    image = store.images.put(manifest.encode(), document)
    for name in names:
        reference = Reference.parse(name)
        if reference.digest is None:
            reference = reference.with_default_tag()
        store.images.tag(reference, image.manifest)
    return image


def add_index(store: Store, name: str, *images: Image) -> Digest:
    """A name for images of several platforms."""
    listed = tuple(
        Descriptor(OCI_MANIFEST, each.manifest, store.blobs.size(each.manifest), each.platform)
        for each in images
    )
    digest = store.images.put_index(Index(OCI_INDEX, listed).encode())
    store.images.tag(Reference.parse(name).with_default_tag(), digest)
    return digest
