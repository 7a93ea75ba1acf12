"""What a server says it wants to see (RFC 9110, 11.6.1: WWW-Authenticate)."""

from __future__ import annotations

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

_SEPARATORS = frozenset(' \t",=')
_LIMIT = 8 << 10


class Challenge(Value):
    """One way to log in: its scheme in lower case ("basic", "bearer"), and its parameters."""

    scheme: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """A parameter, or an empty text."""
        return dict(self.parameters).get(name, "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of all WWW-Authenticate headers; what cannot be read is left out."""
    found: list[Challenge] = []
    for header in headers:
        found += _parse(header[:_LIMIT])
    return tuple(found)


def _parse(text: str) -> list[Challenge]:
    """A header may hold several: a word that no "=" follows begins the next one."""
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(text):
        if text[at] in " \t,":
            at += 1
            continue
        end = at
        while end < len(text) and text[end] not in _SEPARATORS:
            end += 1
        word = text[at:end].lower()
        at = end
        while at < len(text) and text[at] in " \t":
            at += 1
        if at < len(text) and text[at] == "=" and word and found:
            value, at = _value(text, at + 1)
            found[-1][1].setdefault(word, value)
        elif word:
            found.append((word, {}))
        else:
            at += 1  # a stray quote or "="
    return [Challenge(scheme, tuple(parameters.items())) for scheme, parameters in found]


def _value(text: str, at: int) -> tuple[str, int]:
    """A token or a quoted string, and where it ends."""
    while at < len(text) and text[at] in " \t":
        at += 1
    if at >= len(text) or text[at] != '"':
        end = at
        while end < len(text) and text[end] not in " \t,":
            end += 1
        return text[at:end], end
    letters = []
    at += 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        letters.append(text[at])
        at += 1
    return "".join(letters), at + 1
