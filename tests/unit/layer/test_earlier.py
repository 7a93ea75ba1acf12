"""A layer that takes pieces of an earlier tar over has the bytes that it would have without."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.tars import entry, file, written
from tierce.errors import CorruptLayer, LayerError
from tierce.layer.earlier import FORM, EarlierLayer, Run
from tierce.layer.entry import Content, Item, sort_key
from tierce.layer.index import LayerIndex
from tierce.layer.writer import LayerResult, write_layer

SECOND = 1_000_000_000
NAMES = ["a", "b", "c", "dir", "dir/a", "dir/b", "dir/link", "dir/zz", "é", "z" * 120, "zz"]
FILES = st.builds(
    file,
    st.sampled_from(NAMES),
    st.binary(max_size=2) | st.binary(min_size=511, max_size=513),
    mode=st.sampled_from([0o644, 0o4755]),
    uid=st.sampled_from([0, 0, 0, 1 << 30]),
    mtime_ns=st.sampled_from([0, 5 * SECOND, 5 * SECOND + 1]),
    xattrs=st.sampled_from([(), (), (("user.a", b"b"),)]),
)
OTHERS = st.builds(
    entry,
    st.sampled_from(NAMES),
    st.sampled_from(["dir", "symlink", "whiteout", "opaque", "hardlink", "char"]),
    mode=st.just(0o777),
    link=st.sampled_from(["", "a"]),
)
ITEMS = st.lists(FILES | FILES | OTHERS, max_size=12)


def valid(items: list[Item]) -> list[Item]:
    """One item for each path, in a layer's order, as the writer takes them."""
    chosen: dict[str, Item] = {}
    for item in items:
        if item[0].kind != "hardlink" or (item[0].link and item[0].path > "a"):
            chosen.setdefault(item[0].path, item)
    return [chosen[path] for path in sorted(chosen, key=sort_key)]


def known(items: list[Item], result: LayerResult) -> list[Item]:
    """The items with the digests of their files, and not where these are."""
    gone = Content("/does/not/exist", 0, 0)
    digests = {each.path: each.digest for each in result.entries if each.kind == "file"}
    return [
        (each._replace(digest=digests.get(each.path, b"")), gone if each.kind == "file" else None)
        for each, _ in items
    ]


def earlier_layer(directory: Path, items: list[Item]) -> EarlierLayer:
    tar, result = written(items)
    (directory / "tar").write_bytes(tar)
    return EarlierLayer(LayerIndex.of(result.entries), directory / "tar")


def taken(parts: list[Item | Run]) -> list[list[str]]:
    return [[each.path for each in part.entries] for part in parts if isinstance(part, Run)]


