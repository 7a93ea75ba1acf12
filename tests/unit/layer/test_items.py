import os
from pathlib import Path

import pytest

from support.tars import entry, file, from_disk
from tierce.errors import CorruptLayer, LayerError
from tierce.layer.apply import apply_items
from tierce.layer.entry import Content, Entry, Item
from tierce.layer.items import ItemReader


def content(reader: ItemReader) -> bytes:
    parts = []
    while reader.left:
        parts.append(bytes(reader.chunk()))
    return b"".join(parts)


def test_items_are_read_as_the_entries_of_a_tar(tmp_path: Path) -> None:
    large = os.urandom((2 << 20) + 7)
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "container").write_bytes(b"..aabbb..")
    container = str(tmp_path / "container")
    items: list[Item] = [
        file("bytes", b"in memory"),
        entry("d", "dir"),
        from_disk("large", str(tmp_path / "large"), len(large)),
        (Entry("part", "file", size=2), Content(container, 2, 2)),
        (Entry("rest", "file", size=3), Content(container, 4, 3)),
        file("empty"),
    ]
    reader = ItemReader(items)
    found = {}
    while (each := reader.next()) is not None:
        found[each.path] = content(reader)
    assert found == {
        "bytes": b"in memory",
        "d": b"",
        "large": large,
        "part": b"aa",
        "rest": b"bbb",
        "empty": b"",
    }


def test_what_nobody_takes_is_passed_over(tmp_path: Path) -> None:
    reader = ItemReader([file("a", b"a" * 10), file("b", b"b")])
    reader.next()
    reader.next()
    assert content(reader) == b"b"


def test_file_that_is_gone_or_cut_short_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"abc")
    reader = ItemReader([from_disk("x", str(tmp_path / "short"), 4)])
    reader.next()
    with pytest.raises(CorruptLayer, match="read x: it is shorter"):
        content(reader)
    reader = ItemReader([from_disk("x", str(tmp_path / "none"), 4)])
    reader.next()
    with pytest.raises(LayerError, match="read x: No such file"):
        content(reader)
    reader.close()


def test_fifo_that_took_the_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(LayerError, match="x"):
        apply_items([from_disk("x", str(tmp_path / "fifo"), 4)], str(tmp_path))


def test_file_that_cannot_be_read_leaves_the_old_one_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x").write_bytes(b"old")
    (tmp_path / "short").write_bytes(b"abc")
    items = [file("a", b"new"), from_disk("x", str(tmp_path / "short"), 4)]
    with pytest.raises(CorruptLayer):
        apply_items(items, str(tmp_path / "out"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        "a": b"new",
        "x": b"old",
    }


def test_items_go_through_no_link_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/d").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out/f").symlink_to(tmp_path / "elsewhere/f")
    apply_items([entry("d", "dir"), file("d/x", b"x"), file("f", b"f")], str(tmp_path / "out"))
    assert not list((tmp_path / "elsewhere").iterdir())
    assert (tmp_path / "out/d/x").read_bytes() == b"x"
    assert not (tmp_path / "out/f").is_symlink()
