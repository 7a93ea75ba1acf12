"""What remains of a tar whose members replace each other; `test_agreement` compares unpacking."""

import hashlib
import io
from typing import Any

import pytest

from support.tars import END, entry, file, octal, padded, pax_header, raw_header, read, written
from tierce.errors import CorruptLayer, UnsafeLayer
from tierce.layer.building import build_index
from tierce.layer.entry import Entry
from tierce.layer.index import LayerIndex
from tierce.layer.limits import Limits
from tierce.layer.members import members_of


def kinds(*entries: Entry) -> list[tuple[str, str]]:
    return [(each.path, each.kind) for each in members_of(entries)]


def plain(path: str, **fields: Any) -> Entry:
    return Entry(path, "file", **fields)


def directory(path: str) -> Entry:
    return Entry(path, "dir", 0o755)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, "symlink", 0o777, link=target)


def hard(path: str, target: str) -> Entry:
    return Entry(path, "hardlink", link=target)


def whiteout(path: str) -> Entry:
    return Entry(path, "whiteout", 0)


def opaque(path: str) -> Entry:
    return Entry(path, "opaque", 0)


def test_entries_are_sorted() -> None:
    assert kinds(plain("b"), plain("a.b"), directory("a"), plain("a/c")) == [
        ("a", "dir"), ("a/c", "file"), ("a.b", "file"), ("b", "file"),
    ]  # fmt: skip


def test_the_last_of_two_entries_counts() -> None:
    assert members_of([plain("a", uid=1), plain("a", uid=2)]) == [plain("a", uid=2)]


def test_a_directory_that_comes_again_keeps_its_contents() -> None:
    assert kinds(directory("a"), plain("a/b"), directory("a")) == [("a", "dir"), ("a/b", "file")]


def test_a_file_over_a_directory_takes_its_contents_away() -> None:
    assert kinds(plain("a/b/c"), whiteout("a/d"), opaque("a/b"), plain("a")) == [("a", "file")]


def test_a_directory_over_a_file_replaces_it() -> None:
    # As the file would have, it hides what is beneath.
    assert kinds(plain("a"), directory("a"), plain("a/b")) == [
        ("a", "dir"), ("a", "opaque"), ("a/b", "file"),
    ]  # fmt: skip


def test_a_directory_over_a_symlink_replaces_it() -> None:
    assert kinds(symlink("a", "b"), directory("a"), plain("a/x")) == [
        ("a", "dir"), ("a", "opaque"), ("a/x", "file"),
    ]  # fmt: skip


def test_something_inside_of_a_file_is_corrupt() -> None:
    with pytest.raises(CorruptLayer, match="a is not a directory"):
        kinds(plain("a"), plain("a/b"))


@pytest.mark.parametrize("target", ["b", "/b", "../../b", "./b/", "c/../b"])
def test_a_path_through_a_symlink_of_the_layer_is_where_it_leads(target: str) -> None:
    assert ("b/x", "file") in kinds(directory("b"), symlink("a", target), plain("a/x"))


def test_a_path_through_a_dangling_symlink_makes_its_target() -> None:
    assert kinds(symlink("a", "b/c"), plain("a/x")) == [("a", "symlink"), ("b/c/x", "file")]


def test_a_symlink_that_changes_leads_to_the_new_place() -> None:
    assert kinds(
        directory("b"), directory("c"), symlink("a", "b"), plain("a/1"), symlink("a", "c"),
        plain("a/2"),
    ) == [
        ("a", "symlink"), ("b", "dir"), ("b/1", "file"), ("c", "dir"), ("c/2", "file"),
    ]  # fmt: skip


def test_a_loop_of_symlinks_is_corrupt() -> None:
    with pytest.raises(CorruptLayer, match="symbolic links"):
        kinds(symlink("a", "b"), symlink("b", "a"), plain("a/x"))


def test_hard_links_name_the_first_path_of_their_file() -> None:
    entries = members_of([plain("z", uid=5), hard("a", "z"), hard("m", "a")])
    assert [(each.path, each.kind, each.link) for each in entries] == [
        ("a", "file", ""), ("m", "hardlink", "a"), ("z", "hardlink", "a"),
    ]  # fmt: skip
    assert {each.uid for each in entries} == {5}


def test_a_hard_link_keeps_the_content_of_a_file_that_is_replaced() -> None:
    old, new = plain("a", size=1, offset=512), plain("a", size=2, offset=2048)
    assert members_of([old, hard("b", "a"), new]) == [new, old._replace(path="b")]


