"""JSON as Go's encoding/json writes it.

`json` of the standard library is not used: it sorts nothing by itself, knows no struct, escapes
other characters, and takes 8 ms to import.
"""

from __future__ import annotations

from tierce.cli.format.printing import decimal_digits, plain_digits
from tierce.cli.format.values import MISSING, NilList, NilMap, NilPointer, Struct

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

# JavaScript takes U+2028 and U+2029 for the end of a line. Surrogates stand for bytes that are
# not UTF-8 (PEP 383), which JSON cannot hold.
ESCAPES = {
    **{code: f"\\u{code:04x}" for code in range(0x20)},
    **dict.fromkeys(range(0xDC80, 0xDD00), r"\ufffd"),
    ord('"'): r"\"",
    ord("\\"): r"\\",
    ord("\b"): r"\b",
    ord("\f"): r"\f",
    ord("\n"): r"\n",
    ord("\r"): r"\r",
    ord("\t"): r"\t",
    0x2028: r"\u2028",
    0x2029: r"\u2029",
}
HTML_ESCAPES = ESCAPES | {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def encode(value: object, *, indent: str = "", escape_html: bool = False) -> str:
    """The value on one line or, with an indent, on several. Keys of maps are sorted."""
    parts: list[str] = []
    _write(parts, value, indent, "\n" if indent else "", escape_html)
    return "".join(parts)


def encode_string(text: str, *, escape_html: bool = False) -> str:
    """The text in quotes; bytes that are not UTF-8 become the replacement character."""
    return f'"{text.translate(HTML_ESCAPES if escape_html else ESCAPES)}"'


def encode_float(value: float) -> str:
    """The shortest digits; an exponent only below 1e-6 and from 1e21."""
    digits, exponent = decimal_digits(value)
    sign = "-" if str(value)[0] == "-" else ""
    if value and not -7 < exponent < 21:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{exponent:+}"
    return sign + plain_digits(digits, exponent)


def _write(parts: list[str], value: object, indent: str, line: str, escape_html: bool) -> None:
    if isinstance(value, str):
        parts.append(encode_string(value, escape_html=escape_html))
    elif value is None or value is MISSING or isinstance(value, NilList | NilMap | NilPointer):
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, int):
        parts.append(str(value))
    elif isinstance(value, float):
        parts.append(encode_float(value))
    elif isinstance(value, list | tuple):
        _write_list(parts, value, indent, line, escape_html)
    elif isinstance(value, Struct):
        pairs = value.visible()
        _write_pairs(parts, pairs, indent, line, escape_html or value.escape_html)
    elif isinstance(value, dict):
        _write_pairs(parts, sorted(value.items()), indent, line, escape_html)
    else:
        raise TypeError(f"{type(value).__name__} has no form in JSON")


def _write_list(
    parts: list[str], values: Iterable[object], indent: str, line: str, escape_html: bool
) -> None:
    inner = line + indent
    separator = "[" + inner
    for value in values:
        parts.append(separator)
        _write(parts, value, indent, inner, escape_html)
        separator = "," + inner
    parts.append("[]" if separator[0] == "[" else line + "]")


def _write_pairs(
    parts: list[str],
    pairs: Iterable[tuple[str, object]],
    indent: str,
    line: str,
    escape_html: bool,
) -> None:
    inner = line + indent
    separator = "{" + inner
    colon = ": " if indent else ":"
    for name, value in pairs:
        parts += (separator, encode_string(name, escape_html=escape_html), colon)
        _write(parts, value, indent, inner, escape_html)
        separator = "," + inner
    parts.append("{}" if separator[0] == "{" else line + "}")
