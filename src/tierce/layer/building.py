"""Make the index of a layer by reading its tar once."""

from __future__ import annotations

from hashlib import sha256

from tierce.layer.index import LayerIndex
from tierce.layer.limits import DEFAULT_LIMITS, Limits
from tierce.layer.members import Members
from tierce.layer.pipeline import HashingReader
from tierce.layer.reader import TarReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tierce.layer.pipeline import Stream
    from tierce.oci.digest import Digest


def build_index(stream: Stream, limits: Limits = DEFAULT_LIMITS) -> tuple[LayerIndex, Digest, int]:
    """Read an uncompressed layer to its end: its index, its diff id, and its size in bytes.

    Files get their digest; sparse ones have neither digest nor offset. Raises CorruptLayer or
    UnsafeLayer, for whatever would also not unpack.
    """
    with HashingReader(stream) as hashed:
        return read_index(hashed, limits), hashed.digest(), hashed.size


def read_index(stream: Stream, limits: Limits = DEFAULT_LIMITS) -> LayerIndex:
    """As `build_index`, of a layer whose diff id is known."""
    members = Members(limits)
    reader = TarReader(stream, limits)
    while (entry := reader.next()) is not None:
        if entry.kind == "file" and reader.extents is None:
            hasher = sha256(reader.chunk())
            while reader.left:
                hasher.update(reader.chunk())
            entry = entry._replace(digest=hasher.digest())
        members.add(entry)
    reader.drain()
    return LayerIndex.of(members.entries())
