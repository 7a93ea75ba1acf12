"""The shell patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`.

`*` stands for any text, `?` for one character, a backslash takes the meaning from `*`, `?` and
itself. A regular expression would do the same in a line, but one with several stars can take
exponential time in Python; here a pattern is cut at its stars, and its pieces are looked for one
after the other, which for such patterns is enough.
"""

from __future__ import annotations

import re

from tierce.errors import InvalidValue

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable

_ANY = ""
"""Stands for `?` in a piece, where every other item is one character."""

Piece = list[str]
"""What is between two stars."""


def remove_prefix(pattern: str, value: str, *, longest: bool) -> str:
    """The value without what the pattern matches at its start. Raises InvalidValue."""
    end = _match_end(_pieces(pattern), value, 0, longest=longest)
    return value if end is None else value[end:]


def remove_suffix(pattern: str, value: str, *, longest: bool) -> str:
    """The value without what the pattern matches at its end. Raises InvalidValue."""
    backwards = [piece[::-1] for piece in _pieces(pattern)][::-1]
    end = _match_end(backwards, value[::-1], 0, longest=longest)
    return value if end is None else value[: len(value) - end]


def replace_first(pattern: str, value: str, text: str) -> str:
    """The value with the leftmost, longest match of the pattern replaced. Raises InvalidValue."""
    found = _search(_pieces(pattern), value, 0)
    if found is None:
        return value
    start, end = found
    return value[:start] + text + value[end:]


def replace_all(pattern: str, value: str, text: str, spend: Callable[[int], None]) -> str:
    """The value with every match replaced; `spend` is told how much is written, and may raise.

    As in Go's regexp package, an empty match right behind another match does not count.
    """
    pieces = _pieces(pattern)
    if len(pieces) == 1 and pieces[0] and _ANY not in pieces[0]:
        literal = "".join(pieces[0])
        spend(value.count(literal) * len(text))
        return value.replace(literal, text)
    parts: list[str] = []
    position = done = 0
    while position <= len(value):
        found = _search(pieces, value, position)
        if found is None:
            break
        start, end = found
        parts.append(value[done:start])
        if end > done or start == 0:
            spend(len(text) + 64)  # 64: the time that one turn of this loop takes
            parts.append(text)
        done = end
        position = max(end, position + 1)
    parts.append(value[done:])
    return "".join(parts)


def _pieces(pattern: str) -> list[Piece]:
    """The pattern, cut at its stars."""
    pieces: list[Piece] = [[]]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            pieces.append([])
        elif character == "?":
            pieces[-1].append(_ANY)
        elif character == "\\":
            escaped = pattern[position : position + 1]
            if escaped not in ("}", "/", "*", "?", "\\") or not escaped:
                raise InvalidValue(
                    f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'",
                    value=pattern,
                )
            pieces[-1].append(escaped)
            position += 1
        else:
            pieces[-1].append(character)
    return pieces


def _search(pieces: list[Piece], value: str, position: int) -> tuple[int, int] | None:
    """The leftmost and longest match at or after a position: (start, end)."""
    start = _find(pieces[0], value, position)
    if start < 0:
        return None
    # When the rest is not found behind the first place of piece 0, it is behind none.
    end = _match_end(pieces, value, start, longest=True)
    return None if end is None else (start, end)


def _match_end(pieces: list[Piece], value: str, start: int, *, longest: bool) -> int | None:
    """Where a match that begins at `start` ends, or None."""
    first, rest = pieces[0], pieces[1:]
    if _find(first, value[start : start + len(first)], 0) != 0:
        return None
    position = start + len(first)
    # As early as possible leaves the most for those that follow, and is also the shortest.
    for piece in rest[:-1]:
        found = _find(piece, value, position)
        if found < 0:
            return None
        position = found + len(piece)
    if not rest:
        return position
    last = rest[-1]
    found = _find_last(last, value, position) if longest else _find(last, value, position)
    return None if found < 0 else found + len(last)


def _find(piece: Piece, value: str, position: int) -> int:
    if _ANY not in piece:
        return value.find("".join(piece), position)
    match = _expression(piece).search(value, position)
    return -1 if match is None else match.start()


def _find_last(piece: Piece, value: str, position: int) -> int:
    if _ANY not in piece:
        return value.rfind("".join(piece), position)
    match = _expression(piece[::-1]).search(value[position:][::-1])
    return -1 if match is None else len(value) - match.end()


def _expression(piece: Piece) -> re.Pattern[str]:
    """A piece with `?` in it; without stars there is nothing to go back for."""
    return re.compile(
        "".join(["." if each == _ANY else re.escape(each) for each in piece]), re.DOTALL
    )
