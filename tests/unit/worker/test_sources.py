"""What the sources of COPY name."""

from pathlib import Path

import pytest

from tierce.errors import BuildError
from tierce.worker.context import LocalTree
from tierce.worker.digests import DigestCache
from tierce.worker.sources import Wanted, clean, find_sources
from unit.worker.trees import Link, directory_tree, local_tree, make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(
        tmp_path / "root",
        {
            "a.txt": "a",
            "b.txt": "b",
            "c.md": "c",
            "dir/a.txt": "a",
            "dir/deep/x.txt": "x",
            "dir.d/y.txt": "y",
            "to-dir": Link("dir"),
            "to-file": Link("/dir/a.txt"),
            "dangling": Link("nowhere"),
        },
    )


def found(root: Path, *patterns: str) -> list[tuple[str, str]]:
    """(path, name) of each source; the same from a context and from an image."""
    lists = [
        [(source.path, source.name) for source in find_sources(tree, Wanted(patterns))]
        for tree in (local_tree(root), directory_tree(root))
    ]
    assert lists[0] == lists[1]
    return lists[0]


@pytest.mark.parametrize(
    ("pattern", "sources"),
    [
        ("/a.txt", [("a.txt", "a.txt")]),
        ("/dir/", [("dir", "dir")]),
        ("/", [("", "")]),
        ("/.", [("", "")]),
        ("/dir/../a.txt", [("a.txt", "a.txt")]),
        ("/../../a.txt", [("a.txt", "a.txt")]),
        ("/to-dir", [("dir", "to-dir")]),
        ("/to-dir/a.txt", [("dir/a.txt", "a.txt")]),
        ("/to-file", [("dir/a.txt", "to-file")]),
        ("/*.txt", [("a.txt", "a.txt"), ("b.txt", "b.txt")]),
        ("/*/*.txt", [("dir/a.txt", "a.txt"), ("dir.d/y.txt", "y.txt")]),
        ("/to-dir/*.txt", [("dir/a.txt", "a.txt")]),
        ("/to-*", [("dir", "to-dir"), ("dir/a.txt", "to-file")]),
        ("/d?r", [("dir", "dir")]),
        ("/absent*", []),
        ("/a.txt/*", []),
        ("/dir/**", [("dir/a.txt", "a.txt"), ("dir/deep", "deep")]),
        ("/dir[^x]a.txt", [("dir/a.txt", "a.txt")]),
    ],
)
def test_sources_of_a_pattern(root: Path, pattern: str, sources: list[tuple[str, str]]) -> None:
    assert found(root, pattern) == sources


def test_sources_come_in_the_order_of_the_patterns(root: Path) -> None:
    assert found(root, "/c.md", "/*.txt", "/a.txt") == [
        ("c.md", "c.md"), ("a.txt", "a.txt"), ("b.txt", "b.txt"), ("a.txt", "a.txt"),
    ]  # fmt: skip


def test_directory_that_matches_is_not_searched_further(root: Path) -> None:
    """`[` makes the depth anything: what is below a match is part of it all the same."""
    assert found(root, "/[d]ir*") == [("dir", "dir"), ("dir.d", "dir.d")]


@pytest.mark.parametrize("pattern", ["/absent", "/dir/absent", "/dangling", "/a.txt/x", "/x/*.txt"])
def test_absent_source_is_refused(root: Path, pattern: str) -> None:
    with pytest.raises(BuildError, match="not found"):
        found(root, pattern)


def test_link_that_matches_and_leads_nowhere_is_refused(root: Path) -> None:
    with pytest.raises(BuildError, match='copy /dangling: "/dangling": not found'):
        found(root, "/dang*")


def test_excluded_source_is_explained(root: Path) -> None:
    class Everything:
        def matches(self, path: str, is_directory: bool) -> bool:
            return True

        def may_hold_exceptions(self, directory: str) -> bool:
            return False

    tree = LocalTree(str(root), Everything(), DigestCache(str(root.parent / "digests")))
    with pytest.raises(BuildError) as raised:
        list(find_sources(tree, Wanted(("/a.txt",))))
    assert ".dockerignore excludes it" in raised.value.hint


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [("/a/./b/../c/", "a/c"), ("//a", "a"), ("/", ""), ("/../..", ""), ("/a/.", "a")],
)
def test_clean_paths(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned
