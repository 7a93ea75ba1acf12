"""Cache keys."""

import hashlib
from collections.abc import Iterable


def key_of(kind: str, parts: Iterable[str]) -> str:
    """Hexadecimal SHA-256 of a kind of key and of its parts, in order."""
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        digest.update(b"\0" + part.encode())
    return digest.hexdigest()
