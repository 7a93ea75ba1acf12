"""printf: verbs, flags, widths and precisions as Go's fmt package has them."""

from __future__ import annotations

import math

from tierce.cli.format.printing import quoted, quoted_rune, shortest_float, shown
from tierce.cli.format.values import MISSING, NilPointer, Struct, type_name
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_WIDTH = 1_000_000
INTEGER_VERBS = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
NATURAL_VERBS: dict[type, str] = {bool: "t", int: "d", float: "g", str: "s"}
PREFIXES = {"b": "0b", "x": "0x", "X": "0X"}


def format_values(template: str, values: Sequence[object]) -> str:
    """The template with its verbs replaced by the values, which may be asked for by `%[1]s`.

    What does not fit is shown in the text, as Go does: `%!d(string=x)`, `%!s(MISSING)`.
    """
    return _Printf(template, values).run()


class Directive(Value):
    """What stands between a percent sign and its verb, and the verb."""

    verb: str
    flags: str = ""
    width: int | None = None
    precision: int | None = None

    def padded(self, text: str, *, number: bool = False) -> str:
        """The text in the width; zeros go behind the sign of a number."""
        if self.width is None or len(text) >= self.width:
            return text
        if "-" in self.flags:
            return text.ljust(self.width)
        if "0" not in self.flags:
            return text.rjust(self.width)
        if number and text[:1] in {"+", "-", " "}:
            return text[0] + text[1:].rjust(self.width - 1, "0")
        return text.rjust(self.width, "0")

    def cut(self, text: str) -> str:
        return text if self.precision is None else text[: self.precision]

    def sign(self, *, negative: bool) -> str:
        if negative:
            return "-"
        return "+" if "+" in self.flags else " " if " " in self.flags else ""


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
        self.bad_index |= indexed and self.peek().isdecimal()  # "%[3]2d" says it the wrong way
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
        return one(value, Directive(verb, flags, width, precision))

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
            if (
                isinstance(value, int)
                and not isinstance(value, bool)
                and abs(value) <= LARGEST_WIDTH
            ):
                return value, ""
        return None, complaint


def one(value: object, directive: Directive) -> str:
    """One value by one verb."""
    verb = directive.verb
    if verb == "T":
        return directive.padded(type_name(value))
    if verb == "v" and "#" in directive.flags:
        return directive.padded(go_syntax(value))
    if value is None or value is MISSING:
        return directive.padded("<nil>") if verb == "v" else f"%!{verb}(<nil>)"
    return _any(value, directive)


def _any(value: object, directive: Directive) -> str:
    """Elements of lists, maps and structs are each written by the verb."""
    if isinstance(value, list | tuple):
        return "[" + " ".join(_any(element, directive) for element in value) + "]"
    if isinstance(value, dict):
        pairs = [f"{_any(key, directive)}:{_any(value[key], directive)}" for key in sorted(value)]
        return "map[" + " ".join(pairs) + "]"
    if isinstance(value, Struct):
        named = "+" in directive.flags and directive.verb == "v"
        fields = [
            (f"{name}:" if named else "") + _any(value[name], directive) for name in value.fields
        ]
        return "{" + " ".join(fields) + "}"
    if value is None or isinstance(value, NilPointer):
        return "<nil>"
    if directive.verb == "v":
        # For this verb a plus asks for the names of fields, not for signs.
        natural = NATURAL_VERBS.get(type(value), "s")
        directive = directive.replace(verb=natural, flags=directive.flags.replace("+", ""))
    return _scalar(value, directive)


def _scalar(value: object, directive: Directive) -> str:
    verb = directive.verb
    if isinstance(value, bool):
        if verb == "t":
            return directive.padded(shown(value))
    elif isinstance(value, int):
        if verb in INTEGER_VERBS:
            return _integer(value, directive)
        if verb in {"c", "q", "U"}:
            return _character(value, directive)
    elif isinstance(value, float):
        if verb in {"e", "E", "f", "F", "g", "G"}:
            return _float(value, directive)
    elif isinstance(value, str):
        text = _string(value, directive)
        if text is not None:
            return directive.padded(text)
    natural = directive.replace(verb=NATURAL_VERBS.get(type(value), "s"))
    return f"%!{verb}({type_name(value)}={_scalar(value, natural)})"


def _integer(value: int, directive: Directive) -> str:
    verb, precision = directive.verb, directive.precision
    if precision is not None:
        # It says how many digits there are, so that zeros do not fill the width too.
        directive = directive.replace(flags=directive.flags.replace("0", ""))
        if precision == 0 and value == 0:
            return directive.padded("")
    digits = format(abs(value), INTEGER_VERBS[verb]).rjust(precision or 0, "0")
    if verb == "O":
        digits = f"0o{digits}"
    elif "#" in directive.flags:
        prefix = "0" if verb == "o" and digits[0] != "0" else PREFIXES.get(verb, "")
        digits = prefix + digits
    return directive.padded(directive.sign(negative=value < 0) + digits, number=True)


def _character(value: int, directive: Directive) -> str:
    character = chr(value) if 0 <= value <= 0x10FFFF else "\ufffd"
    if directive.verb == "c":
        return directive.padded(character)
    if directive.verb == "q":
        return directive.padded(quoted_rune(value))
    text = f"U+{value:0{max(4, directive.precision or 0)}X}"
    if "#" in directive.flags and character.isprintable():
        text += f" '{character}'"
    return directive.replace(flags=directive.flags.replace("0", "")).padded(text)


def _float(value: float, directive: Directive) -> str:
    verb, precision = directive.verb, directive.precision
    if not math.isfinite(value):
        text = shortest_float(value)
        text = text if "+" in directive.flags else text.lstrip("+")
        return directive.replace(flags=directive.flags.replace("0", "")).padded(text)
    if verb in {"g", "G"} and precision is None:
        text = shortest_float(abs(value))
        text = text.upper() if verb == "G" else text
    elif verb in {"g", "G"}:
        text = format(abs(value), f".{precision or 1}{verb}")
    else:
        text = format(abs(value), f".{6 if precision is None else precision}{verb}")
    sign = directive.sign(negative=math.copysign(1, value) < 0)
    return directive.padded(sign + text, number=True)


def _string(value: str, directive: Directive) -> str | None:
    verb, flags = directive.verb, directive.flags
    cut = directive.cut(value)
    if verb == "s":
        return cut
    if verb == "q":
        raw = "#" in flags and "`" not in cut and all(c.isprintable() or c == "\t" for c in cut)
        return f"`{cut}`" if raw else quoted(cut)
    if verb in {"x", "X"}:
        data = value.encode("utf-8", "surrogateescape")[: directive.precision]
        text = data.hex(" ") if " " in flags else data.hex()
        if "#" in flags and data:
            text = "0x" + text.replace(" ", " 0x")
        return text.upper() if verb == "X" else text
    return None


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
    if isinstance(value, dict):
        pairs = (f"{quoted(key)}:{go_syntax(value[key])}" for key in sorted(value))
        return type_name(value) + "{" + ", ".join(pairs) + "}"
    return shown(value)
