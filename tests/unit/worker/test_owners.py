"""Whom files belong to by --chown and USER."""

from pathlib import Path

import pytest

from tierce.errors import BuildError, LayerError
from tierce.worker.owners import resolve_owner
from unit.worker.trees import Link, directory_tree, make

PASSWD = """root:x:0:0:root:/root:/bin/sh
app:x:1000:1001::/home/app:/bin/sh

  spaced:x:7:8
short:x
odd:x:one:two
twice:x:21:22
twice:x:31:32
1234:x:5:6
wide:x:99999999999:99999999999
negative:x:-5:-5
square:x:²:²
long:x:{long}:{long}
""".format(long="1" * 5000)
GROUP = "root:x:0:\nstaff:x:50:app\nodd:x:fifty:\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "root", {"etc/passwd": PASSWD, "etc/group": GROUP})


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("app", (1000, 1001)),
        ("app:staff", (1000, 50)),
        ("app:7", (1000, 7)),
        ("42", (42, 42)),
        ("42:43", (42, 43)),
        ("42:staff", (42, 50)),
        ("0", (0, 0)),
        (":staff", (0, 50)),
        ("app:", (1000, 0)),
        ("", (0, 0)),
        ("spaced", (7, 8)),
        ("twice", (21, 22)),
        ("root", (0, 0)),
        ("root:root", (0, 0)),
    ],
)
def test_owner(root: Path, text: str, owner: tuple[int, int]) -> None:
    assert resolve_owner(text, directory_tree(root)) == owner


def test_number_is_never_a_name(root: Path) -> None:
    assert resolve_owner("1234", directory_tree(root)) == (1234, 1234)


@pytest.mark.parametrize(
    "text",
    [
        *("absent", "absent:absent", "short", "odd", "-1", "99999999999", "1" * 5000),
        *("wide", "negative", "square", "long"),
    ],
)
def test_unknown_user_is_root(root: Path, text: str) -> None:
    assert resolve_owner(text, directory_tree(root)) == (0, 0)


def test_unknown_group_is_that_of_the_user(root: Path) -> None:
    assert resolve_owner("app:absent", directory_tree(root)) == (1000, 1001)
    assert resolve_owner("42:absent", directory_tree(root)) == (42, 42)


def test_links_are_followed_inside_the_image(tmp_path: Path) -> None:
    root = make(
        tmp_path / "root", {"usr/etc/passwd": "app:x:1:2", "etc": Link("/usr/etc"), "group": ""}
    )
    assert resolve_owner("app", directory_tree(root)) == (1, 2)


def test_image_without_these_files_has_no_users(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"etc/passwd": None})
    assert resolve_owner("app:staff", directory_tree(root)) == (0, 0)


@pytest.mark.parametrize("text", ["app", "1:staff"])
def test_names_in_an_empty_file_system_are_refused(text: str) -> None:
    with pytest.raises(BuildError, match="an empty image has no users"):
        resolve_owner(text, None)


def test_numbers_mean_the_same_everywhere() -> None:
    assert resolve_owner("1:2", None) == (1, 2)
    assert resolve_owner("root", None) == (0, 0)


def test_enormous_table_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"etc/passwd": ""})
    with open(root / "etc/passwd", "wb") as file:
        file.truncate((10 << 20) + 1)
    with pytest.raises(LayerError, match="etc/passwd"):
        resolve_owner("app", directory_tree(root))
