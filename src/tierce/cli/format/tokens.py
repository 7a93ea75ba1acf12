"""The words of a template: text outside `{{ }}`, and what is inside them."""

from __future__ import annotations

from tierce.cli.format.printing import quoted
from tierce.cli.format.values import FormatError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT, RIGHT = "{{", "}}"
SPACES = " \t\r\n"
KEYWORDS = frozenset("block break continue define else end if nil range template with".split())
# What may follow a name, next to space and the right delimiter.
TERMINATORS = ".,|:)("


class Token:
    """`kind` is one of text, {{, }}, space, keyword, name, field, variable, string, number,
    character, bool, char (a mark of one letter), =, :=, |, (, ), dot, error, end.

    The text of an error is its message. `position` counts characters of the template.
    """

    __slots__ = ("kind", "position", "text")

    def __init__(self, kind: str, text: str, position: int) -> None:
        self.kind = kind
        self.text = text
        self.position = position

    def __str__(self) -> str:
        """The token in error messages."""
        if self.kind == "end":
            return "EOF"
        if self.kind == "error":
            return self.text
        if self.kind in {"keyword", "dot"}:
            return f"<{self.text}>"
        if len(self.text) > 10:
            return quoted(self.text[:10]) + "..."
        return quoted(self.text)


def tokenize(template: str) -> list[Token]:
    """All tokens; the last one has the kind "end" or "error"."""
    return _Lexer(template).run()


def unquote(text: str) -> str:
    """The text that a string constant stands for; FormatError if it is not one."""
    if text[0] == "`":
        return text[1:-1].replace("\r", "")
    return "".join(_unescaped(text[1:-1], '"'))


def rune(text: str) -> int:
    """The number of a character constant; FormatError if it is not one."""
    characters = list(_unescaped(text[1:-1], "'"))
    if len(characters) != 1:
        raise FormatError(f"malformed character constant: {text}")
    return ord(characters[0])


