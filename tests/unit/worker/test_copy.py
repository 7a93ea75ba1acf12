"""Every rule of COPY, as BuildKit has them."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

from tierce.errors import BuildError
from tierce.worker.copy import Copier
from tierce.worker.draft import LayerDraft
from tierce.worker.owners import resolve_owner
from unit.worker.trees import (
    OLD_NS,
    Directory,
    File,
    HardLink,
    Link,
    Spec,
    carry_out,
    copy_op,
    directory_tree,
    listing,
    local_tree,
    make,
    on_top,
)


class Copying:
    """Copies out of one directory into another."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.source = directory / "source"
        self.base = directory / "base"

    def __call__(
        self, sources: str | tuple[str, ...], destination: str, *, owner: str = "", mode: str = "",
        from_image: bool = False,
    ) -> dict[str, str]:  # fmt: skip
        """What the file system is afterwards."""
        patterns = (sources,) if isinstance(sources, str) else sources
        op = copy_op(patterns, destination, owner, mode)
        tree = directory_tree(self.source) if from_image else local_tree(self.source)
        base = directory_tree(self.base) if self.base.exists() else None
        draft = LayerDraft(base, OLD_NS)
        resolved = resolve_owner(owner, base) if owner else None
        with Copier(op, draft, resolved, _no_archives) as copier:
            carry_out(op, copier, tree)
            return listing(on_top(draft, self.base if base is not None else None, self._directory))


def _no_archives() -> NoReturn:
    raise AssertionError("COPY decompresses nothing")


@pytest.fixture
def copying(tmp_path: Path) -> Copying:
    return Copying(tmp_path)


SOURCE: dict[str, Spec] = {"file": "text", "dir/a": "A", "dir/sub/b": "B"}


# Where it goes


