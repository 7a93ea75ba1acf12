"""The canonical digest of an operation: equal operations, and only these, have equal digests."""

from __future__ import annotations

import json

from tierce.graph.ops import Exec, ImageSource, Op
from tierce.oci.digest import sha256_hex
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

_FORM = "tierce-op-2"
"""Changes whenever the canonical form does, so that old cache records are not mistaken."""

NOT_HASHED = ("proxy", "limits")
"""Fields of Exec that make no other result."""


def op_digest(op: Op) -> str:
    """Hexadecimal SHA-256 of the operation's type and of the fields that change its result."""
    return sha256_hex(canonical_form(op))


def canonical_form(op: Op) -> bytes:
    """The bytes that are hashed: JSON with the type's name and the fields in their order.

    Where an image was found does not change what is in it, so that an image source is known by
    its layers alone: the same base under another name, or pulled again, keeps the cache.
    """
    if isinstance(op, ImageSource):
        fields: list[Any] = [str(diff_id) for diff_id in op.diff_ids]
    else:
        hidden = NOT_HASHED if isinstance(op, Exec) else ()
        fields = [_plain(getattr(op, field)) for field in op._fields if field not in hidden]
    text = json.dumps([_FORM, type(op).__name__, fields], ensure_ascii=True, separators=(",", ":"))
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        return [type(value).__name__, *[_plain(getattr(value, name)) for name in value._fields]]
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return sha256_hex(value)
    return value
