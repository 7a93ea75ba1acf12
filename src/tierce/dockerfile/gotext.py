"""Text as Go reads and writes it.

The reference implementation of the language is written in Go, and its notions show: what counts
as white space, how a list is quoted in the history of an image, how a duration is spelt.
"""

from __future__ import annotations

from tierce.errors import InvalidValue

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterable

SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""unicode.IsSpace: unlike `str.isspace`, the separators U+001C to U+001F are not in it."""

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_LIMIT_NS = 2**63 - 1
_TRUE = frozenset(["1", "t", "T", "TRUE", "true", "True"])
_FALSE = frozenset(["0", "f", "F", "FALSE", "false", "False"])


def well_formed(text: str) -> str:
    """The text with U+FFFD for what UTF-8 cannot hold, as Go writes it into JSON.

    Such are halves of surrogate pairs: in JSON (`"\\ud800"`), and in text that Python read from
    bytes that are no UTF-8.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(["\ufffd" if "\ud800" <= each <= "\udfff" else each for each in text])
    return text


def quote(text: str) -> str:
    """strconv.Quote: `say "hi"` becomes `"say \\"hi\\""`."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join([_quoted(character) for character in text]) + '"'


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted_list(words: Iterable[str]) -> str:
    """What fmt prints for `%q` of a slice: `["node" "index.js"]`."""
    return "[" + " ".join([quote(word) for word in words]) + "]"


def plain_list(words: Iterable[str]) -> str:
    """What fmt prints for `%v` of a slice: `[80/tcp 443/tcp]`."""
    return "[" + " ".join(words) + "]"


def parse_bool(text: str) -> bool:
    """strconv.ParseBool. Raises InvalidValue."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidValue(f"{quote(text)} is neither true nor false", value=text)


def parse_duration(text: str) -> int:
    """time.ParseDuration: "1m30s" in nanoseconds. Raises InvalidValue in Go's words."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    invalid = InvalidValue(f"time: invalid duration {quote(text)}", value=text)
    if not rest:
        raise invalid
    total = 0
    while rest:
        end = _span(rest, "0123456789")
        fraction_end = end
        if rest[end : end + 1] == ".":
            fraction_end = end + 1 + _span(rest[end + 1 :], "0123456789")
        whole, fraction = rest[:end], rest[end + 1 : fraction_end]
        # More digits than this are out of range in every unit, or too fine for a nanosecond.
        if not (whole or fraction) or len(whole) > 19:
            raise invalid
        rest = rest[fraction_end:]
        unit = rest[: next((i for i, each in enumerate(rest) if each in "0123456789."), len(rest))]
        if not unit:
            raise InvalidValue(f"time: missing unit in duration {quote(text)}", value=text)
        if unit not in _UNITS_NS:
            shown = f"time: unknown unit {quote(unit)} in duration {quote(text)}"
            raise InvalidValue(shown, value=text)
        rest = rest[len(unit) :]
        fraction = fraction[:18]
        scale = _UNITS_NS[unit]
        total += int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
        if total > _DURATION_LIMIT_NS:
            raise invalid
    return -total if text[0] == "-" else total


def _span(text: str, characters: str) -> int:
    """How many characters at the start of the text are of the given ones."""
    return len(text) - len(text.lstrip(characters))


def duration_text(nanoseconds: int) -> str:
    """time.Duration.String: 90 seconds are "1m30s", half of one "500ms"."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < 1_000:
        return f"{sign}{rest}ns"
    if rest < 1_000_000:
        return f"{sign}{_decimal(rest, 1_000)}µs"
    if rest < 1_000_000_000:
        return f"{sign}{_decimal(rest, 1_000_000)}ms"
    minutes, rest = divmod(rest, _UNITS_NS["m"])
    shown = f"{_decimal(rest, 1_000_000_000)}s"
    if not minutes:
        return sign + shown
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}h{minutes}m{shown}" if hours else f"{sign}{minutes}m{shown}"


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = str(unit + fraction)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
