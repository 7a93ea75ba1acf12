"""Addresses of repositories: what is one, and what its fragment and query say."""

import pytest

from tierce.errors import InvalidValue
from tierce.frontend.giturl import GitUrl, parse_git_url

HOST = "https://host/x.git"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (HOST, GitUrl(HOST)),
        ("HTTPS://host/x.git", GitUrl(HOST)),
        ("http://host/x.git#v1", GitUrl("http://host/x.git", "v1")),
        (f"{HOST}#v1:a/b", GitUrl(HOST, "v1", "a/b")),
        (f"{HOST}#:a/../b/", GitUrl(HOST, "", "b")),
        (f"{HOST}#:../../etc", GitUrl(HOST, "", "etc")),
        (f"{HOST}?ref=v1&subdir=a", GitUrl(HOST, "v1", "a")),
        (f"{HOST}?tag=v1", GitUrl(HOST, "refs/tags/v1")),
        (f"{HOST}?tag=refs/tags/v1", GitUrl(HOST, "refs/tags/v1")),
        (f"{HOST}?branch=b", GitUrl(HOST, "refs/heads/b")),
        (f"{HOST}?checksum=ab", GitUrl(HOST, checksum="ab")),
        (f"{HOST}?commit=ab", GitUrl(HOST, checksum="ab")),
        (f"{HOST}?keep-git-dir", GitUrl(HOST, keep_git_directory=True)),
        (f"{HOST}?keep-git-dir=0", GitUrl(HOST, keep_git_directory=False)),
        (f"{HOST}?submodules=false", GitUrl(HOST, submodules=False)),
        (f"{HOST}?mtime=commit", GitUrl(HOST, commit_times=True)),
        (f"{HOST}?mtime=checkout", GitUrl(HOST)),
        (f"{HOST}?fetch-by-commit", GitUrl(HOST, fetch_by_commit=True)),
        (f"{HOST}?ref=v1#v1:a", GitUrl(HOST, "v1", "a")),
        ("git://host/x", GitUrl("git://host/x")),
        ("ssh://u@host:22/x", GitUrl("ssh://u@host:22/x")),
        ("git@host:x.git", GitUrl("git@host:x.git")),
        ("git@host:x#v1:a", GitUrl("git@host:x", "v1", "a")),
        ("git@host:x?ref=v1#:a", GitUrl("git@host:x", "v1", "a")),
        ("github.com/x/y", GitUrl("https://github.com/x/y", looks_local=True)),
        ("github.com/x/y#v1", GitUrl("https://github.com/x/y", "v1", looks_local=True)),
    ],
)
def test_address_is_read(text: str, url: GitUrl) -> None:
    assert parse_git_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dir",
        "./git@host:x",
        "../x.git",
        "/x.git",
        "https://host/x",
        "https://host/x.git/y",
        "https://host/x?y=.git",
        "ftp://host/x.git",
        "file:///x.git",
        "ext::sh",
        "host:x.git",
        "a b@host:x",
        "https://[::1/x.git",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_git_url(text) is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("ref=a&ref=b", 'query "ref" has multiple values'),
        ("ref=", 'query "ref" has no value'),
        ("ref=a&tag=b", 'ref conflicts: "a" vs "refs/tags/b"'),
        ("tag=a&branch=b", "branch conflicts with tag"),
        ("what=1", 'unexpected query "what"'),
        ("keep-git-dir=maybe", 'invalid keep-git-dir value: "maybe"'),
        ("submodules=2", 'invalid submodules value: "2"'),
        ("mtime=now", 'invalid mtime value: "now" (must be "checkout" or "commit")'),
    ],
)
def test_query_without_sense_is_refused(query: str, message: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        parse_git_url(f"{HOST}?{query}")
    assert raised.value.message == message


def test_query_and_fragment_must_not_contradict_each_other() -> None:
    with pytest.raises(InvalidValue, match='ref conflicts: "b" vs "a"'):
        parse_git_url(f"{HOST}?ref=a#b")
    with pytest.raises(InvalidValue, match='subdir conflicts: "b" vs "a"'):
        parse_git_url(f"{HOST}?subdir=a#:b")
