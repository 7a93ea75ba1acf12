import hashlib
import os
from pathlib import Path

import pytest

from support.tars import entry, file, written
from tierce.errors import LayerError
from tierce.layer.entry import Content, Entry, Item, sort_key
from tierce.layer.index import LayerIndex
from tierce.layer.sources import DirectoryLayer, IndexLayer
from tierce.layer.view import MergedView, hash_content, read_file
from tierce.layer.writer import write_layer


def layer(*items: Item) -> IndexLayer:
    """A layer without a tar behind it."""
    entries = sorted((each for each, _ in items), key=lambda each: sort_key(each.path))
    return IndexLayer(LayerIndex.of(entries), "/no/such/tar")


def stored(tmp_path: Path, name: str, *items: Item) -> IndexLayer:
    """A layer whose tar is on disk."""
    tar, result = written(items)
    (tmp_path / name).write_bytes(tar)
    return IndexLayer(LayerIndex.of(result.entries), str(tmp_path / name))


def paths(view: MergedView, path: str = "") -> list[str]:
    return [each.path for each in view.walk(path)]


BASE = (
    entry("bin", "symlink", link="usr/bin"),
    entry("etc", "dir", 0o755),
    file("etc/passwd", b"root"),
    entry("usr", "dir", 0o755),
    entry("usr/bin", "dir", 0o755),
    file("usr/bin/sh", b"#!"),
    entry("usr/lib64", "symlink", link="/usr/lib"),
    entry("usr/lib", "dir", 0o755),
    file("usr/lib/libc", b"elf"),
    entry("escape", "symlink", link="../../../../etc"),
    entry("loop", "symlink", link="loop"),
    entry("dangling", "symlink", link="nowhere/file"),
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("etc/passwd", "etc/passwd"),
        ("/etc//./passwd", "etc/passwd"),
        ("bin/sh", "usr/bin/sh"),
        ("usr/lib64/libc", "usr/lib/libc"),
        ("escape/passwd", "etc/passwd"),
        ("etc/../../../bin/sh", "usr/bin/sh"),
        ("bin/../lib/libc", "usr/lib/libc"),
        ("bin", "bin"),
        ("bin/", "usr/bin"),
        ("", ""),
        ("/", ""),
        ("..", ""),
    ],
)
def test_parents_are_resolved_inside_the_root(path: str, found: str) -> None:
    result = MergedView([layer(*BASE)]).lookup(path)
    assert result is not None
    assert result.path == found


@pytest.mark.parametrize("path", ["missing", "etc/passwd/x", "dangling/x", "etc/missing/passwd"])
def test_what_is_not_there_is_none(path: str) -> None:
    assert MergedView([layer(*BASE)]).lookup(path) is None


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("bin", "usr/bin"),
        ("/bin/sh", "usr/bin/sh"),
        ("bin/new/file", "usr/bin/new/file"),
        ("dangling", "nowhere/file"),
        ("dangling/x", "nowhere/file/x"),
        ("missing/../etc/passwd", "etc/passwd"),
        ("missing/a/../b", "missing/b"),
        ("escape", "etc"),
        ("../../usr/lib64/../lib64", "usr/lib"),
        ("etc/passwd/x", "etc/passwd/x"),
        ("", ""),
        ("a/b/../../..", ""),
    ],
)
def test_resolve_follows_all_symlinks_and_keeps_what_is_missing(path: str, resolved: str) -> None:
    assert MergedView([layer(*BASE)]).resolve(path) == resolved


@pytest.mark.parametrize("path", ["loop", "loop/x"])
def test_loops_are_an_error(path: str) -> None:
    view = MergedView([layer(*BASE)])
    with pytest.raises(LayerError, match="too many levels of symbolic links"):
        view.resolve(path)
    found = view.lookup("loop")
    assert found is not None
    assert found.link == "loop"


def test_a_symlink_to_a_directory_is_listed_and_walked_as_that() -> None:
    view = MergedView([layer(*BASE)])
    assert [each.path for each in view.children("bin")] == ["usr/bin/sh"]
    assert paths(view, "bin") == ["usr/bin/sh"]
    assert view.children("etc/passwd") == []
    assert view.children("missing") == []
    assert paths(view, "etc/passwd") == []


