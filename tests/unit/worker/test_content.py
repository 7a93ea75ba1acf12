"""What the digest of a selection covers, and what is remembered of it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.layer.entry import Entry
from tierce.layer.index import LayerIndex
from tierce.layer.sources import IndexLayer
from tierce.layer.view import MergedView, Tree
from tierce.worker import context
from tierce.worker.content import (
    FACT_BYTES,
    Selection,
    name_of,
    select,
    stamp_of,
)
from tierce.worker.sources import Wanted, find_sources
from unit.worker.trees import (
    Directory,
    File,
    HardLink,
    Link,
    Spec,
    directory_tree,
    local_tree,
    make,
)

FILES: dict[str, Spec] = {
    "dir/file": File("text", 0o644, (1, 2)),
    "dir/link": Link("file"),
    "dir/sub/deep": "deep",
    "other": "other",
}
BOTH = Wanted(("/dir", "/other"))
X, Y, Z = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "root", FILES)


def digest(root: Path, *patterns: str, context: bool = False) -> str:
    tree = local_tree(root) if context else directory_tree(root)
    return selection_of(tree, *patterns).digest


def selection_of(tree: Tree, *patterns: str) -> Selection:
    wanted = Wanted(patterns or ("/dir",))
    return select(tree, list(find_sources(tree, wanted)), wanted)


# What it covers


def test_equal_files_have_equal_digests(root: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "copy", FILES)
    assert digest(root) == digest(other)
    assert digest(root, context=True) == digest(other, context=True)


def make_pipe(top: Path) -> None:
    (top / "file").write_text("")
    (top / "link").unlink()
    os.mkfifo(top / "link")


@pytest.mark.parametrize(
    "change",
    [
        make_pipe,
        lambda top: (top / "file").write_text("else"),
        lambda top: (top / "file").chmod(0o640),
        lambda top: (top / "file").rename(top / "file2"),
        lambda top: os.setxattr(top / "file", "user.note", b"x"),
        lambda top: os.chown(top / "file", 1, 3),
        lambda top: os.chown(top / "file", 2, 2),
        lambda top: (top / "sub").chmod(0o700),
        lambda top: (top / "sub/deep").unlink(),
        lambda top: (top / "sub/empty").mkdir(),
        lambda top: ((top / "link").unlink(), (top / "link").symlink_to("sub")),
        lambda top: ((top / "link").unlink(), (top / "link").write_text("file")),
    ],
)
def test_what_a_copy_keeps_changes_the_digest(root: Path, change: Callable[[Path], object]) -> None:
    before = digest(root)
    change(root / "dir")
    assert digest(root) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: os.utime(root / "dir/file"),
        lambda root: os.utime(root / "dir/sub"),
        lambda root: (root / "other").write_text("changed"),
        lambda root: (root / "dir").chmod(0o700),
        lambda root: os.chown(root / "dir", 5, 5),
        lambda root: (root / "dir/sub/deep").rename(root / "x").rename(root / "dir/sub/deep"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("context", [False, True])
def test_what_a_copy_does_not_keep_changes_nothing(
    root: Path, change: Callable[[Path], object], context: bool
) -> None:
    """A directory that is copied stands for its contents: its own mode counts for nothing."""
    before = digest(root, context=context)
    change(root)
    assert digest(root, context=context) == before


@pytest.mark.parametrize("change", [
    lambda file: os.chown(file, 7, 8),
    lambda file: os.setxattr(file, "user.note", b"x"),
])  # fmt: skip
def test_owners_and_attributes_of_a_context_do_not_count(
    root: Path, change: Callable[[Path], object]
) -> None:
    before = digest(root, context=True)
    change(root / "dir/file")
    assert digest(root, context=True) == before


def test_name_of_a_directory_does_not_count_that_of_a_file_does(root: Path) -> None:
    before = digest(root, "/dir"), digest(root, "/other")
    (root / "dir").rename(root / "renamed")
    (root / "other").rename(root / "another")
    assert digest(root, "/renamed") == before[0]
    assert digest(root, "/another") != before[1]


def test_order_of_sources_counts(root: Path) -> None:
    assert digest(root, "/dir", "/other") != digest(root, "/other", "/dir")


def test_two_directories_are_not_one_with_all(root: Path, tmp_path: Path) -> None:
    parts = make(tmp_path / "parts", {"a/x": "x", "b/y": "y", "both/x": "x", "both/y": "y"})
    assert digest(parts, "/a", "/b") != digest(parts, "/both")
    assert digest(parts, "/a/x", "/b") != digest(parts, "/a", "/b")
    assert digest(parts, "/a/x", "/b/y") != digest(parts, "/a", "/b")


def test_hard_links_count_as_the_files_they_are(tmp_path: Path) -> None:
    links = make(tmp_path / "links", {"dir/a": "text", "dir/b": HardLink("dir/a")})
    files = make(tmp_path / "files", {"dir/a": "text", "dir/b": "text"})
    assert digest(links) == digest(files)
    assert digest(links, context=True) == digest(files, context=True)


def test_device_numbers_count(tmp_path: Path) -> None:
    digests = set()
    for device in ((1, 3), (1, 5), (0, 3)):
        view = MergedView(
            [IndexLayer(LayerIndex.of([Entry("null", "char", device=device)]), "/no/tar")]
        )
        digests.add(selection_of(view, "/null").digest)
    assert len(digests) == 3


def test_context_and_image_agree_on_equal_files(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"dir/file": "text", "dir/sub": Directory(0o711)})
    assert digest(root) == digest(root, context=True)


PATHS = st.text(
    st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=4
)
ENTRIES = st.lists(
    st.builds(
        lambda path, mode, uid, link, xattr: Entry(
            path, "symlink", mode, uid, 0, 0, 0, link, (0, 0),
            ((("user." + xattr), xattr.encode()),) if xattr else (),
        ),
        PATHS, st.integers(0, 7), st.integers(0, 11), st.text("ab \n0:", min_size=1, max_size=3),
        st.text("ab", max_size=2),
    ),
    max_size=3, unique_by=lambda entry: entry.path,
)  # fmt: skip


@given(ENTRIES, ENTRIES)
def test_only_equal_selections_have_equal_digests(first: list[Entry], second: list[Entry]) -> None:
    entries = [sorted(each, key=lambda entry: entry.path) for each in (first, second)]
    digests = []
    for each in entries:
        view = MergedView([IndexLayer(LayerIndex.of(each), "/no/tar")])
        digests.append(selection_of(view, "/").digest)
    assert (digests[0] == digests[1]) == (entries[0] == entries[1])


# What is told of each path


def test_selection_tells_of_each_path_what_it_covers(root: Path) -> None:
    tree = directory_tree(root)
    sources = list(find_sources(tree, BOTH))
    selection = select(tree, sources, BOTH)
    assert list(selection.paths) == [
        "dir/file",
        "dir/link",
        "dir/sub",
        "dir/sub/deep",
        "other",
    ]
    attributes = [selection.attribute_texts[number] for number in selection.attributes]
    assert [text.split()[0] for text in attributes] == ["file", "symlink", "dir", "file", "file"]
    (root / "dir/sub/deep").write_text("else")
    (root / "other").chmod(0o741)
    tree = directory_tree(root)
    changed = select(tree, list(find_sources(tree, BOTH)), BOTH)
    assert [
        path
        for place, path in enumerate(selection.paths)
        if piece(selection.contents, place) != piece(changed.contents, place)
    ] == ["dir/sub/deep"]
    assert [
        path
        for path, old, number in zip(selection.paths, attributes, changed.attributes)
        if old != changed.attribute_texts[number]
    ] == ["other"]


def piece(contents: bytes | bytearray, place: int) -> bytes:
    return bytes(contents[place * FACT_BYTES : (place + 1) * FACT_BYTES])


def test_many_entries(tmp_path: Path) -> None:
    files: dict[str, Spec] = {f"dir/{number:04}": str(number) for number in range(700)}
    root = make(tmp_path / "root", files)
    before = digest(root)
    assert before == digest(root)
    (root / "dir/0699").write_text("else")
    assert digest(root) != before


# What selections are remembered by


def test_stamp_and_name_of_sources(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = local_tree(root)
    sources = list(find_sources(tree, BOTH))
    assert stamp_of(tree, sources) == "", "all is fresh"
    monkeypatch.setattr(context, "now_racy_after", lambda: 1 << 62)
    settled = local_tree(root)
    assert len(stamp_of(settled, sources)) == len(name_of(sources, BOTH)) == 64
    assert name_of(sources, BOTH) != name_of(sources[:1], BOTH)
    assert stamp_of(settled, sources) != stamp_of(settled, sources[:1])
