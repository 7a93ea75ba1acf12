"""Paths in images, always with `/`, and words that look like paths but are not."""

from __future__ import annotations

import posixpath
import re

# Compiled when the first ADD needs them.
_URL = r"https?://"
_GIT = (
    r"(?i:git|ssh)://"
    r"|(?i:https?)://[^?#]*\.git(?:[?#]|$)"
    r"|[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:"  # as git reads user@host:path
)


def absolute(path: str, directory: str = "/") -> str:
    """The path below the directory, unless it is absolute, without "." and ".."."""
    return "/" + posixpath.normpath(posixpath.join(directory, path)).lstrip("/")


def working_directory(current: str, path: str) -> str:
    """What WORKDIR makes of a path: BuildKit leaves an absolute one as it is written."""
    current = current or "/"
    if path.startswith("/"):
        return path
    if not path:
        return current if current.startswith("/") else absolute(current)
    return absolute(path, current)


def destination(path: str, directory: str) -> str:
    """Where COPY writes to; with a "/" at the end when that has to be a directory."""
    result = absolute(path, directory)
    names_directory = path in ("", ".") or path.endswith(("/", "/."))
    return result + "/" if names_directory and result != "/" else result


def is_git(source: str) -> bool:
    """Whether a source of ADD is a git repository, as BuildKit sees it."""
    return not source.startswith(("./", "../")) and re.match(_GIT, source) is not None


def is_url(source: str) -> bool:
    """Whether a source of ADD is fetched by HTTP."""
    return re.match(_URL, source) is not None and not is_git(source)
