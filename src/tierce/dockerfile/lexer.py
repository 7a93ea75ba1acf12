"""Cuts one logical line into its parts: keyword, flags, words, JSON lists, heredocs."""

from __future__ import annotations

import json
import re

from tierce.dockerfile import words
from tierce.dockerfile.gotext import SPACES, well_formed
from tierce.errors import InvalidValue
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from typing import Any

_blanks = re.compile(r"[\t\v\f\r ]+")
_heredoc = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)")

_HEREDOC_WORDS = words.Rules(raw_quotes=True, raw_escapes=True, keep_unset=True)
_HEREDOC_NAME = words.Rules(keep_unset=True)
_HEREDOC_RAW_NAME = words.Rules(keep_unset=True, raw_quotes=True)


class SyntaxMistake(InvalidValue):
    """A line that cannot be cut into words. BuildKit finds these before all other mistakes."""


class NotStrings(SyntaxMistake):
    """A JSON list that holds something else than strings."""


class Heredoc(Value):
    """A document that follows an instruction, up to a line that is its name.

    `expand`: variables in it count, as the name is not quoted. `chomp` (`<<-`): tabs at the start
    of its lines do not. `content` has them still, and ends with a newline unless it is empty.
    """

    name: str
    expand: bool = True
    chomp: bool = False
    descriptor: int = 0
    content: str = ""

    @property
    def text(self) -> str:
        """The content as it is meant, without what `<<-` takes away."""
        return re.sub(r"(?m)^\t+", "", self.content) if self.chomp else self.content


def split_blanks(text: str, maximum: int = 0) -> list[str]:
    """Cut at runs of blanks, quotes or not; at most `maximum` times, unless that is 0."""
    return _blanks.split(text, maximum)


def strip(text: str) -> str:
    """Without the white space around it."""
    return text.strip(SPACES)


def split_line(line: str, escape: str) -> tuple[str, tuple[str, ...], str]:
    """(keyword, flags, arguments) of a logical line; flags are without quotes and escapes."""
    parts = split_blanks(strip(line), 1)
    if len(parts) < 2:
        return parts[0], (), ""
    flags, arguments = _split_flags(parts[1], escape)
    return parts[0], flags, strip(arguments)


def _split_flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The words that begin with `--`, and what is behind them; a `--` alone ends them."""
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in SPACES:
            position += 1
        if not text.startswith("--", position):
            return tuple(flags), text[position:]
        flag, position = _flag(text, position, escape)
        if flag == "--":
            return tuple(flags), text[position:]
        flags.append(flag)


def _flag(text: str, position: int, escape: str) -> tuple[str, int]:
    """The flag that begins at a position, and where it ends."""
    parts: list[str] = []
    quote = ""
    while position < len(text):
        character = text[position]
        position += 1
        if character == escape:
            parts.append(text[position : position + 1])  # an escape at the end is dropped
            position += 1
        elif quote:
            if character == quote:
                quote = ""
            else:
                parts.append(character)
        elif character in SPACES:
            position -= 1
            break
        elif character in "'\"":
            quote = character
        else:
            parts.append(character)
    return "".join(parts), position


def split_words(text: str, escape: str) -> list[str]:
    """Cut at white space that is neither quoted nor escaped; quotes and escapes stay."""
    found: list[str] = []
    word: list[str] = []
    quote = ""
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if not quote and character in SPACES:
            if word:
                found.append("".join(word))
                word = []
            continue
        if character == escape and quote != "'":
            if position == len(text):
                break  # an escape at the end is dropped
            character += text[position]
            position += 1
        elif quote:
            if character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        word.append(character)
    if word:
        found.append("".join(word))
    return found


def string_list(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON list, the exec form of a command; None when it is no JSON list.

    Raises NotStrings.
    """
    text = text.lstrip(SPACES)
    if not text.startswith("["):
        return None
    try:
        items: list[Any] = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in items):
        raise NotStrings(
            "when using JSON array syntax, arrays must be comprised of strings only", value=text
        )
    return tuple([well_formed(item) for item in items])


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def heredocs(line: str) -> list[Heredoc]:
    """The heredocs that a logical line announces, still without content. Raises InvalidValue."""
    try:
        # Whatever the escape directive says: heredocs are the shell's.
        found = words.split(line, {}, _HEREDOC_WORDS)
    except InvalidValue:
        return []  # a quote without its end is the shell's business
    announced = [heredoc_word(word) for word in found]
    return [heredoc for heredoc in announced if heredoc is not None]


def heredoc_word(word: str) -> Heredoc | None:
    """`<<name`, `<<-name`, `3<<"name"`; None when the word is something else.

    Raises InvalidValue for a quote without its end.
    """
    match = _heredoc.fullmatch(word)
    if match is None or not match[3]:
        return None
    descriptor, dash, rest = match.groups()
    names = words.split(rest, {}, _HEREDOC_NAME)
    if len(names) != 1:
        return None
    raw_names = words.split(rest, {}, _HEREDOC_RAW_NAME)
    # Quotes that go away when they are read are quotes: then variables do not count inside.
    expand = _count_quotes(names) == _count_quotes(raw_names)
    return Heredoc(names[0], expand, dash == "-", int(descriptor[:9] or "0"))


def _count_quotes(names: list[str]) -> int:
    return sum(name.count("'") + name.count('"') for name in names)