@given(ITEMS, ITEMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_and_entries_are_those_of_the_plain_writer(
    tmp_path: Path, before: list[Item], now: list[Item]
) -> None:
    before, now = valid(before), valid([*now, *before])
    tar, result = written(now)
    digests = {each.path: each.digest for each in result.entries if each.kind == "file"}
    items = [(each._replace(digest=digests.get(each.path, b"")), content) for each, content in now]
    made = bytearray()
    with earlier_layer(tmp_path, before) as earlier:
        assembled = write_layer(earlier.common(items), made.extend)
    assert bytes(made) == tar
    assert assembled == result


FIVE = [file(f"dir/{name}", name.encode() * 600) for name in "abcde"]
TREE = [entry("dir", "dir"), *FIVE]


def test_no_file_is_opened_where_nothing_has_changed(tmp_path: Path) -> None:
    tar, result = written(TREE)
    made = bytearray()
    with earlier_layer(tmp_path, TREE) as earlier:
        parts = earlier.common(known(TREE, result))
        assert taken(parts) == [[f"dir/{name}" for name in "abcde"]]
        assert write_layer(parts, made.extend) == result
    assert bytes(made) == tar


@pytest.mark.parametrize(
    "changed",
    [
        file("dir/c", b"other"),
        file("dir/c", b"c" * 600, mode=0o600),
        file("dir/c", b"c" * 600, uid=1),
        file("dir/c", b"c" * 600, gid=1),
        file("dir/c", b"c" * 600, mtime_ns=SECOND),
        file("dir/c", b"c" * 600, xattrs=(("user.a", b"b"),)),
        entry("dir/c", "dir"),
        entry("dir/c", "symlink", 0o777, link="a"),
    ],
)
def test_all_but_what_has_changed_is_taken_over(tmp_path: Path, changed: Item) -> None:
    now = [*TREE[:3], changed, *TREE[4:]]
    with earlier_layer(tmp_path, TREE) as earlier:
        parts = earlier.common(known(now, written(now)[1]))
    assert taken(parts) == [["dir/a", "dir/b"], ["dir/d", "dir/e"]]


def test_what_is_new_or_gone_ends_a_run(tmp_path: Path) -> None:
    now = [*TREE[:2], file("dir/aa", b"new"), TREE[2], *TREE[4:], file("dir/f", b"last")]
    with earlier_layer(tmp_path, TREE) as earlier:
        parts = earlier.common(known(now, written(now)[1]))
    assert taken(parts) == [["dir/a"], ["dir/b"], ["dir/d", "dir/e"]]


def test_file_of_unknown_content_is_not_taken_over(tmp_path: Path) -> None:
    items = known(TREE, written(TREE)[1])
    items[3] = items[3][0]._replace(digest=b""), items[3][1]
    with earlier_layer(tmp_path, TREE) as earlier:
        assert taken(earlier.common(items)) == [["dir/a", "dir/b"], ["dir/d", "dir/e"]]


def test_offsets_move_with_what_comes_before(tmp_path: Path) -> None:
    now = [TREE[0], file("dir/a", b"x" * 9000), *TREE[2:]]
    tar, result = written(now)
    with earlier_layer(tmp_path, TREE) as earlier:
        parts = earlier.common(known(now, result))
        parts[1] = now[1]
        assert write_layer(parts, None).entries == result.entries
    contents = [tar[each.offset : each.offset + each.size] for each in result.entries[1:]]
    assert contents == [content for _, content in now[1:]]


def test_long_run_goes_through_buffers_of_any_alignment(tmp_path: Path) -> None:
    items = [file(f"{number:03}", bytes([number]) * 70_001) for number in range(100)]
    now = [entry("", "dir"), *items]
    tar, result = written(now)
    made = bytearray()
    with earlier_layer(tmp_path, items) as earlier:
        assert write_layer(earlier.common(known(now, result)), made.extend) == result
    assert bytes(made) == tar


def test_what_was_read_is_not_kept_in_memory_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [file(f"{number:03}", bytes([number]) * 1_000_001) for number in range(30)]
    _, result = written(items)
    dropped: list[tuple[int, int]] = []

    def note(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_DONTNEED
        dropped.append((offset, length))

    monkeypatch.setattr(os, "posix_fadvise", note)
    with earlier_layer(tmp_path, items) as earlier:
        assert write_layer(earlier.common(known(items, result)), None) == result
    assert len(dropped) == 3
    assert [offset for offset, _ in dropped] == [
        sum(length for _, length in dropped[:number]) for number in range(3)
    ]


def test_tar_that_is_removed_meanwhile_is_still_read(tmp_path: Path) -> None:
    _, result = written(TREE)
    with earlier_layer(tmp_path, TREE) as earlier:
        (tmp_path / "tar").unlink()
        assert write_layer(earlier.common(known(TREE, result)), None) == result


def test_tar_that_is_cut_short_is_noticed(tmp_path: Path) -> None:
    items = known(TREE, written(TREE)[1])
    with earlier_layer(tmp_path, TREE) as earlier:
        with open(tmp_path / "tar", "r+b") as tar:
            tar.truncate(2000)
        with pytest.raises(CorruptLayer, match="dir/e: the layer that has it is cut short"):
            write_layer(earlier.common(items), None)


def test_run_in_the_wrong_place_is_refused(tmp_path: Path) -> None:
    with earlier_layer(tmp_path, TREE) as earlier:
        parts = earlier.common(known(TREE, written(TREE)[1]))
        with pytest.raises(LayerError, match="out of order"):
            write_layer([file("e", b""), *parts[1:]], None)


def test_another_form_of_tars_has_another_number() -> None:
    """Whoever changes what is written here has to raise FORM: pieces of the two must not mix."""
    items = [
        entry("", "dir"),
        file("a", b"content", mode=0o4755, uid=7, gid=8, mtime_ns=SECOND),
        file("b" * 120, b"", xattrs=(("user.a", b"b"),)),
        entry("dev", "char", device=(1, 3)),
        entry("link", "symlink", 0o777, link="é" * 60),
        entry("name", "hardlink", link="a"),
        entry("old", "whiteout"),
    ]
    digests = {1: "5a8cd5167175540b8923c25ec843ff3df676c6f04f87c1c9577f04201202cfa5"}
    assert written(items)[1].diff_id.hex == digests[FORM]
