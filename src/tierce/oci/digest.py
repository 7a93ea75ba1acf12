"""Content digests (OCI image-spec, descriptor.md "Digests")."""

from __future__ import annotations

import sys

from tierce.errors import InvalidValue
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from typing import Any, Self

# hashlib loads OpenSSL, 3 ms that pay off from a few hundred kilobytes on. The interpreter brings
# a sha256 of its own, which `random` prefers for the same reason.
try:
    if sys.version_info >= (3, 12):
        from _sha2 import sha256 as _sha256  # type: ignore[import-not-found]
    else:
        from _sha256 import sha256 as _sha256  # type: ignore[import-not-found]
except ImportError:  # an interpreter that was built without it
    from hashlib import sha256 as _sha256

_LEAN_BYTES = 1 << 17
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_LOWER_HEX = "0123456789abcdef"
_QUOTED_AT_MOST = 100


class Digest(Value):
    """An algorithm and the lower-case hexadecimal hash; `str()` gives "sha256:…".

    Made by `parse` or `of`; the constructor trusts its arguments.
    """

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "sha256:<64 hex digits>" or "sha512:<128 hex digits>".

        Raises InvalidValue for anything else, also for algorithms that are registered but not
        supported: a digest that cannot be verified must not enter.
        """
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise _invalid(text, "no algorithm (expected sha256:…)")
        length = _HEX_LENGTHS.get(algorithm)
        if length is None:
            raise _invalid(text, f"unsupported algorithm {_quoted(algorithm)}")
        if len(encoded) != length:
            raise _invalid(text, f"{len(encoded)} digits instead of {length}")
        if encoded.strip(_LOWER_HEX):
            raise _invalid(text, "not lower-case hexadecimal")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Self:
        """The digest of bytes in memory. Raises InvalidValue for an unsupported algorithm."""
        if algorithm == "sha256":
            return cls(algorithm, sha256_hex(data))
        digester = new_hash(algorithm)
        digester.update(data)
        return cls(algorithm, digester.hexdigest())

    @classmethod
    def from_hash(cls, digester: Any) -> Self:
        """What a hash object from `new_hash` has computed so far."""
        return cls(digester.name, digester.hexdigest())

    @property
    def short(self) -> str:
        """The first 12 hexadecimal digits, as in listings."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    # Digests are keys of most dictionaries here; the generic versions build tuples each time.
    def __hash__(self) -> int:
        return hash(self.hex)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Digest):
            return NotImplemented
        return self.hex == other.hex and self.algorithm == other.algorithm


def sha256_hex(data: bytes | bytearray | memoryview) -> str:
    """The hexadecimal SHA-256 of bytes in memory."""
    if len(data) <= _LEAN_BYTES:
        text: str = _sha256(data).hexdigest()
        return text
    digester = new_hash()
    digester.update(data)
    return str(digester.hexdigest())


def new_hash(algorithm: str = "sha256") -> Any:
    """A `hashlib` object. Raises InvalidValue for an algorithm that `Digest` does not know."""
    import hashlib  # costly, see above

    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm == "sha512":
        return hashlib.sha512()
    raise InvalidValue(f"hash content: unsupported algorithm {_quoted(algorithm)}", value=algorithm)


def _invalid(text: str, cause: str) -> InvalidValue:
    return InvalidValue(f"parse digest {_quoted(text)}: {cause}", value=text)


def _quoted(text: str) -> str:
    """For one line of a message, however long or strange the text is."""
    shown = text if len(text) <= _QUOTED_AT_MOST else text[:_QUOTED_AT_MOST] + "…"
    return ascii(shown) if not shown.isprintable() else f'"{shown}"'
