"""Wildcards in the sources of COPY: the patterns of Go's filepath.Match."""

from __future__ import annotations

import re

from tierce.errors import BuildError
from tierce.graph.globs import (
    ANY,
    STAR,
    Automaton,
    Token,
    expression,
    is_simple,
    literal,
    simplified,
)

_WILDCARD = r"(?:^|[^\\])(?:\\\\)*[*?\[]"


def split_wildcards(path: str) -> tuple[str, str]:
    """The leading parts of a path without wildcards, and the rest."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if has_wildcards(part):
            return "/".join(parts[:index]), "/".join(parts[index:])
    return path, ""


def has_wildcards(text: str) -> bool:
    """Whether Go's filepath.Match would see more than literal characters."""
    if "*" not in text and "?" not in text and "[" not in text:
        return False
    return re.search(_WILDCARD, text, re.DOTALL) is not None


def compile_pattern(pattern: str) -> Automaton | re.Pattern[str]:
    """Something whose `fullmatch` says what Go's filepath.Match does.

    Raises BuildError for a pattern that Go calls malformed.
    """
    tokens = simplified(_tokens(pattern))
    if is_simple(tokens):
        return re.compile(expression(tokens), re.DOTALL)
    return Automaton(tokens)


def _tokens(pattern: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            tokens.append(STAR)
        elif char == "?":
            tokens.append(ANY)
        elif char == "[":
            text, at = _character_class(pattern, at)
            tokens.append(Token(text))
        else:
            if char == "\\":
                if at == len(pattern):
                    raise _malformed(pattern)
                char = pattern[at]
                at += 1
            tokens.append(literal(char))
    return tokens


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    """The class that begins at `at`, after "[", and where the rest begins."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    count = 0
    while count == 0 or not pattern.startswith("]", at):
        low, at = _character(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _character(pattern, at + 1)
        count += 1
        if low <= high:  # an empty range is no error, and matches nothing
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    inside = "".join(ranges)
    if negated:
        # Unlike * and ?, a negated class matches a slash too; here it never meets one, as the
        # depth of what is compared is that of the pattern.
        return (f"[^{inside}]" if inside else "(?s:.)"), at + 1
    return (f"[{inside}]" if inside else "(?!)"), at + 1


def _character(pattern: str, at: int) -> tuple[str, int]:
    """The character of a class at `at`, escaped or not, and what follows it."""
    if pattern.startswith("\\", at):
        at += 1
    elif pattern.startswith(("-", "]"), at):
        raise _malformed(pattern)
    if at + 1 >= len(pattern):  # the class has to be closed, too
        raise _malformed(pattern)
    return pattern[at], at + 1


def _malformed(pattern: str) -> BuildError:
    return BuildError(f"syntax error in pattern: {pattern}")
