"""Which part of a directory --exclude and --parents leave, and that no more of it is looked at."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tierce.errors import BuildError
from tierce.layer.view import Tree
from tierce.worker.selection import Filter
from unit.worker.trees import HardLink, Link, Spec, directory_tree, local_tree, make

FILES: dict[str, Spec] = {
    "a.c": "a", "a.o": "a", "link": Link("sub"), "sub/b.c": "b", "sub/b.o": "b",
    "sub/deep/c.c": "c", "sub/deep/c.o": "c", "top": "t",
}  # fmt: skip

TREES = pytest.mark.parametrize("tree_of", [directory_tree, local_tree])
TreeOf = Callable[[Path], Tree]


def taken(
    tree: Tree, includes: tuple[str, ...] = (), excludes: tuple[str, ...] = (), top: str = ""
) -> list[str]:
    """Paths; those of directories that are implied in parentheses."""
    walk = Filter(includes, excludes).walk(tree, top)
    return [f"({entry.path})" if is_implied else entry.path for entry, is_implied in walk]


@TREES
@pytest.mark.parametrize(
    ("includes", "excludes", "expected"),
    [
        ((), ("sub",), "a.c a.o link top"),
        ((), ("sub/deep", "*.o"), "a.c link sub sub/b.c sub/b.o top"),
        ((), ("**/*.o", "link"), "a.c sub sub/b.c sub/deep sub/deep/c.c top"),
        ((), ("*", "!sub/deep/c.c"), "(sub) (sub/deep) sub/deep/c.c"),
        ((), ("*", "!sub/deep"), "(sub) sub/deep sub/deep/c.c sub/deep/c.o"),
        ((), ("*", "!nothing"), ""),
        (("sub/*.c",), (), "(sub) sub/b.c"),
        (("sub/deep",), (), "(sub) sub/deep sub/deep/c.c sub/deep/c.o"),
        (("**/c.o",), (), "(sub) (sub/deep) sub/deep/c.o"),
        (("sub",), ("sub/deep",), "sub sub/b.c sub/b.o"),
        (("sub",), ("sub", "!sub/b.c"), "(sub) sub/b.c"),
        (("nothing", "no*/x"), (), ""),
        (("",), (), ""),
        (("link",), (), "link"),
        (("link/b.c",), (), ""),
    ],
)
def test_part_of_a_directory(
    tmp_path: Path, tree_of: TreeOf, includes: tuple[str, ...], excludes: tuple[str, ...],
    expected: str,
) -> None:  # fmt: skip
    tree = tree_of(make(tmp_path / "root", FILES))
    assert taken(tree, includes, excludes) == expected.split()


@TREES
def test_patterns_begin_at_the_directory_that_is_walked(tmp_path: Path, tree_of: TreeOf) -> None:
    tree = tree_of(make(tmp_path / "root", FILES))
    assert taken(tree, excludes=("deep", "sub"), top="sub") == ["sub/b.c", "sub/b.o"]


@TREES
def test_first_name_that_is_taken_is_the_file(tmp_path: Path, tree_of: TreeOf) -> None:
    names: dict[str, Spec] = {name: HardLink("a") for name in ("b", "c", "d")}
    tree = tree_of(make(tmp_path / "root", {"a": "text", **names}))
    found = {
        entry.path: (entry.kind, entry.link) for entry, _ in Filter((), ("a", "c")).walk(tree, "")
    }
    assert found == {"b": ("file", ""), "d": ("hardlink", "b")}
    found = {entry.path: (entry.kind, entry.link) for entry, _ in Filter((), ("b",)).walk(tree, "")}
    assert found == {"a": ("file", ""), "c": ("hardlink", "a"), "d": ("hardlink", "a")}


def test_what_is_excluded_is_not_looked_at(tmp_path: Path) -> None:
    root = make(tmp_path / "root", FILES)
    tree = local_tree(root)
    taken(tree, excludes=("sub",))
    assert set(tree._directories) == {""}
    taken(tree, includes=("sub/*.c",))
    assert set(tree._directories) == {"", "sub"}


def test_malformed_pattern_is_refused() -> None:
    for includes, excludes in ((("[",), ()), ((), ("a", "!"))):
        with pytest.raises(BuildError, match="pattern"):
            Filter(includes, excludes)


def test_thousands_of_patterns_and_of_files(tmp_path: Path) -> None:
    """What takes long here would take hours with the patterns one after the other."""
    files: dict[str, Spec] = {f"d{n % 20}/f{n}": "" for n in range(2000)}
    tree = local_tree(make(tmp_path / "root", files))
    excludes = tuple(f"d*/f{n}" for n in range(1, 2000))
    assert taken(tree, excludes=excludes)[:2] == ["d0", "d0/f0"]
    assert len(taken(tree, excludes=excludes)) == 21
