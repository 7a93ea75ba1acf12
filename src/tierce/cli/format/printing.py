"""Values as text, as Go's fmt package writes them: what `{{.Field}}` shows, print and printf."""

from __future__ import annotations

from tierce.cli.format.values import MISSING, NilPointer, Struct, StringMap, type_name

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
LARGEST_PLAIN_EXPONENT = 21


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


def shortest_float(value: float, largest_exponent: int = LARGEST_PLAIN_EXPONENT) -> str:
    """The fewest digits that give the number back; an exponent from 1e21 and below 1e-4."""
    if value != value:
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    digits, exponent = decimal_digits(value)
    sign = "-" if str(value)[0] == "-" else ""
    if exponent < -4 or exponent >= largest_exponent:
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


def format_values(template: str, values: Sequence[object]) -> str:
    """`printf`: verbs, flags, widths, precisions, `*` and argument indexes as Go's fmt has them.

    What does not fit is shown in the text, as Go does: `%!d(string=x)`, `%!s(MISSING)`.
    """
    return _Printf(template, values).run()


class _Printf:
    """One run of `printf`."""

    def __init__(self, template: str, values: Sequence[object]) -> None:
        self.template = template
        self.values = values
        self.position = 0
        self.argument = 0
        self.reordered = False
        self.bad_index = False

    def run(self) -> str:
        parts = []
        while True:
            percent = self.template.find("%", self.position)
            if percent < 0:
                parts.append(self.template[self.position :])
                break
            parts.append(self.template[self.position : percent])
            self.position = percent + 1
            parts.append(self.directive())
        if not self.reordered and self.argument < len(self.values):
            extra = (
                f"{type_name(value)}={shown(value)}" if value is not None else "<nil>"
                for value in self.values[self.argument :]
            )
            parts.append("%!(EXTRA " + ", ".join(extra) + ")")
        return "".join(parts)

    def directive(self) -> str:
        """What stands for one `%…`, whose percent sign has been read."""
        flags = self.take_while("+-# 0")
        self.bad_index = False
        indexed = self.take_index()
        width, complaint = self.take_number("%!(BADWIDTH)")
        if width is not None and width < 0:
            flags, width = flags + "-", -width
        precision: int | None = None
        if self.peek() == ".":
            self.position += 1
            indexed = self.take_index() or indexed
            precision, more = self.take_number("%!(BADPREC)")
            precision = 0 if precision is None and not more else precision
            complaint += more
        self.take_index()
        verb = self.peek()
        if not verb:
            return complaint + "%!(NOVERB)"
        self.position += 1
        return complaint + self.formatted(verb, flags, width, precision)

    def formatted(self, verb: str, flags: str, width: int | None, precision: int | None) -> str:
        if verb == "%":
            return "%"
        if self.bad_index:
            return f"%!{verb}(BADINDEX)"
        if self.argument >= len(self.values):
            return f"%!{verb}(MISSING)"
        value = self.values[self.argument]
        self.argument += 1
        return format_one(value, verb, flags, width, precision)

    def peek(self) -> str:
        return self.template[self.position : self.position + 1]

    def take_while(self, characters: str) -> str:
        start = self.position
        while self.peek() and self.peek() in characters:
            self.position += 1
        return self.template[start : self.position]

    def take_index(self) -> bool:
        """`[3]`: the next value is the third."""
        if self.peek() != "[":
            return False
        self.reordered = True
        end = self.template.find("]", self.position)
        number = self.template[self.position + 1 : end] if end >= 0 else ""
        self.position = end + 1 if end >= 0 else self.position + 1
        if number.isdecimal() and 1 <= int(number) <= len(self.values):
            self.argument = int(number) - 1
        else:
            self.bad_index = True
        return True

    def take_number(self, complaint: str) -> tuple[int | None, str]:
        """A width or a precision, in figures or as `*`; and a complaint about the latter."""
        if self.peek() != "*":
            figures = self.take_while("0123456789")
            return (int(figures) if figures else None), ""
        self.position += 1
        if self.argument < len(self.values):
            value = self.values[self.argument]
            self.argument += 1
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 1_000_000:
                return value, ""
        return None, complaint


def format_one(
    value: object,
    verb: str,
    flags: str = "",
    width: int | None = None,
    precision: int | None = None,
) -> str:
    """One value by one verb."""
    if verb == "T":
        return _padded(type_name(value), flags, width)
    if verb == "v" and "#" in flags:
        text = go_syntax(value)
    elif verb == "v":
        text = _by_default(value, flags, precision)
    elif value is None or value is MISSING:
        return f"%!{verb}(<nil>)"
    elif isinstance(value, list | tuple):
        return "[" + " ".join(format_one(v, verb, flags, width, precision) for v in value) + "]"
    elif isinstance(value, dict):
        pairs = [
            format_one(key, verb, flags, width, precision)
            + ":"
            + format_one(value[key], verb, flags, width, precision)
            for key in sorted(value)
        ]
        return "map[" + " ".join(pairs) + "]"
    else:
        return _scalar(value, verb, flags, width, precision)
    return _padded(text, flags, width)


