"""The nearest of the words that would have been right, for "did you mean …?"."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterable

_TOO_FAR = 3
"""Edits at which two words have nothing to do with each other; BuildKit's measure."""


def nearest(word: str, candidates: Iterable[str], *, ignore_case: bool = False) -> str:
    """The candidate with the fewest edits from the word, or "" when none is near.

    "" also when the word is one of them, as then something else is wrong with it. With
    `ignore_case` the answer is written in the case of the word.
    """
    wanted = word.lower() if ignore_case else word
    best, best_distance = "", _TOO_FAR
    for candidate in candidates:
        known = candidate.lower() if ignore_case else candidate
        if known == wanted:
            return ""
        distance = _distance(wanted, known, best_distance)
        if distance < best_distance:
            best, best_distance = known, distance
    return best.upper() if ignore_case and word.isupper() else best


def did_you_mean(word: str, candidates: Iterable[str], *, ignore_case: bool = False) -> str:
    """` (did you mean x?)`, to be put behind an error, or ""."""
    found = nearest(word, candidates, ignore_case=ignore_case)
    return f" (did you mean {found}?)" if found else ""


def _distance(left: str, right: str, limit: int) -> int:
    """Levenshtein distance, or `limit` when it is at least that."""
    if abs(len(left) - len(right)) >= limit:
        return limit
    row = list(range(len(right) + 1))
    for i, character in enumerate(left, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (character != other)),
            )
        if min(row) >= limit:
            return limit
    return min(row[-1], limit)
