"""Quotes, escapes and variables, as a shell would read them (BuildKit's shell lexer).

'text'        text as it stands
"text"        text in which variables count, and the escape before " $ and itself
\\c            c as it stands, whatever it is; the escape character may also be `
$name ${name}
${name:-word} the word, when the variable is unset or empty    ${name-word}  when it is unset
${name:+word} the word, when it is set and not empty           ${name+word}  when it is set
${name:?word} an error, when it is unset or empty              ${name?word}  when it is unset
${name#pattern} ${name##pattern}    without the shortest, longest prefix that matches
${name%pattern} ${name%%pattern}    without the shortest, longest suffix that matches
${name/pattern/text} ${name//pattern/text}    with the first match, every match replaced
"""

from __future__ import annotations

import re

from tierce.dockerfile import wildcards
from tierce.dockerfile.gotext import SPACES, quote
from tierce.errors import InvalidValue
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping

SUBSTITUTION_LIMIT = 1 << 20
"""Characters that the variables of one text may bring. The kernel takes 128 KiB for one argument
or variable; without a limit forty lines that each double a value would fill the memory."""

DEPTH_LIMIT = 100
"""Substitutions inside one another (`${a:-${b:-…}}`)."""

_plain = re.compile(r"""[^$'"<}/\\`]+""")
_digits = re.compile(r"\d+")
_name = re.compile(r"[^\W\d]\w*")
_special_parameters = frozenset("@*#?-$!")


class Rules(Value):
    """How a text is read.

    `raw_quotes` and `raw_escapes` leave these characters in the result; `plain_quotes` gives
    quotes no meaning at all; `keep_unset` leaves references to unset variables as they are.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    plain_quotes: bool = False
    keep_unset: bool = False
    limit: int = SUBSTITUTION_LIMIT


NORMAL = Rules()


class References:
    """The names of the variables that a text asked for: those that were set, and the others."""

    __slots__ = ("found", "missing")

    def __init__(self) -> None:
        self.found: dict[str, None] = {}
        self.missing: dict[str, None] = {}


def expand(
    text: str,
    variables: Mapping[str, str],
    rules: Rules = NORMAL,
    references: References | None = None,
) -> str:
    """The text with variables replaced, quotes and escapes taken away.

    `references` is told which variables the text asks for, also when it makes no sense. Raises
    InvalidValue: a quote or brace without its end, a bad substitution, `${name:?}`.
    """
    if not _has_meaning(text, rules):
        return text
    return _Reader(text, variables, rules, references=references).read()


def split(text: str, variables: Mapping[str, str], rules: Rules = NORMAL) -> list[str]:
    """The words of the text, cut at white space that is not quoted, after replacing variables.

    Raises InvalidValue as `expand`.
    """
    words = _Words()
    _Reader(text, variables, rules, words).read()
    return words.finish()


def _has_meaning(text: str, rules: Rules) -> bool:
    return (
        "$" in text
        or rules.escape in text
        or (not rules.plain_quotes and ("'" in text or '"' in text))
    )


class _Words:
    """Collects words from text in which white space divides, and from quoted text."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._word: list[str] = []

    def add(self, text: str) -> None:
        for character in text:
            if character in SPACES:
                self._end_word()
            else:
                self._word.append(character)

    def add_quoted(self, text: str) -> None:
        self._word.append(text)

    def finish(self) -> list[str]:
        self._end_word()
        return self._words

    def _end_word(self) -> None:
        # A word of nothing but empty quotes vanishes, as in BuildKit.
        if word := "".join(self._word):
            self._words.append(word)
        self._word = []


