"""What a vertex is found by in the cache. `types` says what each key means."""

from __future__ import annotations

from tierce.oci.digest import sha256_hex
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable


class Keys(Value):
    """What is known about a vertex before it runs; an empty text means unknown.

    `by_content` says that the result is to be known by a content key; `reads_first`, that this
    key is computed before the step runs in any case. (What a COPY reads is cheaper to tell after
    it has read it.)
    """

    definition: str
    near: str
    by_content: bool = False
    reads_first: bool = False


class Content(Value):
    """What a step reads: the key it gives, and the record of it, kept for explanations."""

    key: str
    components: bytes = b""


def key_of(kind: str, parts: Iterable[str]) -> str:
    """Hexadecimal SHA-256 of a kind of key and of its parts, in order; parts are hexadecimal."""
    return sha256_hex("\0".join([kind, *parts]).encode())
