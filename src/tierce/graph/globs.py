"""What the two kinds of path patterns are made of, and how they are matched in bounded time.

A pattern becomes tokens. As a regular expression these are quick, but Python's tries every way to
share a path among the repetitions in it: with many of them, a short pattern takes forever. Such
a pattern is matched by following all ways at once instead.
"""

from __future__ import annotations

import re

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_REPETITIONS = 2
"""How many repetitions that depend on each other a regular expression may have: its time is the
length of what is matched to that power."""


_MAX_CHARACTERS = 1000
"""How many characters an automaton remembers the effect of."""


class Token(Value):
    """A regular expression for one character, or for any number of them.

    What repeats is `inner`, a regular expression for one character, until `end`, a character or
    nothing, which goes with it; then the whole of it may be missing, too.
    """

    text: str
    inner: str = ""
    end: str = ""


STAR = Token("[^/]*", "[^/]")
ANY = Token("[^/]")
DIRECTORIES = Token("(?:.*/)?", ".", "/")
ALL = Token("(?s:.*)", "(?s:.)")


def literal(character: str) -> Token:
    return Token(re.escape(character))


def simplified(tokens: Sequence[Token]) -> list[Token]:
    """The same tokens, without repetitions that follow their like."""
    return [
        token
        for index, token in enumerate(tokens)
        if not (token.inner and index and tokens[index - 1] == token)
    ]


def is_simple(tokens: Sequence[Token]) -> bool:
    """Whether a regular expression is quick enough.

    A star that is alone in its component has only one way to match; unless there is something
    else that a slash may match.
    """
    separates = not any(token.text[0] == "[" and _matches_slash(token) for token in tokens)
    repetitions = 0
    is_alone = separates
    for token in tokens:
        if token.text == "/":
            is_alone = separates
        elif token.inner and token != ALL:
            repetitions += not is_alone or bool(token.end)
            is_alone = is_alone and bool(token.end)
    return repetitions <= MAX_REPETITIONS


def _matches_slash(token: Token) -> bool:
    return not token.inner and token != ANY and re.fullmatch(token.text, "/") is not None


def expression(tokens: Sequence[Token]) -> str:
    """The tokens as one regular expression, for `fullmatch`."""
    return "".join([token.text for token in tokens])


class Automaton:
    """Matches tokens in a time that grows with their number and with the length of the text.

    Its states are bits of a number, the first for what is before any token.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._expressions: list[str] = []
        """What leads from each state to the next."""
        self._loops: dict[int, str] = {}
        """What stays in a state."""
        self._skips: dict[int, int] = {}
        """How far one gets from a state with nothing, as a mask of states for each distance."""
        for token in tokens:
            if token.inner:
                self._add_repetition(token)
            else:
                self._expressions.append(token.text)
        self._end = 1 << len(self._expressions)
        self._moves: dict[str, tuple[int, int]] = {}
        self._needed = _longest_literal(tokens)

    def _add_repetition(self, token: Token) -> None:
        state = len(self._expressions)
        if token.end:
            # Into the repetition, or past it and what ends it.
            self._skip(state, 1)
            self._skip(state, 2)
            self._expressions.append("(?!)")
            self._loops[state + 1] = token.inner
            self._expressions.append(token.end)
        else:
            self._skip(state, 1)
            self._loops[state] = token.inner
            self._expressions.append("(?!)")

    def _skip(self, state: int, distance: int) -> None:
        self._skips[distance] = self._skips.get(distance, 0) | 1 << state

    def fullmatch(self, text: str) -> bool:
        """Whether the tokens match all of a text."""
        if self._needed not in text:
            return False
        states = self._skipped(1)
        for character in text:
            steps, loops = self._moves.get(character) or self._learn(character)
            states = self._skipped((states & steps) << 1 | states & loops)
            if not states:
                return False
        return bool(states & self._end)

    def _skipped(self, states: int) -> int:
        """These states, and those that are reached from them with nothing."""
        while True:
            more = states
            for distance, mask in self._skips.items():
                more |= (states & mask) << distance
            if more == states:
                return states
            states = more

    def _learn(self, character: str) -> tuple[int, int]:
        """The states that a character leads on from, and those that it stays in."""
        known: dict[str, bool] = {}

        def matches(text: str) -> bool:
            if text not in known:
                known[text] = re.fullmatch(text, character) is not None
            return known[text]

        steps = sum([1 << state for state, text in enumerate(self._expressions) if matches(text)])
        loops = sum([1 << state for state, text in self._loops.items() if matches(text)])
        if len(self._moves) > _MAX_CHARACTERS:
            self._moves.clear()
        self._moves[character] = (steps, loops)
        return steps, loops


def _longest_literal(tokens: Sequence[Token]) -> str:
    """A text that everything that the tokens match has in it."""
    longest = current = ""
    for token in tokens:
        is_literal = len(token.text.removeprefix("\\") or token.text) == 1
        current = current + token.text[-1] if is_literal else ""
        longest = max(longest, current, key=len)
    return longest