def test_upper_layers_replace_add_and_hide() -> None:
    view = MergedView(
        [
            layer(*BASE),
            layer(
                entry("etc", "dir", 0o700), file("etc/hosts", b"x"),
                entry("etc/passwd", "whiteout"), entry("usr/lib", "whiteout"),
            ),
            layer(file("etc/passwd", b"new"), file("usr/lib/new", b"x")),
        ]
    )  # fmt: skip
    assert paths(view) == [
        "bin", "dangling", "escape", "etc", "etc/hosts", "etc/passwd", "loop", "usr", "usr/bin",
        "usr/bin/sh", "usr/lib", "usr/lib/new", "usr/lib64",
    ]  # fmt: skip
    etc = view.lookup("etc")
    assert etc is not None
    assert etc.mode == 0o700
    assert view.lookup("usr/lib/libc") is None
    new = view.lookup("usr/lib64/new")
    assert new is not None
    assert new.path == "usr/lib/new"


def test_a_directory_without_an_entry_is_as_beneath() -> None:
    view = MergedView([layer(entry("tmp", "dir", 0o1777)), layer(file("tmp/x", b""))])
    tmp = view.lookup("tmp")
    assert tmp is not None
    assert tmp.mode == 0o1777
    plain = MergedView([layer(file("tmp/x", b""))]).lookup("tmp")
    assert plain == Entry("tmp", "dir", 0o755)


def test_an_opaque_directory_hides_only_what_is_beneath_it() -> None:
    view = MergedView(
        [
            layer(file("d/low", b""), file("d/s/low", b"")),
            layer(entry("d", "dir"), entry("d", "opaque"), file("d/middle", b"")),
            layer(file("d/high", b"")),
        ]
    )
    assert paths(view) == ["d", "d/high", "d/middle"]
    assert view.lookup("d/s/low") is None


def test_an_opaque_root_hides_everything_beneath() -> None:
    view = MergedView([layer(file("low", b"")), layer(entry("", "opaque"), file("high", b""))])
    assert paths(view) == ["high"]


def test_a_file_over_a_directory_hides_its_contents_from_layers_above_too() -> None:
    view = MergedView(
        [layer(file("d/low", b"")), layer(file("d", b"")), layer(file("d/high", b""))]
    )
    assert paths(view) == ["d", "d/high"]
    assert paths(MergedView([layer(file("d/low", b"")), layer(file("d", b""))])) == ["d"]


def test_whiteouts_of_the_bottom_layer_hide_nothing_and_are_not_seen() -> None:
    view = MergedView([layer(entry("gone", "whiteout"), entry("d", "opaque"), file("x", b""))])
    assert paths(view) == ["d", "x"]
    assert [each.path for each in view.children("")] == ["d", "x"]


def test_the_order_is_that_of_components_everywhere() -> None:
    items = [entry("a", "dir"), file("a.b", b""), file("a/b", b""), file("a-b", b"")]
    views = [
        MergedView([layer(*items)]),
        MergedView([layer(*items), layer(entry("a", "dir"))]),
        MergedView([layer(*items[:2]), layer(*items[2:])]),
    ]
    for view in views:
        assert paths(view) == ["a", "a/b", "a-b", "a.b"]
        assert [each.path for each in view.children("")] == ["a", "a-b", "a.b"]


def test_content_is_found_in_tars(tmp_path: Path) -> None:
    low = stored(tmp_path, "low", file("d/a", b"low a"), file("d/b", b"low b"), file("empty", b""))
    high = stored(tmp_path, "high", file("d/a", b"high a"))
    view = MergedView([low, high])
    for path, content in (("d/a", b"high a"), ("d/b", b"low b"), ("empty", b"")):
        found = view.lookup(path)
        assert found is not None
        where = view.content(found)
        raw = Path(where.path).read_bytes()
        assert raw[where.offset : where.offset + where.size] == content
        assert view.file_digest(found) == hashlib.sha256(content).digest()
        assert read_file(view, path) == content