def is_name_character(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()


class _Lexer:
    """One pass over a template."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.position = 0
        self.start = 0
        self.depth = 0
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        try:
            while self.outside():
                while self.inside():
                    pass
        except FormatError as error:
            self.tokens.append(Token("error", error.message, self.start))
        else:
            self.tokens.append(Token("end", "", self.position))
        return self.tokens

    def emit(self, kind: str) -> None:
        text = self.template[self.start : self.position]
        self.tokens.append(Token(kind, text, self.start))
        self.start = self.position

    def peek(self) -> str:
        """The next character, or an empty text at the end."""
        return self.template[self.position : self.position + 1]

    def at(self, text: str, offset: int = 0) -> bool:
        return self.template.startswith(text, self.position + offset)

    def outside(self) -> bool:
        """Text up to a left delimiter, and that delimiter or comment; False at the end."""
        found = self.template.find(LEFT, self.position)
        if found < 0:
            self.position = len(self.template)
            if self.position > self.start:
                self.emit("text")
            return False
        trims = self.trims_left(found + len(LEFT))
        text = self.template[self.start : found]
        self.position = self.start + len(text.rstrip(SPACES) if trims else text)
        if self.position > self.start:
            self.emit("text")
        self.start = found
        self.position = found + len(LEFT)
        marker = 2 if trims else 0
        if self.at("/*", marker):
            self.start = self.position = self.position + marker
            self.comment()
            return self.outside()
        self.emit("{{")
        self.start = self.position = self.position + marker
        self.depth = 0
        return True

    def trims_left(self, position: int) -> bool:
        marker = self.template[position : position + 2]
        return len(marker) == 2 and marker[0] == "-" and marker[1] in SPACES

    def comment(self) -> None:
        end = self.template.find("*/", self.position + 2)
        if end < 0:
            raise FormatError("unclosed comment")
        self.position = end + 2
        trim = self.right_delimiter()
        if trim is None:
            raise FormatError("comment ends before closing delimiter")
        self.skip_right_delimiter(trim)

    def right_delimiter(self) -> bool | None:
        """Whether the right delimiter that is here trims; None if there is none."""
        if self.at(RIGHT):
            return False
        if self.peek() in SPACES and self.at("-" + RIGHT, 1) and self.peek():
            return True
        return None

    def skip_right_delimiter(self, trim: bool) -> None:
        self.position += len(RIGHT) + (2 if trim else 0)
        while trim and self.peek() and self.peek() in SPACES:
            self.position += 1
        self.start = self.position

    def inside(self) -> bool:
        """One token of an action; False after the right delimiter."""
        trim = self.right_delimiter()
        if trim is not None:
            if self.depth:
                raise FormatError("unclosed left paren")
            self.position += 2 if trim else 0
            self.start = self.position
            self.tokens.append(Token("}}", RIGHT, self.position))
            self.position -= 2 if trim else 0
            self.skip_right_delimiter(trim)
            return False
        character = self.peek()
        if not character:
            raise FormatError("unclosed action")
        if character in SPACES:
            self.space()
        elif character in "\"'`":
            self.constant(character)
        elif character in ".$":
            self.field_or_variable(character)
        elif character in "+-" or character in "0123456789":
            self.number()
        elif is_name_character(character):
            self.name()
        else:
            self.mark(character)
        return True

    def space(self) -> None:
        while self.peek() and self.peek() in SPACES and self.right_delimiter() is None:
            self.position += 1
        self.emit("space")

    def mark(self, character: str) -> None:
        self.position += 1
        if character == ":":
            if self.peek() != "=":
                raise FormatError("expected :=")
            self.position += 1
            self.emit(":=")
        elif character in "=|":
            self.emit(character)
        elif character in "()":
            self.emit(character)
            self.depth += 1 if character == "(" else -1
            if self.depth < 0:
                raise FormatError("unexpected right paren U+0029 ')'")
        elif character.isascii() and character.isprintable():
            self.emit("char")
        else:
            raise FormatError(f"unrecognized character in action: {_named(character)}")

    def constant(self, quote: str) -> None:
        self.position += 1
        what = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}[quote]
        while self.peek() != quote:
            if quote != "`" and self.peek() == "\\":
                self.position += 1
            if not self.peek() or (quote != "`" and self.peek() == "\n"):
                raise FormatError(f"unterminated {what}")
            self.position += 1
        self.position += 1
        self.emit("character" if quote == "'" else "string")

    def field_or_variable(self, first: str) -> None:
        after = self.template[self.position + 1 : self.position + 2]
        if first == "." and after and after in "0123456789":
            self.number()
            return
        self.position += 1
        if self.at_terminator():
            self.emit("variable" if first == "$" else "dot")
            return
        self.take_name()
        self.emit("variable" if first == "$" else "field")

    def name(self) -> None:
        self.take_name()
        word = self.template[self.start : self.position]
        if word in KEYWORDS:
            self.emit("keyword")
        else:
            self.emit("bool" if word in {"true", "false"} else "name")

    def take_name(self) -> None:
        while self.peek() and is_name_character(self.peek()):
            self.position += 1
        if not self.at_terminator():
            raise FormatError(f"bad character {_named(self.peek())}")

    def at_terminator(self) -> bool:
        character = self.peek()
        return not character or character in SPACES + TERMINATORS or self.at(RIGHT)

    def number(self) -> None:
        """Digits as they come; whether they make a number is for the parser to say."""
        sign = self.peek() in {"+", "-"}
        self.position += sign
        digits = "0123456789_"
        exponents = "eE"
        if self.peek() == "0":
            self.position += 1
            base = self.peek()
            if base and base in "xXoObB":
                self.position += 1
                digits = {"x": "0123456789abcdefABCDEF_", "o": "01234567_", "b": "01_"}[
                    base.lower()
                ]
                exponents = "pP" if base in "xX" else ""
        self.take(digits)
        if self.peek() == ".":
            self.position += 1
            self.take(digits)
        if self.peek() and self.peek() in exponents:
            self.position += 1
            self.position += self.peek() in {"+", "-"}
            self.take("0123456789_")
        self.take("i")  # as of an imaginary number, which templates have no use for
        if self.peek() and (is_name_character(self.peek()) or self.peek() in "+-"):
            self.position += 1
            bad = self.template[self.start : self.position]
            raise FormatError(f"bad number syntax: {quoted(bad)}")
        self.emit("number")

    def take(self, characters: str) -> None:
        while self.peek() and self.peek() in characters:
            self.position += 1


def _named(character: str) -> str:
    """A character as Go names it in errors."""
    if not character:
        return "U+FFFFFFFFFFFFFFFF"
    shown = f" '{character}'" if character.isprintable() else ""
    return f"U+{ord(character):04X}{shown}"


def _unescaped(text: str, quote: str) -> Iterator[str]:
    """The characters that the inside of a constant stands for."""
    names = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
    names |= {"\\": "\\", quote: quote}
    lengths = {"x": 2, "u": 4, "U": 8}
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character != "\\":
            yield character
            continue
        kind = text[position : position + 1]
        position += 1
        if kind in names:
            yield names[kind]
            continue
        start = position if kind in lengths else position - 1
        end = start + lengths.get(kind, 3)
        figures, base = text[start:end], 16 if kind in lengths else 8
        position = end
        if len(figures) != end - start or not all(
            c in "0123456789abcdefABCDEF"[: base if base == 8 else None] for c in figures
        ):
            raise FormatError("invalid syntax")
        code = int(figures, base)
        if kind in "uU":
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise FormatError("invalid syntax")
            yield chr(code)
        elif code > 0xFF:
            raise FormatError("invalid syntax")
        else:
            # A byte: of a character in UTF-8, or one that is none (PEP 383).
            yield chr(code) if code < 0x80 else chr(0xDC00 + code)
