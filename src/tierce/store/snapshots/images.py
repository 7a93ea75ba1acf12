"""EROFS images of layers: made once, kept beside their snapshots, found again.

An image is derived from the layer's index, and for directories that this does not have from the
layers beneath: so there is one for each snapshot. Its first bytes say during which boot it was
written; after a reboot it may be torn, and is made again.
"""

from __future__ import annotations

import os
from struct import Struct
from zlib import crc32

from tierce import layer
from tierce.errors import UnsafeLayer
from tierce.store.failures import reported
from tierce.store.snapshots.base import IMAGE_NAME, POINT_NAME, LayerImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tierce.layer.entry import Entry
    from tierce.oci.digest import Digest
    from tierce.store.blobs import Blobs
    from tierce.store.durability import Durability
    from tierce.store.layers import Layers
    from tierce.store.paths import Paths

FEWEST_ENTRIES = 100
"""Layers with as many entries are mounted: to unpack these takes 20 ms and an image 2 ms, but to
mount that 0.3 ms, in each step and container anew."""
LEAST_BYTES = 8 << 20
"""So are layers whose tar has as many bytes, for the time and the space that a copy takes."""
MOST_ENTRIES = 150_000
"""Larger layers are unpacked, entry by entry: with an image, all are in memory, 1 kB for each."""
_LEAST_UNKNOWN_BYTES = 1 << 20
"""And those of which no more is known than that some blob of theirs has as many."""

_HEAD = Struct("<16s36sIQ")  # magic, boot, crc32 of what comes behind `SPARE`, bytes in all
_MAGIC = b"tierce erofs 1\n\0"
_UNFINISHED = ".new"


class LayerImages:
    """The images of one store. Whoever makes one holds the lock of its snapshot."""

    def __init__(
        self, paths: Paths, durability: Durability, blobs: Blobs, layers: Callable[[], Layers]
    ) -> None:
        self._paths = paths
        self._durability = durability
        self._blobs = blobs
        self._layers = layers
        self._found: dict[int, LayerImage] = {}
        """Images that are known to be whole: a step asks for all of its layers several times."""

    def find(self, number: int, diff_id: Digest | None) -> LayerImage | None:
        """The image of a snapshot that is here and can be mounted, with its tar."""
        if diff_id is None:
            return None
        known = self._found.get(number)
        if known is not None and known.file.exists() and known.tar.exists():
            return known
        directory = self._paths.snapshot(number)
        image = LayerImage(
            directory / IMAGE_NAME, self._paths.blob(diff_id), directory / POINT_NAME
        )
        with reported(f"read image of snapshot {number}"):
            if not self._is_current(image.file) or not self._blobs.has(diff_id):
                return None
        self._found[number] = image
        return image

    def _is_current(self, file: Path) -> bool:
        """Whether an image is there, and was written during this boot."""
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            magic, boot, _, size = _head(os.pread(descriptor, _HEAD.size, 0))
            # The kernel reads what is not in memory piece by piece, and on ext4 with its checks
            # for developers warns of how that is done (ext4_check_map_extents_env, Linux 6.16).
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
            return (magic, boot, size) == (_MAGIC, self._boot(), os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def worthwhile(self, diff_id: Digest) -> bool:
        """Whether a layer that is not unpacked yet is mounted with less effort.

        Not one that is nowhere but in the directory of another snapshot.
        """
        blob = self._blobs.find_layer(diff_id)
        if blob is None:
            return False
        size = self._blobs.size(blob)
        if size >= LEAST_BYTES:
            return True
        if self._layers().indexed(diff_id):
            return len(self._layers().index(diff_id)) >= FEWEST_ENTRIES
        return bool(size >= _LEAST_UNKNOWN_BYTES)

    def make(
        self, number: int, diff_id: Digest, implied: Callable[[str], Entry | None] | None
    ) -> bool:
        """Make the image of a snapshot; False for a layer that EROFS cannot say.

        `implied` as in `make_image`. Raises LayerError, StoreError, StoreFull.
        """
        tar = self._layers().ensure_tar(diff_id)
        try:
            index = self._layers().index(diff_id, layer.Limits(entries=MOST_ENTRIES))
        except UnsafeLayer:
            return False  # if it is not only large, unpacking says so
        if len(index) > MOST_ENTRIES:
            return False
        with reported(f"make image of snapshot {number}"):
            data = layer.make_image(
                index, os.stat(tar).st_size, _identity(number, diff_id), implied
            )
            if data is None:
                return False
            directory = self._paths.snapshot(number)
            for path in (directory, directory / POINT_NAME):
                path.mkdir(mode=0o700, exist_ok=True)
            self._write(directory / IMAGE_NAME, data)
        return True

    def _write(self, path: Path, data: bytes) -> None:
        """Not synced: see `Durability`."""
        body = memoryview(data)[layer.IMAGE_SPARE :]
        head = _HEAD.pack(_MAGIC, self._boot(), crc32(body), len(data))
        unfinished = path.with_name(path.name + _UNFINISHED)
        try:
            with open(unfinished, "wb") as file:
                file.write(head.ljust(layer.IMAGE_SPARE, b"\0"))
                file.write(body)
            os.rename(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _boot(self) -> bytes:
        return self._durability.boot.encode("ascii")


def is_sound(path: Path) -> bool:
    """Whether there is an image, as it was written in whichever boot. Raises StoreError."""
    with reported(f"read {path}"):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return False
    magic, _, checksum, size = _head(data)
    body = memoryview(data)[layer.IMAGE_SPARE :]
    return (magic, size, checksum) == (_MAGIC, len(data), crc32(body))


def _head(data: bytes) -> tuple[bytes, bytes, int, int]:
    magic, boot, checksum, size = _HEAD.unpack(data[: _HEAD.size].ljust(_HEAD.size, b"\0"))
    return magic, boot, checksum, size


def _identity(number: int, diff_id: Digest) -> bytes:
    """Two layers of one mount may have the same content, but not the same identity."""
    layer_part = int(diff_id.hex[:32], 16)
    return ((layer_part + number) % (1 << 128)).to_bytes(16, "big")
