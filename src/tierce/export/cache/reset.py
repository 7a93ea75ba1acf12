"""Removes from a directory with caches what none of its caches needs any more (`reset=true`)."""

from __future__ import annotations

import os

from tierce.archive.names import BLOBS, INDEX
from tierce.archive.source import open_archive, read
from tierce.oci import media_types
from tierce.oci.digest import Digest
from tierce.oci.manifest import SIZE_LIMIT, Index, Manifest, parse

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tierce.archive.source import Archive
    from tierce.archive.staging import Staging
    from tierce.oci.descriptor import Descriptor

_DEPTH_LIMIT = 4


def unneeded_blobs(path: str, staging: Staging) -> list[str]:
    """Paths of the blobs that the manifests in index.json do not lead to, whoever wrote them.

    Raises ArchiveError, InvalidValue when that cannot be told.
    """
    with open_archive(path, staging) as archive:
        index = parse(read(archive, INDEX, SIZE_LIMIT), media_types.OCI_INDEX)
        assert isinstance(index, Index)
        needed: set[Digest] = set()
        _follow(archive, index.manifests, needed, 0)
    found = []
    for algorithm in ("sha256", "sha512"):
        directory = os.path.join(path, BLOBS, algorithm)
        names = os.listdir(directory) if os.path.isdir(directory) else []
        kept = {digest.hex for digest in needed if digest.algorithm == algorithm}
        found += [os.path.join(directory, name) for name in sorted(names) if name not in kept]
    return found


def _follow(
    archive: Archive, descriptors: Iterable[Descriptor], needed: set[Digest], depth: int
) -> None:
    for descriptor in descriptors:
        digest, media_type = descriptor.digest, descriptor.media_type
        if digest in needed:
            continue
        needed.add(digest)
        is_document = media_types.is_manifest(media_type) or media_types.is_index(media_type)
        if not is_document or depth == _DEPTH_LIMIT:
            continue
        raw = read(archive, f"{BLOBS}/{digest.algorithm}/{digest.hex}", SIZE_LIMIT)
        document = parse(raw, media_type)
        if isinstance(document, Manifest):
            _follow(archive, (document.config, *document.layers), needed, depth + 1)
        else:
            _follow(archive, document.manifests, needed, depth + 1)