def test_hard_links_survive_the_removal_of_the_first_path() -> None:
    assert kinds(plain("d/a", size=1), hard("x", "d/a"), hard("y", "d/a"), plain("d")) == [
        ("d", "file"), ("x", "file"), ("y", "hardlink"),
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["missing", "dir", "a", "a/b", "gone"])
def test_a_hard_link_to_nothing_is_corrupt(target: str) -> None:
    with pytest.raises(CorruptLayer, match="to link to"):
        kinds(directory("dir"), whiteout("gone"), plain("a/b"), hard("a", target))


def test_a_hard_link_to_a_symlink_is_a_second_symlink() -> None:
    (first, second) = members_of([symlink("a", "target"), hard("b", "a")])
    assert (first.kind, first.link) == ("symlink", "target")
    assert (second.kind, second.link) == ("hardlink", "a")


def test_a_whiteout_does_not_hide_what_its_own_layer_has() -> None:
    assert kinds(plain("a"), whiteout("a")) == [("a", "file")]
    assert kinds(whiteout("a"), plain("a")) == [("a", "file")]


@pytest.mark.parametrize("first", [0, 1])
def test_a_whiteout_of_a_directory_that_its_own_layer_has_makes_it_opaque(first: int) -> None:
    both = [directory("a"), whiteout("a")]
    assert kinds(both[first], both[1 - first]) == [("a", "dir"), ("a", "opaque")]


def test_a_whiteout_of_a_directory_that_only_has_contents_makes_it_opaque() -> None:
    assert kinds(whiteout("a"), plain("a/b")) == [("a", "opaque"), ("a/b", "file")]
    assert kinds(plain("a/b"), whiteout("a")) == [("a", "opaque"), ("a/b", "file")]


def test_an_opaque_directory_keeps_what_its_own_layer_has_before_and_after() -> None:
    assert kinds(plain("a/1"), opaque("a"), plain("a/2")) == [
        ("a", "opaque"), ("a/1", "file"), ("a/2", "file"),
    ]  # fmt: skip


def test_attributes_of_all_entries_together_are_bounded() -> None:
    big = Entry("a", "file", xattrs=(("user.a", bytes(1000)),))
    limits = Limits(index_bytes=50_000)
    assert members_of([big] * 40, limits)
    with pytest.raises(UnsafeLayer, match="memory"):
        members_of([big] * 60, limits)


def test_names_of_implied_directories_are_bounded() -> None:
    deep = [plain("/".join([f"{number}", *["d"] * 1000])) for number in range(60)]
    with pytest.raises(UnsafeLayer, match="memory"):
        members_of(deep, Limits(index_bytes=10 << 20))


def test_replacing_a_directory_again_and_again_takes_linear_time() -> None:
    # A scan of all entries for each replacement would take minutes here.
    entries = [plain(f"other/{number}") for number in range(20_000)]
    for _ in range(5_000):
        entries += [directory("a"), plain("a/b"), plain("a")]
    assert len(kinds(*entries)) == 20_001


def test_an_index_is_built_from_a_tar_with_digests_and_offsets() -> None:
    tar = (
        raw_header(b"b", size=octal(5)) + padded(b"first")
        + raw_header(b"a", size=octal(6)) + padded(b"second")
        + pax_header((b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"4,1"))
        + raw_header(b"sparse", size=octal(1)) + padded(b"x") + END + bytes(10240)
    )  # fmt: skip
    index, diff_id, size = build_index(io.BytesIO(tar))
    assert (diff_id.hex, size) == (hashlib.sha256(tar).hexdigest(), len(tar))
    a, b, sparse = index
    assert tar[a.offset : a.offset + a.size] == b"second"
    assert b.digest == hashlib.sha256(b"first").digest()
    assert (sparse.size, sparse.offset, sparse.digest) == (9, -1, b"")


def test_the_index_of_a_written_layer_is_that_of_its_tar() -> None:
    tar, result = written(
        [
            entry("d", "dir"), entry("d", "opaque"), file("d/f", b"x" * 2_000_000),
            entry("d/g", "hardlink", link="d/f", mode=0o644), file("empty"), entry("w", "whiteout"),
        ]
    )  # fmt: skip
    index, diff_id, _ = build_index(io.BytesIO(tar))
    assert diff_id == result.diff_id
    assert list(index) == list(LayerIndex.of(result.entries))
    assert len(read(tar)) == 6