def test_what_a_view_finds_can_be_written_into_another_layer(tmp_path: Path) -> None:
    view = MergedView(
        [
            stored(tmp_path, "low", file("d/a", b"a" * 1000), file("d/empty", b"")),
            stored(
                tmp_path, "high", file("d/b", b"b" * 1000), entry("d/c", "hardlink", link="d/b")
            ),
        ]
    )
    items = [(each, view.content(each) if each.kind == "file" else None) for each in view.walk()]
    assert write_layer(items, None).diff_id == written(
        [
            entry("d", "dir"), file("d/a", b"a" * 1000), file("d/b", b"b" * 1000),
            entry("d/c", "hardlink", link="d/b", mode=0o644), file("d/empty", b""),
        ]
    )[1].diff_id  # fmt: skip


def test_content_is_found_in_directories(tmp_path: Path) -> None:
    (tmp_path / "root/d").mkdir(parents=True)
    (tmp_path / "root/d/file").write_bytes(b"on disk")
    view = MergedView([DirectoryLayer(str(tmp_path / "root"))])
    found = view.lookup("d/file")
    assert found is not None
    assert view.content(found) == Content(str(tmp_path / "root/d/file"), 0, 7)
    assert view.file_digest(found) == hashlib.sha256(b"on disk").digest()


def test_a_name_of_a_hard_linked_file_is_a_file(tmp_path: Path) -> None:
    source = stored(tmp_path, "tar", file("a", b"content", uid=7), entry("b", "hardlink", link="a"))
    view = MergedView([source])
    found = view.lookup("b")
    assert found is not None
    assert (found.path, found.kind, found.size, found.uid) == ("b", "file", 7, 7)
    assert read_file(view, "b") == b"content"
    assert found.digest == hashlib.sha256(b"content").digest()


def test_a_walk_names_the_first_path_that_it_met_of_a_file(tmp_path: Path) -> None:
    items = [
        file("a/one", b"x"), entry("b/two", "hardlink", link="a/one"),
        entry("b/three", "hardlink", link="a/one"), entry("s", "symlink", link="x"),
        entry("t", "hardlink", link="s"),
    ]  # fmt: skip
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "root/b").mkdir()
    (tmp_path / "root/a/one").write_bytes(b"x")
    os.link(tmp_path / "root/a/one", tmp_path / "root/b/two")
    os.link(tmp_path / "root/a/one", tmp_path / "root/b/three")
    (tmp_path / "root/s").symlink_to("x")
    os.link(tmp_path / "root/s", tmp_path / "root/t", follow_symlinks=False)
    for source in (layer(*items), DirectoryLayer(str(tmp_path / "root"))):
        for layers in ([source], [source, layer(file("z", b""))]):
            view = MergedView(layers)
            walked = {each.path: (each.kind, each.link) for each in view.walk()}
            assert walked["a/one"] == ("file", "")
            assert walked["b/three"] == ("hardlink", "a/one")
            assert walked["b/two"] == ("hardlink", "a/one")
            assert walked["t"] == ("hardlink", "s")
            within = {each.path: (each.kind, each.link) for each in view.walk("b")}
            assert within == {"b/three": ("file", ""), "b/two": ("hardlink", "b/three")}


def test_a_hard_link_whose_first_path_an_upper_layer_replaced_keeps_its_content(
    tmp_path: Path,
) -> None:
    low = stored(tmp_path, "low", file("a", b"old"), entry("b", "hardlink", link="a"))
    view = MergedView([low, stored(tmp_path, "high", file("a", b"new"))])
    assert read_file(view, "b") == b"old"
    assert [(each.path, each.kind) for each in view.walk()] == [("a", "file"), ("b", "file")]


