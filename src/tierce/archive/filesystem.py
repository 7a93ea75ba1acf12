"""File systems as plain tars: `docker import` makes an image of one, `docker export` a tar."""

from __future__ import annotations

from tierce.archive.output import Sink
from tierce.archive.source import archive_errors, stage
from tierce.archive.staging import Staging
from tierce.layer.building import build_index
from tierce.layer.compression import open_decompressed
from tierce.layer.writer import write_layer
from tierce.oci.config import ContainerConfig, History, ImageConfig
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, compressed_layer
from tierce.oci.platform import Platform

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import IO

    from tierce.layer.entry import Item
    from tierce.layer.view import Tree
    from tierce.oci.reference import Reference
    from tierce.store import Store
    from tierce.store.images import Image

_NANOSECONDS = 1_000_000_000


def import_filesystem(
    store: Store,
    source: IO[bytes] | str | os.PathLike[str],
    *,
    created: str,
    name: Reference | None = None,
    config: ContainerConfig | None = None,
    message: str = "",
    platform: Platform | None = None,
) -> Image:
    """Make an image with one layer, the tar at `source` (a path or a stream; compressed or not).

    `created` is an RFC 3339 time, `message` the comment in the history, the platform by default
    this machine's. If anything is wrong with the tar the store is left as it was.
    Raises ArchiveError, StoreError.
    """
    platform = Platform.host() if platform is None else platform
    with store.leases.take("import image"), Staging(store) as staging:
        blob, kind = stage(staging, source)
        with archive_errors(), open_decompressed(staging.read(blob).buffered()) as tar:
            index, diff_id, _ = build_index(tar)
        size = staging.read(blob).size
        staging.publish()
        store.blobs.set_diff_id(blob, diff_id)
        store.layers.put_index(diff_id, index)
        raw_config = ImageConfig(
            platform.architecture,
            platform.os,
            platform.variant,
            created=created,
            config=config or ContainerConfig(),
            diff_ids=(diff_id,),
            history=(History(created, comment=message),),
            comment=message,
        ).encode()
        manifest = Manifest(
            OCI_MANIFEST,
            Descriptor(OCI_CONFIG, Digest.of(raw_config), len(raw_config)),
            (Descriptor(compressed_layer(OCI_LAYER, kind), blob, size),),
        )
        files_size = sum(entry.size for entry in index)
        image = store.images.put(manifest.encode(), raw_config, size=files_size)
        if name is not None:
            store.images.tag(name, image.manifest)
        return image


def export_filesystem(tree: Tree, sink: IO[bytes], *, epoch: int | None = None) -> None:
    """Write all of a file tree as a tar: every entry as it is seen in a container.

    With an `epoch` (seconds since 1970) that is the time of each. Equal trees give equal bytes.
    Raises ArchiveError when the sink fails, LayerError when a file cannot be read.
    """
    output = Sink(sink)
    write_layer(tree_items(tree, epoch), output.write, hash_files=False)
    output.flush()


def tree_items(tree: Tree, epoch: int | None = None) -> Iterator[Item]:
    """All of a file tree, as `write_layer` takes it; with an `epoch` as in `export_filesystem`."""
    for entry in tree.walk():
        content = tree.content(entry) if entry.kind == "file" else None
        if epoch is not None:
            entry = entry._replace(mtime_ns=epoch * _NANOSECONDS)
        yield entry, content
