"""What ADD fetches: files by HTTP, trees of git repositories.

Loaded by the first address there is: most Dockerfiles copy only what is here.
"""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, urlsplit

from tierce.errors import InvalidValue
from tierce.frontend.giturl import GitUrl, parse_git_url
from tierce.graph.ops import GitSource, HttpSource
from tierce.oci.digest import Digest

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from tierce.dockerfile.instructions import Copy

__all__ = ["git_context", "git_source", "http_source", "parse_git_url"]

UNNAMED = "__unnamed__"


def http_source(command: Copy, url: str) -> tuple[HttpSource, str]:
    """What ADD fetches from a URL, and the path of the file in the result.

    Raises InvalidValue for a checksum that is none.
    """
    name = _name_of(url)
    checksum = str(Digest.parse(command.checksum)) if command.checksum else ""
    return HttpSource(url, safe_name(name), checksum), posixpath.normpath(f"/{name}")


def git_source(command: Copy, text: str) -> GitSource | None:
    """What ADD fetches from a git repository; None when the text names none.

    Raises InvalidValue where the address and the flags contradict each other.
    """
    url = parse_git_url(text)
    if url is None or url.looks_local:
        return None
    keep, asked = command.keep_git_directory, url.keep_git_directory
    if keep is not None and asked is not None and keep != asked:
        raise InvalidValue("inconsistent keep-git-dir configuration")
    if command.checksum and url.checksum and command.checksum != url.checksum:
        raise InvalidValue(f'checksum mismatch "{command.checksum}" != "{url.checksum}"')
    return _source(url).replace(
        checksum=url.checksum or command.checksum,
        keep_git_directory=bool(keep if asked is None else asked),
        commit_times=False,  # as in BuildKit, for contexts only
    )


def git_context(url: GitUrl, *, keep_git_directory: bool = False) -> GitSource:
    """The tree of a git repository that is a build context."""
    keep = bool(url.keep_git_directory) or keep_git_directory
    return _source(url).replace(keep_git_directory=keep)


def safe_name(name: str) -> str:
    """A file's name, or "download" when it could not be one."""
    name = posixpath.basename(name.strip())
    if name in ("", ".", "..") or any(ord(each) < 32 or 127 <= ord(each) < 160 for each in name):
        return "download"
    return name


def _name_of(url: str) -> str:
    """The last part of the path of a URL."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return UNNAMED
    return posixpath.basename(path.rstrip("/")) or UNNAMED


def _source(url: GitUrl) -> GitSource:
    return GitSource(
        remote=url.remote,
        reference=url.reference,
        subdirectory=url.subdirectory,
        checksum=url.checksum,
        submodules=url.submodules is not False,
        fetch_by_commit=url.fetch_by_commit,
        commit_times=url.commit_times,
    )