class _Reader:
    """Reads one text; `words` collects its words, where they are wanted."""

    def __init__(
        self,
        text: str,
        variables: Mapping[str, str],
        rules: Rules,
        words: _Words | None = None,
        references: References | None = None,
    ) -> None:
        self._text = text
        self._variables = variables
        self._rules = rules
        self._words = words
        self._references = references
        self._position = 0
        self._depth = 0
        self._spent = 0

    def read(self) -> str:
        try:
            return self._until("", self._rules.raw_escapes, self._words)
        except InvalidValue as error:
            shown = self._text if len(self._text) <= 200 else self._text[:200] + "…"
            message = f"failed to process {quote(shown)}: {error.message}"
            raise InvalidValue(message, value=self._text, hint=error.hint) from None

    def _until(self, stop: str, raw_escapes: bool, words: _Words | None = None) -> str:
        """Everything up to `stop`, which is consumed; without one, all the rest of the text."""
        text = self._text
        parts: list[str] = []
        while self._position < len(text):
            if plain := _plain.match(text, self._position):
                self._position = plain.end()
                parts.append(plain[0])
                if words is not None:
                    words.add(plain[0])
                continue
            character = text[self._position]
            if character == stop:
                self._position += 1
                return "".join(parts)
            if character == "$":
                part = self._dollar(raw_escapes)
                if words is not None:
                    words.add(part)
            else:
                part = self._special(character, raw_escapes, words)
            parts.append(part)
        if stop:
            raise _Unfinished(f"unexpected end of statement while looking for matching {stop}")
        return "".join(parts)

    def _special(self, character: str, raw_escapes: bool, words: _Words | None) -> str:
        """A quoted text, an escaped character, or one that has no meaning here."""
        quoted = True
        if character == "'" and not self._rules.plain_quotes:
            part = self._single_quoted()
        elif character == '"' and not self._rules.plain_quotes:
            part = self._double_quoted(raw_escapes)
        elif character == "<":
            part = self._less_than()
        else:
            self._position += 1
            part = character
            quoted = False
            if character == self._rules.escape:
                part = self._text[self._position : self._position + 1]
                self._position += 1
                quoted = True
                if raw_escapes:
                    part = character + part
        if words is not None:
            if quoted:
                words.add_quoted(part)
            else:
                words.add(part)
        return part

    def _less_than(self) -> str:
        """`<`, or `<<` with the white space behind it: that belongs to the word of a heredoc."""
        start = self._position
        self._position += 1
        if self._text[self._position : self._position + 1] == "<":
            self._position += 1
            while self._text[self._position : self._position + 1] in ("\t", "\r", " "):
                self._position += 1
        return self._text[start : self._position]

    def _single_quoted(self) -> str:
        start = self._position
        end = self._text.find("'", start + 1)
        if end < 0:
            self._position = len(self._text)
            raise _Unfinished("unexpected end of statement while looking for matching single-quote")
        self._position = end + 1
        return (
            self._text[start : end + 1] if self._rules.raw_quotes else self._text[start + 1 : end]
        )

    def _double_quoted(self, raw_escapes: bool) -> str:
        text, escape = self._text, self._rules.escape
        quotes = '"' if self._rules.raw_quotes else ""
        parts = [quotes]
        self._position += 1
        while self._position < len(text):
            character = text[self._position]
            if character == '"':
                self._position += 1
                parts.append(quotes)
                return "".join(parts)
            if character == "$":
                parts.append(self._dollar(raw_escapes))
                continue
            self._position += 1
            if character == escape:
                following = text[self._position : self._position + 1]
                if raw_escapes:
                    parts.append(character)
                if following in ('"', "$", escape):
                    self._position += 1
                    character = following
            parts.append(character)
        raise _Unfinished("unexpected end of statement while looking for matching double-quote")

    def _dollar(self, raw_escapes: bool) -> str:
        """The variable at a `$`."""
        self._position += 1
        if self._text[self._position : self._position + 1] == "{":
            self._position += 1
            self._depth += 1
            if self._depth > DEPTH_LIMIT:
                raise InvalidValue(f"more than {DEPTH_LIMIT} substitutions inside one another")
            result = self._braces()
            self._depth -= 1
            return result
        name = self._name()
        if not name:
            return "$"
        value = self._value(name)
        if value is None:
            return f"${name}" if self._rules.keep_unset else ""
        self._spend(len(value))
        return value

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        if self._references is not None:
            asked = self._references.missing if value is None else self._references.found
            asked[name] = None
        return value

    def _name(self) -> str:
        """A name, the digits of a positional parameter, a special parameter, or ""."""
        text, position = self._text, self._position
        match = _name.match(text, position) or _digits.match(text, position)
        if match is not None:
            self._position = match.end()
            return match[0]
        if text[position : position + 1] in _special_parameters:
            self._position += 1
            return text[position]
        return ""

    def _next(self) -> str:
        """The next character, consumed, or "" at the end."""
        character = self._text[self._position : self._position + 1]
        self._position += 1
        return character

    def _braces(self) -> str:
        """The substitution behind `${`."""
        if self._position >= len(self._text):
            raise _Unfinished("syntax error: missing '}'")
        if self._text[self._position] in "{}:":
            raise InvalidValue("syntax error: bad substitution")
        name = self._name()
        operator = self._next()
        if operator == "}":
            value = self._value(name)
            if value is None:
                return f"${{{name}}}" if self._rules.keep_unset else ""
            self._spend(len(value))
            return value
        if operator == "/":
            return self._replacement(name)
        colon = operator == ":"
        if colon:
            operator = self._next()
        if not operator:
            raise _Unfinished("syntax error: missing '}'")
        shown = f":{operator}" if colon else operator
        unsupported = InvalidValue(f"unsupported modifier ({shown}) in substitution")
        if operator in "#%" if colon else operator not in "-+?#%":
            raise unsupported
        word = self._part("}", "missing '}'", raw_escapes=operator in "#%")
        value = self._value(name)
        if value is None and self._rules.keep_unset:
            return f"${{{name}{shown}{word}}}"
        if operator not in "-+?#%":
            raise unsupported  # only now, as in BuildKit
        if operator in "#%":
            return self._trimmed(operator, word, value or "")
        return self._choose(operator, name, word, value, colon)

    def _choose(
        self, operator: str, name: str, word: str, value: str | None, empty_is_unset: bool
    ) -> str:
        """`-`, `+` and `?`: what counts is whether the variable is set."""
        is_set = value is not None and not (empty_is_unset and value == "")
        if operator == "+":
            return word if is_set else ""
        if value is not None and is_set:
            self._spend(len(value))
            return value
        if operator == "-":
            return word
        what = "unset" if value is None else "empty"
        raise InvalidValue(f"{name}: {word or f'is not allowed to be {what}'}")

    def _trimmed(self, operator: str, word: str, value: str) -> str:
        """`#` and `%`, the longest match when the operator is doubled."""
        longest = word.startswith(operator)
        pattern = word[1:] if longest else word
        self._spend(len(value) + len(pattern))
        if operator == "#":
            return wildcards.remove_prefix(pattern, value, longest=longest)
        return wildcards.remove_suffix(pattern, value, longest=longest)

    def _replacement(self, name: str) -> str:
        """`/pattern/text`, every match when the slash is doubled."""
        everywhere = self._text[self._position : self._position + 1] == "/"
        if everywhere:
            self._position += 1
        pattern = self._part("/", "missing '/' in ${}", raw_escapes=True)
        text = self._part("}", "missing '}'", raw_escapes=True)
        value = self._value(name)
        if value is None:
            return f"${{{name}/{pattern}/{text}}}" if self._rules.keep_unset else ""
        self._spend(len(value) + len(pattern) + len(text))
        if everywhere:
            return wildcards.replace_all(pattern, value, text, self._spend)
        return wildcards.replace_first(pattern, value, text)

    def _part(self, stop: str, missing: str, *, raw_escapes: bool) -> str:
        """A word inside braces, up to `stop`."""
        try:
            return self._until(stop, raw_escapes)
        except _Unfinished:
            raise _Unfinished(f"syntax error: {missing}") from None

    def _spend(self, characters: int) -> None:
        self._spent += characters
        if self._spent > self._rules.limit:
            raise InvalidValue(f"its variables expand to more than {self._rules.limit} characters")


class _Unfinished(InvalidValue):
    """The text ends inside something that has an end."""
