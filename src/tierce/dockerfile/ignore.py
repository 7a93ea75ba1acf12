"""`.dockerignore`: which files of a directory are no part of the build context."""

from __future__ import annotations

import os

from tierce import graph
from tierce.dockerfile.gotext import SPACES
from tierce.errors import InvalidValue

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from tierce.graph.patterns import Patterns

    Ignore = Patterns

SIZE_LIMIT = 1 << 20
"""Bytes of an ignore file."""


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
            pattern = graph.patterns.clean_pattern(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append(exception + pattern)
    return patterns


def read_ignore_file(
    context: str | os.PathLike[str], dockerfile: str | None = ""
) -> tuple[Ignore | None, int]:
    """(rules, bytes read) of the ignore file of a Dockerfile, or else of the context.

    `x.Dockerfile.dockerignore` beside `x.Dockerfile` goes before `.dockerignore` in the context;
    `dockerfile` is a path, empty for the usual one, and None when there is no file that another
    one could be beside. None when there is neither. Raises InvalidValue, with the file's name,
    for a pattern that is malformed.
    """
    directory = os.fspath(context)
    paths = [os.path.join(directory, ".dockerignore")]
    if dockerfile is not None:
        beside = dockerfile or os.path.join(directory, "Dockerfile")
        paths.insert(0, f"{beside}.dockerignore")
    for path in paths:
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
            return graph.patterns.compile_patterns(patterns), len(raw)
        except InvalidValue as error:
            raise InvalidValue(f"read {path}: {error.message}", value=error.value) from None
    return None, 0
