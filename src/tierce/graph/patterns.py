"""Patterns of paths, as .dockerignore and COPY --exclude have them.

The rules are those of github.com/moby/patternmatcher: patterns are paths from the root of what is
looked at; `*` and `?` match within a component, `**` any number of components, `[a-z]` one
character, and a backslash takes the meaning away. A pattern that matches a directory matches all
that is in it; one after `!` takes back. The last pattern that says something counts.
"""

from __future__ import annotations

import posixpath
import re

from tierce.errors import InvalidValue
from tierce.graph.globs import (
    ALL,
    ANY,
    DIRECTORIES,
    STAR,
    Automaton,
    Token,
    expression,
    is_simple,
    literal,
    simplified,
)

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = 0
_EXCLUDED = 1
_FIRST_GROUP = 2
"""The state of a path: whether it is excluded, and a bit for each group that matches it."""

_LAST_COMPONENT = -1
_ANY_DEPTH = -2
"""What an expression is matched with, where that is not a path of a certain depth."""

_magic = re.compile(r"[*?\[\\]")


class Patterns:
    """Compiled patterns; made by `compile_patterns`.

    `has_exceptions`: some take back. `excludes_everything`: one of them matches whatever there is.
    May be used by several threads: what it remembers between calls is only ever added to.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exceptions = [each[1:].split("/") for each in patterns if each.startswith("!")]
        self._matching = [each.split("/") for each in patterns if not each.startswith("!")]
        self._groups = _groups(patterns)
        self.has_exceptions = bool(self._exceptions)
        self.excludes_everything = any(each in ("*", "**", "**/*") for each in patterns)
        self._states: dict[str, int] = {"": _ROOT}

    def matches(self, path: str, is_directory: bool = False) -> bool:
        """Whether a path, relative to what is looked at, matches.

        That it is a directory makes no difference to the rules; `foo/` also matches a file.
        """
        parent, _, name = path.rpartition("/")
        state = self._states.get(parent)
        if state is None:
            state = self._state(parent)
        return self._match(path, name, state) & _EXCLUDED != 0

    def may_hold_exceptions(self, directory: str) -> bool:
        """Whether something below an excluded directory may be brought back by a `!` pattern."""
        parts = directory.split("/")
        return any(_may_match_below(pattern, parts) for pattern in self._exceptions)

    def may_match_below(self, directory: str) -> bool:
        """Whether something below a directory that does not match may match."""
        parts = directory.split("/")
        return any(_may_match_below(pattern, parts) for pattern in self._matching)

    def _state(self, directory: str) -> int:
        """Which groups match the directory or one above it, as bits."""
        unknown: list[str] = []
        while directory not in self._states:
            unknown.append(directory)
            directory = directory.rpartition("/")[0]
        state = self._states[directory]
        for each in reversed(unknown):
            state = self._states[each] = self._match(each, each.rpartition("/")[2], state)
        return state

    def _match(self, path: str, name: str, parent: int) -> int:
        """The state of a path whose parent has the given state.

        Groups are asked in turn, but only those that could change the answer so far; of the
        others it is not remembered whether they match. So does moby while it walks a directory.
        """
        excluded, state, bit = False, 0, _FIRST_GROUP
        depth = path.count("/")
        for group in self._groups:
            if parent & bit or (
                group.is_exception == excluded and group.matches(path, name, depth)
            ):
                state |= bit
                excluded = not group.is_exception
            bit <<= 1
        return state | _EXCLUDED if excluded else state


class _Group:
    """Patterns in a row that all exclude, or all bring back: the first that matches decides.

    A context has many files and few patterns, and hardly any of them match. So patterns are
    sorted by what they need to be asked about: the path, its last component, its depth.
    """

    def __init__(self, *, is_exception: bool) -> None:
        self.is_exception = is_exception
        self._paths: set[str] = set()
        self._names: set[str] = set()
        self._suffixes: tuple[str, ...] = ()
        self._expressions: dict[int, list[str]] = {}
        self._compiled: dict[int, re.Pattern[str]] = {}
        self._automata: dict[int, list[Automaton]] = {}

    def add(self, pattern: str) -> None:
        """Take a clean pattern. Raises InvalidValue when it is malformed."""
        rest = pattern.removeprefix("**/")
        is_anywhere = rest != pattern
        if not _magic.search(rest):
            if not is_anywhere:
                self._paths.add(pattern)
            elif "/" in rest:
                self._paths.add(rest)
                self._suffixes += (f"/{rest}",)
            else:
                self._names.add(rest)
            return
        # A class such as [^a] may match a slash.
        knows_depth = "**" not in rest and "[" not in rest
        if is_anywhere and knows_depth and "/" not in rest:
            depth, tokens = _LAST_COMPONENT, _tokens(rest)
        else:
            depth = rest.count("/") if knows_depth and not is_anywhere else _ANY_DEPTH
            tokens = _tokens(pattern)
        if is_simple(tokens):
            self._expressions.setdefault(depth, []).append(expression(tokens))
        else:
            self._automata.setdefault(depth, []).append(Automaton(tokens))

    def finish(self) -> None:
        for depth, expressions in self._expressions.items():
            self._compiled[depth] = re.compile("|".join(expressions))

    def matches(self, path: str, name: str, depth: int) -> bool:
        """`name` is the last component of the path, `depth` the number of its slashes."""
        if path in self._paths or name in self._names:
            return True
        if self._suffixes and path.endswith(self._suffixes):
            return True
        if self._compiled or self._automata:
            return (
                self._has(depth, path)
                or self._has(_LAST_COMPONENT, name)
                or self._has(_ANY_DEPTH, path)
            )
        return False

    def _has(self, depth: int, text: str) -> bool:
        compiled = self._compiled.get(depth)
        if compiled is not None and compiled.fullmatch(text):
            return True
        if not self._automata:
            return False
        return any(each.fullmatch(text) for each in self._automata.get(depth, ()))


def compile_patterns(patterns: Sequence[str]) -> Patterns:
    """Patterns without white space around them. Raises InvalidValue for a malformed one."""
    cleaned = []
    for pattern in patterns:
        if not pattern:
            continue
        # As in moby, the mark of an exception is a part of its first component here.
        text = clean_pattern(pattern)
        if text == "!":
            raise InvalidValue('illegal exclusion pattern: "!"', value=pattern)
        cleaned.append(text)
    return Patterns(cleaned)


def clean_pattern(path: str) -> str:
    """filepath.Clean: unlike `normpath`, two slashes at the start are one."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _groups(patterns: Sequence[str]) -> list[_Group]:
    groups: list[_Group] = []
    for pattern in patterns:
        is_exception = pattern.startswith("!")
        text = pattern[1:] if is_exception else pattern
        _check(text)
        if not groups or groups[-1].is_exception != is_exception:
            groups.append(_Group(is_exception=is_exception))
        groups[-1].add(text)
    for group in groups:
        group.finish()
    return groups


