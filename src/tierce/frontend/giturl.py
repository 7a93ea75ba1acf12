"""Addresses of git repositories, as BuildKit reads them (dfgitutil.ParseGitRef)."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from tierce.errors import InvalidValue
from tierce.values import Value

_SCHEMES = ("http", "https", "ssh", "git")
_SCHEME = re.compile(r"[a-zA-Z0-9]+(?=://)")
_SCP = re.compile(r"([a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:[^\n]*?)(?:\?([^\n]*?))?(?:#([^\n]*))?")
"""user@host:path, as git reads it, with what BuildKit reads behind it."""

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class GitUrl(Value):
    """What an address names; the fields are those of `tierce.graph.ops.GitSource`.

    What is None was not said. `looks_local`: so it could be a path as well ("github.com/x/y"),
    and is an address only where a build context is wanted.
    """

    remote: str
    reference: str = ""
    subdirectory: str = ""
    checksum: str = ""
    keep_git_directory: bool | None = None
    submodules: bool | None = None
    commit_times: bool = False
    fetch_by_commit: bool = False
    looks_local: bool = False


def parse_git_url(text: str) -> GitUrl | None:
    """The repository that a text names, None when it names none.

    `https://host/x.git#ref:directory`, or with a query `?ref=…&subdir=…`. Raises InvalidValue for
    a query that makes no sense.
    """
    if text.startswith(("./", "../")):
        return None
    if text.startswith("github.com/"):
        parsed = _from_url(f"https://{text}")
        if parsed is None:
            return None
        url, query = parsed
        remote = url.remote.removeprefix("https://")
        return _with_query(url.replace(remote=f"https://{remote}", looks_local=True), query)
    scheme = _SCHEME.match(text)
    if scheme is not None:
        name = scheme[0].lower()
        if name not in _SCHEMES:
            return None
        parsed = _from_url(text)
        if parsed is None:
            return None
        url, query = parsed
        if name.startswith("http") and not urlsplit(url.remote).path.endswith(".git"):
            return None
        return _with_query(url, query)
    found = _SCP.fullmatch(text)
    if found is None:
        return None
    return _with_query(_with_fragment(GitUrl(found[1]), found[3] or ""), found[2] or "")


def _from_url(text: str) -> tuple[GitUrl, str] | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    remote = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return _with_fragment(GitUrl(remote), parts.fragment), parts.query


def _with_fragment(url: GitUrl, fragment: str) -> GitUrl:
    reference, _, directory = fragment.partition(":")
    return url.replace(reference=reference, subdirectory=_relative(directory))


def _relative(directory: str) -> str:
    return posixpath.normpath(posixpath.join("/", directory)).lstrip("/") if directory else ""


def _with_query(url: GitUrl, query: str) -> GitUrl:
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in values:
            raise InvalidValue(f'query "{name}" has multiple values')
        values[name] = value
    tag = branch = ""
    for name in sorted(values):
        value = values[name]
        if not value and name not in ("submodules", "keep-git-dir", "fetch-by-commit"):
            raise InvalidValue(f'query "{name}" has no value')
        match name:
            case "ref":
                url = _with_reference(url, value)
            case "tag":
                tag = value
            case "branch":
                branch = value
            case "subdir":
                if url.subdirectory and url.subdirectory != value:
                    raise InvalidValue(f'subdir conflicts: "{url.subdirectory}" vs "{value}"')
                url = url.replace(subdirectory=value)
            case "checksum" | "commit":
                url = url.replace(checksum=value)
            case "keep-git-dir":
                url = url.replace(keep_git_directory=_boolean(name, value))
            case "submodules":
                url = url.replace(submodules=_boolean(name, value))
            case "mtime":
                if value not in ("checkout", "commit"):
                    raise InvalidValue(
                        f'invalid mtime value: "{value}" (must be "checkout" or "commit")'
                    )
                url = url.replace(commit_times=value == "commit")
            case "fetch-by-commit":
                url = url.replace(fetch_by_commit=_boolean(name, value))
            case _:
                raise InvalidValue(f'unexpected query "{name}"')
    if tag and branch:
        raise InvalidValue("branch conflicts with tag")
    for kind, value in (("refs/tags/", tag), ("refs/heads/", branch)):
        if value:
            url = _with_reference(url, value if value.startswith(kind) else kind + value)
    return url


def _with_reference(url: GitUrl, reference: str) -> GitUrl:
    if url.reference and url.reference != reference:
        raise InvalidValue(f'ref conflicts: "{url.reference}" vs "{reference}"')
    return url.replace(reference=reference)


def _boolean(name: str, value: str) -> bool:
    """As Go's ParseBool; a name alone means yes."""
    if not value or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidValue(f'invalid {name} value: "{value}"')
