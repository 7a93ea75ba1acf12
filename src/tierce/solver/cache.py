"""What a vertex is found by in the cache. `types` says what each key means."""

from __future__ import annotations

from tierce.oci.digest import sha256_hex
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tierce.graph.vertex import Vertex
    from tierce.solver.types import CacheRecord


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
    """What a step reads, as the key that it gives."""

    key: str


class Outcome(Value):
    """What became of a step.

    `keys` find it, the one that its users know it by first; there are none when nothing can find
    it again. `record` is what was found or made, None for a step that was not needed. A step that
    `ran` was missed by the cache, or the cache was not asked (`ignored_cache`); `components` is
    then what its key was made of.
    """

    vertex: Vertex
    keys: tuple[str, ...] = ()
    record: CacheRecord | None = None
    ran: bool = False
    ignored_cache: bool = False
    components: bytes = b""


def key_of(kind: str, parts: Iterable[str]) -> str:
    """Hexadecimal SHA-256 of a kind of key and of its parts, in order; parts are hexadecimal."""
    return sha256_hex("\0".join([kind, *parts]).encode())
