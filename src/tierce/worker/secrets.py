"""Looks for secrets in what a build gives out: the bytes of layers and logs, and texts."""

from __future__ import annotations

from base64 import b64encode

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST = 8
"""Bytes of a value that is looked for: shorter ones are found everywhere by chance."""

MASK = "****"
# Where the characters of a value begin in base64, by how many bytes are before it modulo 3.
_STARTS = (0, 2, 3)


class Hit(Value):
    """A secret, by what it is called, and the offset of its value in the bytes."""

    secret: str
    offset: int


class SecretSearch:
    """Looks for values, as they are and in base64. False when there is nothing to look for.

    White space around a value does not count.
    """

    def __init__(self, values: Mapping[str, bytes]) -> None:
        """`values` are by what they are called in messages; short ones are not looked for."""
        self._needles: list[tuple[str, bytes]] = []
        self._values: list[bytes] = []
        for secret, value in values.items():
            value = value.strip()
            if len(value) >= SHORTEST:
                self._values.append(value)
                self._needles += [(secret, needle) for needle in _forms(value)]
        self.longest = max((len(needle) for _, needle in self._needles), default=0)

    def __bool__(self) -> bool:
        return bool(self._needles)

    def find(self, data: bytes) -> Hit | None:
        """The first secret in bytes, of those that come first among the values."""
        for secret, needle in self._needles:
            offset = data.find(needle)
            if offset >= 0:
                return Hit(secret, offset)
        return None

    def find_in(self, text: str) -> str:
        """What the secret is called that is in a text, or empty."""
        hit = self.find(text.encode("utf-8", "surrogateescape"))
        return "" if hit is None else hit.secret

    def masked(self, text: str) -> str:
        """A text to show, without the values."""
        raw = text.encode("utf-8", "surrogateescape")
        for _, needle in self._needles:
            raw = raw.replace(needle, MASK.encode())
        return raw.decode("utf-8", "surrogateescape")


class Scan:
    """Looks for secrets in a stream that comes in pieces."""

    def __init__(self, search: SecretSearch) -> None:
        self._search = search
        self._kept = search.longest - 1
        self._end = b""
        self._size = 0
        self.hit: Hit | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """Look at the next piece; what was found first stays found."""
        if self.hit is None:
            begin = self._size - len(self._end)
            window = b"".join([self._end, data])
            hit = self._search.find(window)
            if hit is not None:
                self.hit = hit.replace(offset=begin + hit.offset)
            self._end = window[-self._kept :] if self._kept else b""
        self._size += len(data)


def _forms(value: bytes) -> dict[bytes, None]:
    """A value and what it looks like in base64, wherever it begins in what is encoded."""
    forms = {value: None}
    for skipped, start in enumerate(_STARTS):
        encoded = b64encode(bytes(skipped) + value)
        # The last character also holds bits of what follows.
        needle = encoded[start : (skipped + len(value)) * 8 // 6]
        forms[needle] = None
        forms[needle.translate(_URL_SAFE)] = None
    return forms


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