def _by_default(value: object, flags: str, precision: int | None) -> str:
    if isinstance(value, float) and precision is not None:
        return _float_text(value, "g", flags, precision)
    if isinstance(value, str) and precision is not None:
        return value[:precision]
    return shown(value, plus="+" in flags)


def _scalar(value: object, verb: str, flags: str, width: int | None, precision: int | None) -> str:
    if isinstance(value, bool):
        if verb == "t":
            return _padded(shown(value), flags, width)
    elif isinstance(value, int):
        text = _integer_text(value, verb, flags, precision)
        if text is not None:
            # A precision says how many digits there are, so that zeros may not fill the width.
            plain = flags if precision is None else flags.replace("0", "")
            return _padded(text, plain, width, number=verb not in "cqU")
    elif isinstance(value, float):
        if verb in "eEfFgG":
            text = _float_text(value, verb, flags, precision)
            return _padded(text, flags, width, number=value == value and "Inf" not in text)
    elif isinstance(value, str):
        text = _string_text(value, verb, flags, precision)
        if text is not None:
            return _padded(text, flags, width)
    return f"%!{verb}({type_name(value)}={shown(value)})"


def _integer_text(value: int, verb: str, flags: str, precision: int | None) -> str | None:
    if verb == "c":
        return chr(value) if 0 <= value <= 0x10FFFF else "\ufffd"
    if verb == "q":
        return quoted_rune(value)
    if verb == "U":
        text = f"U+{value:04X}"
        return f"{text} '{chr(value)}'" if "#" in flags and chr(value).isprintable() else text
    bases = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
    if verb not in bases:
        return None
    if precision == 0 and value == 0:
        return ""
    digits = format(abs(value), bases[verb]).rjust(precision or 0, "0")
    if verb == "O":
        digits = "0o" + digits
    elif "#" in flags:
        prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(verb, "")
        digits = digits if verb == "o" and digits[0] == "0" else prefix + digits
    return _sign(value < 0, flags) + digits


def _float_text(value: float, verb: str, flags: str, precision: int | None) -> str:
    negative = str(value)[0] == "-"
    if value != value or value in {float("inf"), float("-inf")}:
        text = shortest_float(value)
        return text if "+" in flags or text[0] == "-" else text.lstrip("+")
    if verb in "gG" and precision is None:
        text = shortest_float(abs(value))
        return _sign(negative, flags) + (text.upper() if verb == "G" else text)
    digits = 6 if precision is None else precision
    if verb in "gG":
        text = format(abs(value), f".{digits or 1}{verb}")
    else:
        text = format(abs(value), f".{digits}{verb}")
    return _sign(negative, flags) + text


def _string_text(value: str, verb: str, flags: str, precision: int | None) -> str | None:
    cut = value if precision is None else value[:precision]
    if verb == "s":
        return cut
    if verb == "q":
        raw = "#" in flags and "`" not in cut and all(c.isprintable() or c == "\t" for c in cut)
        return f"`{cut}`" if raw else quoted(cut)
    if verb in "xX":
        data = value.encode("utf-8", "surrogateescape")
        data = data if precision is None else data[:precision]
        separator = " " if " " in flags else ""
        text = data.hex(separator) if separator else data.hex()
        if "#" in flags and data:
            text = "0x" + text.replace(" ", " 0x")
        return text.upper() if verb == "X" else text
    return None


def _sign(negative: bool, flags: str) -> str:
    if negative:
        return "-"
    return "+" if "+" in flags else " " if " " in flags else ""


def _padded(text: str, flags: str, width: int | None, *, number: bool = False) -> str:
    if width is None or len(text) >= width:
        return text
    if "-" in flags:
        return text.ljust(width)
    if "0" not in flags:
        return text.rjust(width)
    if number and text[:1] in {"+", "-", " "}:
        return text[0] + text[1:].rjust(width - 1, "0")
    return text.rjust(width, "0")


def go_syntax(value: object) -> str:
    """The value as Go source (`%#v`)."""
    if value is None or value is MISSING:
        return "<nil>"
    if isinstance(value, NilPointer):
        return f"({type_name(value)})(nil)"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list | tuple):
        return type_name(value) + "{" + ", ".join(map(go_syntax, value)) + "}"
    if isinstance(value, Struct):
        names = (f"{name}:{go_syntax(value[name])}" for name in value.fields)
        return f"&{value.type_name}" + "{" + ", ".join(names) + "}"
    if isinstance(value, StringMap | dict):
        pairs = (f"{quoted(key)}:{go_syntax(value[key])}" for key in sorted(value))
        return type_name(value) + "{" + ", ".join(pairs) + "}"
    return shown(value)
