"""File systems as plain tars: `docker import` makes an image of one, `docker export` the reverse."""

from __future__ import annotations

import time

from tierce.archive.output import tar_sink
from tierce.archive.source import archive_errors, stage_file
from tierce.archive.staging import Staging
from tierce.layer.compression import open_decompressed
from tierce.layer.index import build_index
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