def _check(pattern: str) -> None:
    """Refuse what Go's filepath.Match calls a syntax error in a pattern."""
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 2
            if position > len(pattern):
                raise _malformed(pattern)
        elif character == "[":
            _, position = _class(pattern, position)
        else:
            position += 1


def _malformed(pattern: str) -> InvalidValue:
    return InvalidValue(f"syntax error in pattern {pattern!a}", value=pattern)


def _tokens(pattern: str) -> list[Token]:
    """What a pattern with wildcards consists of."""
    tokens: list[Token] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**", position):
            position += 2
            if pattern.startswith("/", position):
                position += 1
            # As in moby: `**` takes whole components, whatever stands around it.
            takes_all = position == len(pattern) or _is_bare_suffix(pattern, position)
            tokens.append(ALL if takes_all else DIRECTORIES)
            continue
        if character == "[":
            text, position = _class(pattern, position)
            tokens.append(Token(text))
            continue
        if character == "*":
            tokens.append(STAR)
        elif character == "?":
            tokens.append(ANY)
        else:
            position += character == "\\"
            tokens.append(literal(pattern[position]))
        position += 1
    return simplified(tokens)


def _is_bare_suffix(pattern: str, position: int) -> bool:
    """Whether the pattern is `**text`: then moby only compares how the path ends."""
    return position == 2 and not _magic.search(pattern[2:])


def _class(pattern: str, start: int) -> tuple[str, int]:
    """The regular expression of a `[…]`, and where it ends. Raises InvalidValue."""
    position = start + 1
    negated = pattern.startswith("^", position)
    position += negated
    parts: list[str] = []
    while not (parts and pattern.startswith("]", position)):
        low, position = _class_character(pattern, position)
        if pattern.startswith("-", position) and not pattern.startswith("-]", position):
            high, position = _class_character(pattern, position + 1)
            if high < low:
                raise _malformed(pattern)
            parts.append(f"{_escaped(low)}-{_escaped(high)}")
        else:
            parts.append(_escaped(low))
    return f"[{'^' if negated else ''}{''.join(parts)}]", position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    """The character at a position of a class, and where the next one is."""
    position += pattern.startswith("\\", position)
    if position + 1 >= len(pattern):
        raise _malformed(pattern)  # at least the closing bracket follows
    return pattern[position], position + 1


def _escaped(character: str) -> str:
    """One character as it has to be written in a class, where `re` warns of what looks nested."""
    return character if character.isalnum() else f"\\{character}"


def _may_match_below(pattern: list[str], directory: list[str]) -> bool:
    """Whether a pattern can match a path that lies below a directory; true when in doubt."""
    for part, name in zip(pattern, directory):
        # `**` matches any depth, and a class like [^a] may match a slash.
        if "**" in part or "[" in part:
            return True
        if not _matches(_tokens(part), name):
            return False
    return len(pattern) > len(directory)


def _matches(tokens: list[Token], text: str) -> bool:
    if is_simple(tokens):
        return re.fullmatch(expression(tokens), text) is not None
    return Automaton(tokens).fullmatch(text)
