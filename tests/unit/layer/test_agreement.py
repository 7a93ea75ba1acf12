"""Whoever unpacks a layer and whoever only reads its index must see the same files.

Random tars of few names, so that entries replace, hide and lead through each other.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.erofs import everything, mounted, need_images
from support.tars import END, octal, padded, raw_header, read_entries
from tierce.errors import LayerError
from tierce.layer.apply import apply_layer
from tierce.layer.building import build_index
from tierce.layer.diff import overlay_changes, tree_changes
from tierce.layer.entry import Entry
from tierce.layer.index import LayerIndex
from tierce.layer.sources import DirectoryLayer, IndexLayer
from tierce.layer.view import MergedView, Tree
from tierce.layer.writer import write_layer

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.sampled_from(["a", "b", "/c", "../a", "a/b", "/", "..", "missing/x"])


def _block(kind: str, path: str, other: str, number: int) -> bytes:
    content = b"%d" % number
    name = path.encode()
    if kind == "file":
        header = raw_header(name, size=octal(len(content)), mtime=octal(number))
        return header + padded(content)
    if kind == "whiteout":
        above, slash, last = path.rpartition("/")
        return raw_header(f"{above}{slash}.wh.{last}".encode())
    if kind == "opaque":
        return raw_header(f"{path}/.wh..wh..opq".encode())
    type_ = {"dir": b"5", "symlink": b"2", "hardlink": b"1", "fifo": b"6"}[kind]
    return raw_header(name, type_=type_, link=other.encode(), mtime=octal(number))


class Tar(list[tuple[str, str, str]]):
    """Members as (kind, path, target)."""

    def encode(self) -> bytes:
        members = enumerate(self, 1)
        return b"".join([_block(*member, number) for number, member in members]) + END


def tars(*, whiteouts: bool = True, symlinks: bool = True) -> st.SearchStrategy[Tar]:
    kinds = ["file", "file", "dir", "hardlink", "fifo"] + ["whiteout", "opaque"] * whiteouts
    member = st.tuples(st.sampled_from(kinds), PATHS, PATHS)
    if symlinks:
        member |= st.tuples(st.just("symlink"), PATHS, TARGETS)
    return st.lists(member, min_size=1, max_size=10).map(Tar)


def encoded(tar: Tar | bytes) -> bytes:
    return tar if isinstance(tar, bytes) else tar.encode()


@contextmanager
def directory() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="tierce-agreement-", dir="/dev/shm")
    try:
        yield path
    finally:
        shutil.rmtree(path)


def unpacked(tar: Tar | bytes, root: str, whiteouts: str) -> bool:
    try:
        apply_layer(io.BytesIO(encoded(tar)), root, whiteouts=whiteouts)
    except LayerError:
        return False
    return True


def indexed(tar: Tar | bytes) -> LayerIndex | None:
    try:
        return build_index(io.BytesIO(encoded(tar)))[0]
    except LayerError:
        return None


def essence(entry: Entry) -> tuple[object, ...]:
    """An entry without what differs between a tar and a directory."""
    return (
        entry.path, entry.kind, entry.mode, entry.size, entry.mtime_ns, entry.link,
    )  # fmt: skip


def with_implied(entries: list[Entry]) -> list[tuple[object, ...]]:
    view = MergedView([IndexLayer(LayerIndex.of(entries), "")])
    known = {entry.path: entry for entry in view.walk() if entry.kind == "dir"}
    known |= {entry.path: entry for entry in entries if entry.kind not in {"whiteout", "opaque"}}
    marks = [entry for entry in entries if entry.kind in {"whiteout", "opaque"}]
    # A directory that nothing but a mark stands for, or whose contents are all marks.
    for mark in marks:
        parent = mark.path if mark.kind == "opaque" else mark.path.rpartition("/")[0]
        while parent:
            known.setdefault(parent, Entry(parent, "dir", 0o755))
            parent = parent.rpartition("/")[0]
    return sorted(map(essence, [*known.values(), *marks]))


def answers(tree: Tree, path: str) -> object:
    try:
        found = tree.lookup(path)
        return found and (found.path, found.kind), tree.resolve(path)
    except LayerError as error:
        return error.message


@settings(max_examples=600)
@given(tars())
def test_a_layer_unpacked_for_overlayfs_is_what_its_index_says(tar: Tar) -> None:
    index = indexed(tar)
    with directory() as root:
        assert unpacked(tar, root, "overlay") is (index is not None)
        if index is not None:
            entries = [each for each in index if (each.path, each.kind) != ("", "opaque")]
            changes = [entry for entry, _ in overlay_changes(root)]
            assert sorted(map(essence, changes)) == with_implied(entries)


@settings(max_examples=400)
@given(tars(whiteouts=False), tars(symlinks=False))
@example(lower=Tar([("dir", "a/a", "")]), upper=Tar([("file", "a/a/a", ""), ("whiteout", "a", "")]))
def test_layers_unpacked_onto_each_other_are_what_the_merged_view_says(
    lower: Tar, upper: Tar
) -> None:
    # A path of the upper layer through a symlink of the lower one leads elsewhere when both are
    # in one tree; overlayfs has a directory there. Builders never write such layers.
    indexes = [indexed(lower), indexed(upper)]
    if None in indexes or any(each.kind == "symlink" for each in indexes[0] or ()):
        return
    view = MergedView([IndexLayer(index, "") for index in indexes if index is not None])
    with directory() as root:
        assert unpacked(lower, root, "remove")
        if not unpacked(upper, root, "remove"):
            # Only in one tree there is something in the way of a path.
            return
        merged = MergedView([DirectoryLayer(root, overlay_whiteouts=False)])
        # What a directory is like that is hidden and has no entry, but contents, is undefined.
        # Below an opaque one all that was there is hidden.
        entries = list(indexes[1] or ())
        hidden = tuple(each.path for each in entries if each.kind == "opaque")
        own = {each.path for each in entries if each.kind != "opaque"} - set(hidden)
        wanted, got = (
            [
                essence(each)
                if each.path in own or not is_in(each.path, hidden)
                else (each.path, each.kind)
                for each in tree.walk()
            ]
            for tree in (view, merged)
        )
        assert got == wanted


def is_in(path: str, directories: tuple[str, ...]) -> bool:
    """Whether a path is one of some directories, or in one."""
    return any(f"{path}/".startswith(f"{each}/" if each else "") for each in directories)


@settings(max_examples=300)
@given(st.lists(tars(), min_size=1, max_size=3))
def test_a_view_of_directories_is_a_view_of_indexes(layers: list[Tar]) -> None:
    indexes = [indexed(tar) for tar in layers]
    if None in indexes:
        return
    by_index = MergedView([IndexLayer(index, "") for index in indexes if index is not None])
    with directory() as root:
        sources = []
        for number, tar in enumerate(layers):
            os.mkdir(f"{root}/{number}")
            assert unpacked(tar, f"{root}/{number}", "overlay")
            sources.append(DirectoryLayer(f"{root}/{number}"))
        by_directory = MergedView(sources)
        # An implied directory is as beneath in one, and plain in the other.
        assert [each.path for each in by_directory.walk()] == [
            each.path for each in by_index.walk()
        ]
        for path in ("a/b", "a/../c", "b/a/c", "c/../../a", "/a"):
            assert answers(by_index, path) == answers(by_directory, path)


@settings(max_examples=300)
@given(tars())
def test_writing_an_unpacked_layer_again_gives_identical_bytes(tar: Tar) -> None:
    with directory() as root:
        os.mkdir(f"{root}/1")
        os.mkdir(f"{root}/2")
        if not unpacked(tar, f"{root}/1", "overlay"):
            return
        first = bytearray()
        write_layer(overlay_changes(f"{root}/1"), first.extend)
        assert unpacked(bytes(first), f"{root}/2", "overlay")
        second = bytearray()
        result = write_layer(overlay_changes(f"{root}/2"), second.extend)
        assert second == first
        index = indexed(bytes(first))
        assert index is not None
        assert list(index) == result.entries
        assert read_entries(bytes(first)) == [each._replace(digest=b"") for each in result.entries]


@settings(max_examples=300)
@given(tars(whiteouts=False), tars(whiteouts=False))
def test_the_difference_of_two_trees_turns_one_into_the_other(lower: Tar, upper: Tar) -> None:
    with directory() as root:
        for name in ("lower", "copy", "upper"):
            os.mkdir(f"{root}/{name}")
        if not unpacked(lower, f"{root}/lower", "remove") or not unpacked(
            upper, f"{root}/upper", "remove"
        ):
            return
        assert unpacked(lower, f"{root}/copy", "remove")
        difference = bytearray()
        write_layer(tree_changes(f"{root}/lower", f"{root}/upper"), difference.extend)
        assert unpacked(bytes(difference), f"{root}/copy", "remove")
        trees = [
            MergedView([DirectoryLayer(f"{root}/{name}", overlay_whiteouts=False)])
            for name in ("upper", "copy")
        ]
        # How many names a file has does not count, nor does the time of a directory.
        wanted, got = ([_untimed(tree.lookup(each.path)) for each in tree.walk()] for tree in trees)
        assert got == wanted


def _untimed(entry: Entry | None) -> Entry | None:
    return entry._replace(mtime_ns=0) if entry is not None and entry.kind == "dir" else entry


@settings(max_examples=200)
@given(tars())
def test_a_layer_mounted_from_its_tar_is_what_unpacking_makes(tar: Tar) -> None:
    index = indexed(tar)
    if index is None:
        return
    with tempfile.TemporaryDirectory(prefix="tierce-agreement-") as scratch:
        need_images(Path(scratch))
        root = Path(scratch, "root")
        root.mkdir(mode=0o755)
        assert unpacked(tar, str(root), "overlay")
        with mounted(tar.encode(), index, Path(scratch)) as point:
            assert everything(point) == everything(root)
