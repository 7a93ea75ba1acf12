"""What a content key was made of, kept with its record so that a later miss can be explained."""

from __future__ import annotations

import json
import zlib
from array import array

from tierce.errors import StoreError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.worker.content import Selection

_FORM = 1
_LEVEL = 1  # names shrink by a factor of ten at once; checksums never do
_CHECKSUM_BYTES = 4


class Components(Value):
    """`op` is the canonical form of the operation, `inputs` the keys of its inputs, empty where
    the content counts instead: `content` has the digest of each selection, `files` a checksum
    for each path in them.
    """

    op: str
    inputs: tuple[str, ...]
    content: tuple[str, ...]
    files: Mapping[str, int]


def encode_components(op: bytes, inputs: Sequence[str], selections: Sequence[Selection]) -> bytes:
    """About ten bytes for each file."""
    names = [path for selection in selections for path in selection.paths]
    checksums = array("I")
    for selection in selections:
        checksums.extend(selection.checksums)
    head = json.dumps(
        [_FORM, op.decode(), list(inputs), [each.digest for each in selections], len(names)],
        separators=(",", ":"),
    )
    text = "\0".join([head, *names]).encode("utf-8", "surrogateescape")
    return zlib.compress(text, _LEVEL) + checksums.tobytes()


def decode_components(data: bytes) -> Components:
    """The inverse of `encode_components`. Raises StoreError for anything else."""
    try:
        inflater = zlib.decompressobj()
        text = inflater.decompress(data).decode("utf-8", "surrogateescape")
        head, *names = text.split("\0")
        form, op, inputs, content, count = json.loads(head)
        checksums = array("I")
        checksums.frombytes(inflater.unused_data)
        if form != _FORM or count != len(names) or count != len(checksums):
            raise ValueError("it does not fit together")
        return Components(op, tuple(inputs), tuple(content), dict(zip(names, checksums)))
    except (ValueError, TypeError, zlib.error) as error:
        raise StoreError(f"read components of a cache record: {error}") from error