def test_directories_and_indexes_mix(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    (upper / "d/new").write_bytes(b"x")
    os.mknod(upper / "d/gone", 0o020000, 0)
    (upper / "hidden").mkdir()
    os.setxattr(upper / "hidden", "trusted.overlay.opaque", b"y")
    low = layer(file("d/gone", b""), file("d/stays", b""), file("hidden/x", b""))
    view = MergedView([low, DirectoryLayer(str(upper)), layer(file("d/top", b""))])
    assert paths(view) == ["d", "d/new", "d/stays", "d/top", "hidden"]


def test_sockets_are_not_seen(tmp_path: Path) -> None:
    os.mknod(tmp_path / "socket", 0o140000)
    view = MergedView([DirectoryLayer(str(tmp_path))])
    assert paths(view) == []
    assert view.lookup("socket") is None


def test_attributes_of_files_on_disk_are_seen(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    os.setxattr(tmp_path / "f", "user.b", b"2")
    os.setxattr(tmp_path / "f", "user.a", b"1")
    found = MergedView([DirectoryLayer(str(tmp_path))]).lookup("f")
    assert found is not None
    assert found.xattrs == (("user.a", b"1"), ("user.b", b"2"))


def test_an_index_that_no_question_reaches_is_not_loaded() -> None:
    def fail() -> LayerIndex:
        raise AssertionError("loaded")

    hiding = layer(entry("", "dir"), entry("", "opaque"), file("a", b""))
    view = MergedView([IndexLayer(fail, "/tar"), hiding])
    assert paths(view) == ["a"]


def test_the_tar_is_not_made_for_questions_about_names(tmp_path: Path) -> None:
    calls = []

    def tar_path() -> str:
        calls.append(1)
        return str(tmp_path / "tar")

    tar, result = written([file("a", b"x"), file("b", b"y")])
    (tmp_path / "tar").write_bytes(tar)
    view = MergedView([IndexLayer(LayerIndex.of(result.entries), tar_path)])
    assert paths(view) == ["a", "b"]
    assert not calls
    assert (read_file(view, "a"), read_file(view, "b")) == (b"x", b"y")
    assert calls == [1]


def test_a_sparse_file_has_no_content_in_its_tar() -> None:
    view = MergedView([layer((Entry("s", "file", size=5), None))])
    found = view.lookup("s")
    assert found is not None
    with pytest.raises(LayerError, match="sparse"):
        view.content(found)


def test_content_of_what_is_no_file_is_an_error() -> None:
    view = MergedView([layer(*BASE)])
    for path in ("etc", "bin"):
        found = view.lookup(path)
        assert found is not None
        with pytest.raises(LayerError, match="not a file"):
            view.content(found)


def test_small_files_are_read_through_symlinks_and_large_ones_refused(tmp_path: Path) -> None:
    view = MergedView(
        [
            stored(
                tmp_path,
                "tar",
                file("etc/real", b"data"),
                entry("etc/passwd", "symlink", link="real"),
            )
        ]
    )
    assert read_file(view, "/etc/passwd") == b"data"
    assert read_file(view, "etc/group") is None
    assert read_file(view, "etc") is None
    with pytest.raises(LayerError, match="too many"):
        read_file(view, "etc/passwd", limit=3)


def test_a_file_that_is_shorter_than_its_index_says_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"short")
    assert hash_content(Content(str(tmp_path / "f"), 1, 3)) == hashlib.sha256(b"hor").digest()
    with pytest.raises(LayerError, match="shorter"):
        hash_content(Content(str(tmp_path / "f"), 0, 100))
    with pytest.raises(LayerError, match="No such file"):
        hash_content(Content(str(tmp_path / "missing"), 0, 100))


def test_a_view_of_no_layers_is_an_empty_root() -> None:
    view = MergedView([])
    assert view.lookup("") == Entry("", "dir", 0o755)
    assert paths(view) == []
    assert view.lookup("a") is None
    assert view.resolve("/a/b") == "a/b"


def test_a_walk_stays_out_of_directories_that_are_not_entered(tmp_path: Path) -> None:
    lower = {"a/x": "1", "b/x": "2", "c": "3"}
    for directory, files in (("lower", lower), ("upper", {"a/y": "4", "b/z/deep": "5"})):
        for name, text in files.items():
            path = tmp_path / directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    layers = [DirectoryLayer(str(tmp_path / name)) for name in ("lower", "upper")]
    for view in (MergedView(layers), MergedView(layers[1:])):
        seen: list[str] = []

        def enter(directory: Entry, seen: list[str] = seen) -> bool:
            seen.append(directory.path)
            return directory.path != "b"

        paths = [entry.path for entry in view.walk("", enter)]
        assert paths == ["a", *(["a/x"] if view.lookup("c") else []), "a/y", "b",
                         *(["c"] if view.lookup("c") else [])]  # fmt: skip
        assert seen == ["a", "b"]
