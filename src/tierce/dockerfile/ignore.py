"""`.dockerignore`: which files of a directory are no part of the build context.

The rules are those of github.com/moby/patternmatcher: patterns are paths from the root of the
context; `*` and `?` match within a component, `**` any number of components, `[a-z]` one
character, and a backslash takes the meaning away. A pattern that matches a directory matches all
that is in it; one after `!` brings files back. The last pattern that says something counts.
"""

from __future__ import annotations

import os
import posixpath
import re

from tierce.dockerfile.gotext import SPACES
from tierce.errors import InvalidValue

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE_LIMIT = 1 << 20
"""Bytes of an ignore file."""

_ROOT = 0
"""State of the root of the context: no group has matched it."""

_magic = re.compile(r"[*?\[\\]")


class Ignore:
    """Compiled patterns; made by `compile_patterns`.

    May be used by several threads: what it remembers between calls is only ever added to.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exceptions = [_components(each[1:]) for each in patterns if each.startswith("!")]
        self._groups = _groups(patterns)
        self._states: dict[str, int] = {"": _ROOT}

    def matches(self, path: str, is_directory: bool = False) -> bool:
        """Whether a path, relative to the context, is excluded.

        That it is a directory makes no difference to the rules; `foo/` also matches a file.
        """
        parent, _, _ = path.rpartition("/")
        return self._match(path, self._state(parent))[0]

    def may_hold_exceptions(self, directory: str) -> bool:
        """Whether something below an excluded directory may be brought back by a `!` pattern."""
        parts = directory.split("/")
        return any(_may_match_below(pattern, parts) for pattern in self._exceptions)

    def _state(self, directory: str) -> int:
        """Which groups match the directory or one above it, as bits."""
        known = self._states.get(directory)
        if known is None:
            parent, _, _ = directory.rpartition("/")
            known = self._match(directory, self._state(parent))[1]
            self._states[directory] = known
        return known

    def _match(self, path: str, parent: int) -> tuple[bool, int]:
        """(excluded, state) of a path whose parent has the given state.

        Groups are asked in turn, but only those that could change the answer so far; of the
        others it is not remembered whether they match. So does moby while it walks a directory.
        """
        excluded, state, bit = False, 0, 1
        for group in self._groups:
            if parent & bit or (group.is_exception == excluded and group.matches(path)):
                state |= bit
                excluded = not group.is_exception
            bit <<= 1
        return excluded, state


class _Group:
    """Patterns in a row that all exclude, or all bring back: the first that matches decides."""

    def __init__(self, *, is_exception: bool) -> None:
        self.is_exception = is_exception
        self._paths: set[str] = set()
        self._names: set[str] = set()
        self._suffixes: tuple[str, ...] = ()
        self._expressions: list[str] = []
        self._expression: re.Pattern[str] | None = None

    def add(self, pattern: str) -> None:
        """Take a clean pattern. Raises InvalidValue when it is malformed."""
        rest = pattern.removeprefix("**/")
        if not _magic.search(pattern):
            self._paths.add(pattern)
        elif rest != pattern and not _magic.search(rest):
            # The most frequent of all, `**/node_modules`.
            if "/" in rest:
                self._paths.add(rest)
                self._suffixes += (f"/{rest}",)
            else:
                self._names.add(rest)
        else:
            self._expressions.append(_expression(pattern))

    def finish(self) -> None:
        if self._expressions:
            self._expression = re.compile("|".join(self._expressions))

    def matches(self, path: str) -> bool:
        return (
            path in self._paths
            or (bool(self._names) and path[path.rfind("/") + 1 :] in self._names)
            or (bool(self._suffixes) and path.endswith(self._suffixes))
            or (self._expression is not None and self._expression.fullmatch(path) is not None)
        )


def compile_patterns(patterns: Sequence[str]) -> Ignore:
    """Patterns as `parse_ignore_file` gives them. Raises InvalidValue for a malformed one."""
    cleaned = []
    for pattern in patterns:
        text = pattern.strip(SPACES)
        if not text:
            continue
        exception = text.startswith("!")
        text = text[1:] if exception else text
        if exception and not text:
            raise InvalidValue('illegal exclusion pattern: "!"', value=pattern)
        cleaned.append(("!" if exception else "") + _clean(text))
    return Ignore(cleaned)


def parse_ignore_file(text: str) -> list[str]:
    """The patterns of an ignore file, cleaned: no comments, no slash at their start."""
    patterns = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#"):
            continue
        pattern = line.strip(SPACES)
        if not pattern:
            continue
        exception = "!" if pattern.startswith("!") else ""
        pattern = pattern[len(exception) :].strip(SPACES)
        if pattern:
            pattern = _clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append(exception + pattern)
    return patterns


def read_ignore_file(
    context: str | os.PathLike[str], dockerfile: str = ""
) -> tuple[Ignore | None, int]:
    """(rules, bytes read) of the ignore file of a Dockerfile, or else of the context.

    `x.Dockerfile.dockerignore` beside `x.Dockerfile` goes before `.dockerignore` in the context;
    `dockerfile` is a path, empty for the usual one. None when there is neither. Raises
    InvalidValue, with the file's name, for a pattern that is malformed.
    """
    directory = os.fspath(context)
    beside = dockerfile or os.path.join(directory, "Dockerfile")
    for path in (f"{beside}.dockerignore", os.path.join(directory, ".dockerignore")):
        try:
            with open(path, "rb") as file:
                raw = file.read(SIZE_LIMIT + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InvalidValue(f"read {path}: {error.strerror}") from error
        if len(raw) > SIZE_LIMIT:
            raise InvalidValue(f"read {path}: larger than {SIZE_LIMIT >> 20} MiB")
        # Names on disk are bytes; what is no UTF-8 in them Python shows in this way.
        patterns = parse_ignore_file(raw.decode("utf-8", "surrogateescape"))
        try:
            return compile_patterns(patterns), len(raw)
        except InvalidValue as error:
            raise InvalidValue(f"read {path}: {error.message}", value=error.value) from None
    return None, 0


def _clean(path: str) -> str:
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


def _expression(pattern: str) -> str:
    """The regular expression of a pattern with wildcards."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**", position):
            position += 2
            if pattern.startswith("/", position):
                position += 1
            if position == len(pattern):
                parts.append("(?s:.*)")
            else:
                # As in moby: `**` takes whole components, whatever stands around it.
                parts.append("(?s:.*)" if _is_bare_suffix(pattern, position) else "(?:.*/)?")
            continue
        if character == "*":
            parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif character == "[":
            expression, position = _class(pattern, position)
            parts.append(expression)
            continue
        elif character == "\\":
            position += 1
            parts.append(re.escape(pattern[position]))
        else:
            parts.append(re.escape(character))
        position += 1
    return "".join(parts)


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
        if pattern.startswith("-", position):
            high, position = _class_character(pattern, position + 1)
            if high < low:
                raise _malformed(pattern)
            parts.append(f"{_escaped(low)}-{_escaped(high)}")
        else:
            parts.append(_escaped(low))
    return f"[{'^' if negated else ''}{''.join(parts)}]", position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if character == "\\":
        position += 1
        character = pattern[position : position + 1]
    elif character in ("-", "]"):
        raise _malformed(pattern)
    if not character or position + 1 >= len(pattern):
        raise _malformed(pattern)
    return character, position + 1


def _escaped(character: str) -> str:
    """One character as it has to be written in a class, where `re` warns of what looks nested."""
    return character if character.isalnum() else f"\\{character}"


def _components(pattern: str) -> list[str]:
    return pattern.split("/")


def _may_match_below(pattern: list[str], directory: list[str]) -> bool:
    """Whether a pattern can match a path that lies below a directory; true when in doubt."""
    for part, name in zip(pattern, directory):
        # `**` matches any depth, and a class like [^a] may match a slash.
        if "**" in part or "[" in part:
            return True
        if not re.fullmatch(_expression(part), name):
            return False
    return len(pattern) > len(directory)