@pytest.mark.parametrize(
    ("sources", "destination", "expected"),
    [
        ("/file", "/file", {"file": "text"}),
        ("/file", "/other", {"other": "text"}),
        ("/file", "/", {"file": "text"}),
        ("/file", "/new/", {"new": "dir", "new/file": "text"}),
        ("/file", "/new/.", {"new": "dir", "new/file": "text"}),
        ("/file", "/x/y", {"x": "dir", "x/y": "text"}),
        ("/file", "/x/y/", {"x": "dir", "x/y": "dir", "x/y/file": "text"}),
        ("/dir", "/", {"a": "A", "sub": "dir", "sub/b": "B"}),
        ("/dir", "/x", {"x": "dir", "x/a": "A", "x/sub": "dir", "x/sub/b": "B"}),
        ("/dir/", "/x/", {"x": "dir", "x/a": "A", "x/sub": "dir", "x/sub/b": "B"}),
        ("/dir/sub", "/x/y", {"x": "dir", "x/y": "dir", "x/y/b": "B"}),
        (("/file", "/dir/a"), "/x/", {"x": "dir", "x/a": "A", "x/file": "text"}),
        ("/dir/*", "/x/", {"x": "dir", "x/a": "A", "x/b": "B"}),
        (("/file", "/dir"), "/x/", {
            "x": "dir", "x/a": "A", "x/file": "text", "x/sub": "dir", "x/sub/b": "B",
        }),
        ("/none*", "/x/", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("from_image", [False, True])
def test_destination(
    copying: Copying, sources: str, destination: str, expected: dict[str, str], from_image: bool
) -> None:
    make(copying.source, SOURCE)
    assert copying(sources, destination, from_image=from_image) == expected


def test_file_goes_into_a_directory_that_is_there(copying: Copying) -> None:
    make(copying.source, SOURCE)
    make(copying.base, {"x": Directory(0o700, (1, 1))})
    assert copying("/file", "/x") == {"x": "dir 700 1:1", "x/file": "text"}


def test_name_of_a_link_is_kept_its_target_copied(copying: Copying) -> None:
    make(copying.source, {"target": "text", "link": Link("target")})
    assert copying("/link", "/x/") == {"x": "dir", "x/link": "text"}


def test_link_to_a_directory_stands_for_its_contents(copying: Copying) -> None:
    make(copying.source, {"dir/a": "A", "link": Link("dir")})
    assert copying("/link", "/x/") == {"x": "dir", "x/a": "A"}


def test_links_further_down_stay_links(copying: Copying) -> None:
    make(copying.source, {"dir/link": Link("/somewhere"), "dir/sub": Link("..")})
    assert copying("/dir", "/x") == {
        "x": "dir", "x/link": "symlink -> /somewhere", "x/sub": "symlink -> ..",
    }  # fmt: skip


def test_later_source_replaces_an_earlier_one(copying: Copying) -> None:
    make(copying.source, {"a/name": "first", "b/name": "second"})
    assert copying("/*/name", "/x/") == {"x": "dir", "x/name": "second"}


# Links at the destination


@pytest.mark.parametrize("target", ["real", "/real", "../../real"])
@pytest.mark.parametrize("destination", ["/link", "/link/", "/link/file"])
def test_links_in_the_destination_are_followed(
    copying: Copying, target: str, destination: str
) -> None:
    make(copying.source, SOURCE)
    make(copying.base, {"real": None, "link": Link(target)})
    assert copying("/file", destination) == {
        "link": f"symlink -> {target}", "real": "dir", "real/file": "text",
    }  # fmt: skip


def test_destination_that_links_to_a_file_replaces_that(copying: Copying) -> None:
    make(copying.source, SOURCE)
    make(copying.base, {"real": "old", "link": Link("real")})
    assert copying("/file", "/link") == {"link": "symlink -> real", "real": "text"}


def test_destination_that_links_nowhere_is_made_there(copying: Copying) -> None:
    make(copying.source, SOURCE)
    make(copying.base, {"link": Link("/new/place")})
    assert copying("/file", "/link/") == {
        "link": "symlink -> /new/place", "new": "dir", "new/place": "dir",
        "new/place/file": "text",
    }  # fmt: skip


def test_link_of_the_files_own_name_is_replaced(copying: Copying) -> None:
    make(copying.source, SOURCE)
    make(copying.base, {"x/file": Link("../precious"), "precious": "old"})
    assert copying("/file", "/x/") == {"precious": "old", "x": "dir", "x/file": "text"}


def test_link_in_the_way_of_a_directory_is_not_followed(copying: Copying) -> None:
    make(copying.source, SOURCE)
    make(copying.base, {"x/sub": Link("/etc"), "etc": None})
    with pytest.raises(BuildError, match="cannot copy to non-directory: /x/sub"):
        copying("/dir", "/x")


def test_link_into_a_directory_that_this_copy_made(copying: Copying) -> None:
    """Sources are copied one after the other: a later one sees what came before."""
    make(copying.source, {"a/link": Link("/target"), "b/link/file": "text"})
    with pytest.raises(BuildError, match="cannot copy to non-directory: /link"):
        copying(("/a", "/b"), "/")


# What is in the way


@pytest.mark.parametrize(
    ("base", "sources", "destination", "error"),
    [
        ({"x": "file"}, "/file", "/x/", "mkdir /x: not a directory"),
        ({"x": "file"}, "/file", "/x/y", "mkdir /x: not a directory"),
        ({"x": "file"}, "/dir", "/x", "cannot copy to non-directory: /x"),
        ({"x/a": None}, "/dir", "/x", "cannot replace to directory /x/a with file"),
        ({"x/file": None}, "/file", "/x/", "cannot replace to directory /x/file with file"),
        ({"x/sub": "file"}, "/dir", "/x", "cannot copy to non-directory: /x/sub"),
    ],
)
def test_what_is_in_the_way_is_named(
    copying: Copying, base: dict[str, Spec], sources: str, destination: str, error: str
) -> None:
    make(copying.source, SOURCE)
    make(copying.base, base)
    with pytest.raises(BuildError) as raised:
        copying(sources, destination)
    assert raised.value.message == error


def test_file_replaces_a_file_and_its_further_names_stay(copying: Copying) -> None:
    make(copying.source, SOURCE)
    make(copying.base, {"x": "old", "y": HardLink("x")})
    assert copying("/file", "/x") == {"x": "text", "y": "old"}


# Modes and owners


def test_made_directories_are_plain(copying: Copying) -> None:
    """Whatever the source directory is: it stands for its contents."""
    make(copying.source, {"dir": Directory(0o700, (5, 5)), "dir/a": File("A", 0o600)})
    assert copying("/dir", "/x/y", from_image=True) == {
        "x": "dir", "x/y": "dir", "x/y/a": "600 A",
    }  # fmt: skip


def test_directory_at_the_top_keeps_its_mode_others_take_the_source_s(copying: Copying) -> None:
    make(copying.source, {"dir/sub": Directory(0o711, (5, 6)), "dir/sub/b": File("B", 0o4755)})
    make(copying.base, {"x": Directory(0o700, (1, 1)), "x/sub": Directory(0o777, (2, 2))})
    assert copying("/dir", "/x", from_image=True) == {
        "x": "dir 700 1:1", "x/sub": "dir 711 5:6", "x/sub/b": "4755 B",
    }  # fmt: skip


def test_owners_of_an_image_are_kept(copying: Copying) -> None:
    make(copying.source, {"dir/a": File("A", None, (5, 6)), "dir/link": Link("a")})
    assert copying("/dir", "/x", from_image=True)["x/a"] == "5:6 A"
    assert copying("/dir", "/x", from_image=False)["x/a"] == "A"


def test_chown_goes_for_all_that_is_new(copying: Copying) -> None:
    make(copying.source, {"dir/sub/a": File("A", None, (5, 6)), "dir/link": Link("a")})
    make(copying.base, {"x": None})
    assert copying("/dir", "/x/y/z", owner="7:8", from_image=True) == {
        "x": "dir", "x/y": "dir 7:8", "x/y/z": "dir 7:8", "x/y/z/link": "symlink 7:8 -> a",
        "x/y/z/sub": "dir 7:8", "x/y/z/sub/a": "7:8 A",
    }  # fmt: skip


def test_chown_changes_directories_that_are_merged(copying: Copying) -> None:
    make(copying.source, {"dir/sub/a": "A"})
    make(copying.base, {"x/sub": None})
    assert copying("/dir", "/x", owner="7") == {
        "x": "dir", "x/sub": "dir 7:7", "x/sub/a": "7:7 A",
    }  # fmt: skip


def test_chmod_goes_for_all_but_links(copying: Copying) -> None:
    make(copying.source, {"dir/sub/a": File("A", 0o600), "dir/link": Link("a")})
    assert copying("/dir", "/x", mode="4751") == {
        "x": "dir 751", "x/link": "symlink -> a", "x/sub": "dir 4751", "x/sub/a": "4751 A",
    }  # fmt: skip


def test_chmod_goes_for_directories_that_are_made(copying: Copying) -> None:
    make(copying.source, SOURCE)
    assert copying("/file", "/x/y/", mode="0700") == {
        "x": "dir 700", "x/y": "dir 700", "x/y/file": "700 text",
    }  # fmt: skip


# Other kinds of files


def test_hard_links_within_a_source_are_kept(copying: Copying) -> None:
    make(copying.source, {"dir/a": "A", "dir/b": HardLink("dir/a"), "outside": HardLink("dir/a")})
    for from_image in (False, True):
        assert copying("/dir", "/x", from_image=from_image) == {
            "x": "dir", "x/a": "A", "x/b": "hardlink -> x/a",
        }  # fmt: skip


def test_hard_links_between_sources_are_not_seen(copying: Copying) -> None:
    make(copying.source, {"a": "A", "b": HardLink("a")})
    assert copying(("/a", "/b"), "/x/") == {"x": "dir", "x/a": "A", "x/b": "A"}


def test_hard_link_takes_mode_and_owner_of_the_copy(copying: Copying) -> None:
    make(copying.source, {"dir/a": "A", "dir/b": HardLink("dir/a")})
    assert copying("/dir", "/x", owner="5", mode="600")["x/a"] == "600 5:5 A"
    assert copying("/dir", "/x", owner="5", mode="600")["x/b"] == "hardlink -> x/a"


def test_second_source_may_replace_one_of_two_names(copying: Copying) -> None:
    make(copying.source, {"one/a": "A", "one/b": HardLink("one/a"), "two/a": "other"})
    assert copying(("/one", "/two"), "/x/") == {"x": "dir", "x/a": "other", "x/b": "A"}


def test_attributes_of_an_image_are_kept(copying: Copying) -> None:
    make(copying.source, {"dir/a": File("A", xattrs=(("user.note", b"x"),))})
    assert copying("/dir", "/x", from_image=True)["x/a"] == "user.note=x A"


def test_devices_and_pipes_are_copied(copying: Copying) -> None:
    make(copying.source, {"dir": None})
    os.mkfifo(copying.source / "dir/pipe", 0o600)
    os.mknod(copying.source / "dir/null", 0o666 | 0o020000, os.makedev(1, 3))
    os.chmod(copying.source / "dir/null", 0o666)
    assert copying("/dir", "/x") == {"x": "dir", "x/null": "char 666 1:3", "x/pipe": "fifo 600"}


def test_pipe_alone_is_copied(copying: Copying) -> None:
    make(copying.source, {"file": ""})
    os.mkfifo(copying.source / "pipe", 0o600)
    assert copying("/pipe", "/x/") == {"x": "dir", "x/pipe": "fifo 600"}


def test_times_come_along(copying: Copying) -> None:
    make(copying.source, SOURCE)
    tree = local_tree(copying.source)
    draft = LayerDraft(None, OLD_NS)
    op = copy_op(("/dir",), "/x")
    with Copier(op, draft, None, _no_archives) as copier:
        carry_out(op, copier, tree)
        assert {entry.mtime_ns for entry, _ in draft.items()} == {OLD_NS}


def test_what_was_copied_is_told(copying: Copying) -> None:
    """So that digests that are computed on the way can be remembered for the source."""
    make(copying.source, {"dir/a": "A", "dir/b": HardLink("dir/a"), "file": "text"})
    tree = local_tree(copying.source)
    op = copy_op(("/dir", "/file"), "/x/")
    with Copier(op, LayerDraft(None, 0), None, _no_archives) as copier:
        carry_out(op, copier, tree)
        assert {path: entry.path for path, entry in copier.copied.items()} == {
            "x/a": "dir/a", "x/file": "file",
        }  # fmt: skip
