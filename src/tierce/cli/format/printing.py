"""Values as text, as Go's fmt package writes them: what `{{.Field}}` shows, print and printf."""

from __future__ import annotations

import math

from tierce.cli.format.values import MISSING, NilPointer, Struct

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

SIMPLE_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
}
SMALLEST_EXPONENT = 6


def shown(value: object, *, plus: bool = False) -> str:
    """The value as `%v` shows it (or `%+v`: structs with the names of their fields)."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, NilPointer):
        return "<nil>"
    if value is MISSING:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return shortest_float(value)
    if isinstance(value, list | tuple):
        return "[" + " ".join(shown(element, plus=plus) for element in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{key}:{shown(value[key], plus=plus)}" for key in sorted(value))
        return "map[" + " ".join(pairs) + "]"
    if isinstance(value, Struct):
        names = [(name, shown(value[name], plus=plus)) for name in value.fields]
        return "{" + " ".join(f"{name}:{text}" if plus else text for name, text in names) + "}"
    return str(value)


def print_all(values: Sequence[object]) -> str:
    """`print`: a space stands between two values when neither is a string."""
    text = ""
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            text += " "
        text += shown(value)
    return text


def print_line(values: Sequence[object]) -> str:
    """`println`: a space between all values, and a new line."""
    return " ".join(map(shown, values)) + "\n"


def shortest_float(value: float) -> str:
    """The fewest digits that give the number back; an exponent from 1e+06 and below 0.0001."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits, exponent = decimal_digits(value)
    sign = "-" if str(value)[0] == "-" else ""
    if not -4 <= exponent < SMALLEST_EXPONENT:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{exponent:+03d}"
    return sign + plain_digits(digits, exponent)


def decimal_digits(value: float) -> tuple[str, int]:
    """The shortest digits of a number and the power of ten of the first one."""
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) + len(whole) - 1
    if whole.strip("0") == "":
        exponent -= len(fraction) - len(fraction.lstrip("0")) + 1
    digits = digits.rstrip("0")
    return (digits, exponent) if digits else ("0", 0)


def plain_digits(digits: str, exponent: int) -> str:
    """The number without an exponent."""
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def quoted(text: str) -> str:
    """The text as a Go string constant in double quotes (`%q`)."""
    return '"' + "".join(r"\"" if c == '"' else _escaped(c) for c in text) + '"'


def quoted_rune(code: int) -> str:
    """The character as a Go character constant."""
    character = chr(code) if 0 <= code <= 0x10FFFF else "\ufffd"
    return "'" + (r"\'" if character == "'" else _escaped(character)) + "'"


def _escaped(character: str) -> str:
    if character in SIMPLE_ESCAPES:
        return SIMPLE_ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, see PEP 383
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
