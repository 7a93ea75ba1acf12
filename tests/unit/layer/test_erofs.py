"""A layer mounted from its tar is what unpacking the tar makes, file by file."""

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.erofs import WHITEOUT, everything, mounted, need_images
from support.tars import (
    END,
    entry,
    file,
    octal,
    padded,
    pax_header,
    raw_header,
    read_entries,
    written,
)
from tierce.layer.apply import apply_layer
from tierce.layer.building import build_index
from tierce.layer.entry import Entry, Item
from tierce.layer.erofs import IMAGE_SPARE, make_image, read_root
from tierce.layer.index import LayerIndex

Implied = Callable[[str], Entry | None]

IDENTITY = b"0123456789abcdef"
MTIME_NS = 1_600_000_000_000_000_000
CAPABILITY = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"


@pytest.fixture(autouse=True)
def _images(tmp_path: Path) -> None:
    need_images(tmp_path)


def both(
    tar: bytes, directory: Path, implied: Implied | None = None
) -> tuple[dict[str, object], dict[str, object]]:
    """What there is to see in the layer unpacked, and mounted."""
    unpacked = directory / "unpacked"
    unpacked.mkdir(mode=0o755)
    unpacked.chmod(0o755)
    apply_layer(io.BytesIO(tar), str(unpacked), whiteouts="overlay", implied=implied)
    with mounted(tar, build_index(io.BytesIO(tar))[0], directory, implied) as point:
        return everything(unpacked), everything(point)


def same(items: list[Item], directory: Path, implied: Implied | None = None) -> dict[str, Any]:
    """What the items give, unpacked and mounted alike."""
    unpacked, seen = both(written(items)[0], directory, implied)
    assert seen == unpacked
    return seen


def image_of(items: list[Item]) -> bytes | None:
    tar, result = written(items)
    return make_image(LayerIndex.of(result.entries), len(tar), IDENTITY)


# Kinds


def test_files_have_owner_mode_time_and_content(tmp_path: Path) -> None:
    same(
        [
            entry("d", "dir", 0o1750, uid=5, gid=6, mtime_ns=MTIME_NS),
            file("d/empty", mtime_ns=MTIME_NS + 10**9),
            file("d/one", b"1", mode=0o4711, uid=4_000_000_000, gid=4_100_000_000),
            file("d/block", b"x" * 512, mode=0o2755, mtime_ns=-5 * 10**9),
            file("d/more", os.urandom(70_001), mode=0),
            file("top", b"t", mtime_ns=(1 << 32) * 10**9),
        ],
        tmp_path,
    )


def test_files_are_read_at_any_place(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    tar, result = written([file("before", b"b" * 700), file("large", content)])
    with mounted(tar, LayerIndex.of(result.entries), tmp_path) as point:
        descriptor = os.open(point / "large", os.O_RDONLY)
        try:
            for at in (0, 1, 511, 512, 4095, 4096, 1_000_003, len(content) - 1, len(content)):
                assert os.pread(descriptor, 9000, at) == content[at : at + 9000]
        finally:
            os.close(descriptor)


def test_a_file_of_more_than_4_gib_is_read_to_its_end(tmp_path: Path) -> None:
    size = (4 << 30) + 700
    after = 512 + size + -size % 512 + 512
    tar = tmp_path / "tar"
    with open(tar, "wb") as sparse:
        sparse.truncate(after + 1024)
        for at, data in ((512, b"first"), (512 + size - 4, b"last"), (after, b"after")):
            sparse.seek(at)
            sparse.write(data)
    index = LayerIndex.of(
        [
            Entry("large", "file", size=size, offset=512),
            Entry("small", "file", size=5, offset=after),
        ]
    )
    with mounted(tar, index, tmp_path) as point, open(point / "large", "rb") as large:
        assert large.read(5) == b"first"
        assert large.seek(0, os.SEEK_END) == size
        large.seek(size - 4)
        assert large.read() == b"last"
        assert (point / "small").read_bytes() == b"after"


def test_nodes_are_what_they_are_in_a_directory(tmp_path: Path) -> None:
    same(
        [
            entry("block", "block", 0o660, gid=6, device=(8, 1), mtime_ns=MTIME_NS),
            entry("char", "char", 0o666, device=(4095, 1_048_575)),
            entry("null", "char", 0o666, device=(1, 3)),
            entry("pipe", "fifo", 0o1600, uid=1),
        ],
        tmp_path,
    )


@pytest.mark.parametrize("length", [1, 60, 383, 384, 385, 447, 448, 449, 512, 513, 1500, 4095])
def test_symlinks_of_any_length_say_where_they_lead(length: int, tmp_path: Path) -> None:
    target = ("t" * 200 + "/") * 21
    items = [entry(f"link{number}", "symlink", 0o777, link=target[:length]) for number in range(9)]
    same([*items, entry("other", "symlink", 0o777, link="é\udcff")], tmp_path)


def test_hard_links_are_names_of_one_file(tmp_path: Path) -> None:
    seen = same(
        [
            file("a/file", b"content", mode=0o4755),
            entry("b/also", "hardlink", link="a/file"),
            entry("z", "hardlink", link="a/file"),
            entry("link", "symlink", 0o777, link="x"),
            entry("link2", "hardlink", link="link"),
            entry("pipe", "fifo", 0o600),
            entry("pipe2", "hardlink", link="pipe"),
        ],
        tmp_path,
    )
    assert seen["z"][2] == "a/file"
    assert seen["z"][1][3] == 3


def test_links_to_links_are_names_of_one_file(tmp_path: Path) -> None:
    members = [
        raw_header(b"one", size=octal(1)) + padded(b"1"),
        raw_header(b"two", type_=b"1", link=b"one"),
        raw_header(b"three", type_=b"1", link=b"two"),
    ]
    unpacked, seen = both(b"".join(members) + END, tmp_path)
    assert seen == unpacked


def test_attributes_are_those_that_unpacking_gives(tmp_path: Path) -> None:
    user = (("user.a", b""), ("user.long", bytes(range(256)) * 10))
    seen = same(
        [
            entry("", "dir", 0o711, xattrs=(("user.root", b"r"),)),
            entry("d", "dir", 0o755, xattrs=user),
            file("f", b"1", xattrs=(("security.capability", CAPABILITY), *user)),
            file("g", xattrs=(("user." + "n" * 250, b"v"),)),
            *(file(f"h{number}", xattrs=(("user.n", b"%d" % number),)) for number in range(40)),
            entry("l", "symlink", 0o777, link="f", xattrs=user),
            entry("p", "fifo", xattrs=user),
        ],
        tmp_path,
    )
    assert seen["f"][5]["security.capability"] == CAPABILITY


def test_whiteouts_and_opaque_directories_are_marks_for_overlayfs(tmp_path: Path) -> None:
    seen = same(
        [
            entry("d", "dir", xattrs=(("user.a", b"1"),)),
            entry("d", "opaque"),
            entry("d/gone", "whiteout"),
            entry("e/f", "opaque"),
            entry("gone", "whiteout"),
        ],
        tmp_path,
    )
    assert seen["gone"] == seen["d/gone"] == WHITEOUT
    assert seen["e/f"][5] == {"trusted.overlay.opaque": b"y"}


def test_an_opaque_root_is_marked_as_when_it_is_unpacked(tmp_path: Path) -> None:
    same([entry("", "dir", 0o700), entry("", "opaque"), file("a", b"1")], tmp_path)


# Directories


def test_names_are_found_whatever_they_are_and_however_many(tmp_path: Path) -> None:
    odd = ["!", " ", "+", "-", ".a", "..a", "...", "é", "€", "\U0001f600", "\udcff", "\ue000", "~"]
    items = [file(f"d/{name}", name.encode(errors="replace")) for name in odd]
    items += [file(f"d/{'n' * 250}{number:05}", b"x") for number in range(300)]
    items += [file(f"many/{number}", b"%d" % number) for number in range(3000)]
    items += [entry(f"dirs/{number}", "dir") for number in range(200)]
    seen = same(items, tmp_path)
    assert seen["dirs"][1][3] == 202


def test_a_deep_tree_is_walked(tmp_path: Path) -> None:
    path = "/".join("d" * 60 for _ in range(30))
    same([file(path, b"deep")], tmp_path)


def test_an_empty_layer_is_an_empty_directory(tmp_path: Path) -> None:
    assert list(same([], tmp_path)) == [""]


def test_directories_without_an_entry_are_as_beneath(tmp_path: Path) -> None:
    xattrs = (("user.a", b"1"),)
    below = {
        "": Entry("", "dir", 0o711, 1, 2, mtime_ns=MTIME_NS),
        "usr": Entry("usr", "dir", 0o1755, 3, 4, mtime_ns=MTIME_NS + 5, xattrs=xattrs),
        "usr/lib": Entry("usr/lib", "symlink", 0o777, link="lib64"),
    }
    items = [file("usr/lib/x", b"1"), file("var/y", b"2"), entry("usr/bin/gone", "whiteout")]
    seen = same(items, tmp_path, below.get)
    assert seen["usr"][0] == "drwxr-xr-t"
    assert seen[""][1][:2] == (1, 2)


def test_root_can_be_read_out_of_an_image(tmp_path: Path) -> None:
    xattrs = (("user.a", b"123"), ("user.b", bytes(5000)), ("user.c", b""))
    root = Entry("", "dir", 0o1710, 7, 8, mtime_ns=-MTIME_NS, xattrs=xattrs)
    for each in (root, root._replace(xattrs=())):
        image = make_image(LayerIndex.of([each, Entry("a", "dir")]), 1024, IDENTITY)
        assert image is not None
        path = tmp_path / "image"
        path.write_bytes(image)
        assert read_root(path) == each


# What EROFS cannot say


@pytest.mark.parametrize(
    "odd",
    [
        Entry("f", "file", size=1, offset=-1),
        Entry("f", "file", size=1000, offset=512),
        Entry("f", "file", uid=1 << 32),
        Entry("f", "file", mtime_ns=10**9 << 63),
        Entry("n" * 256, "dir"),
        Entry("l", "symlink", link="x" * 4096),
        Entry("l", "symlink", link=""),
        Entry("l", "hardlink", link="absent"),
        Entry("l", "hardlink", link="d"),
        Entry("d/gone/x", "file"),
        Entry("d/f/x", "file"),
        Entry("f", "file", xattrs=(("user.a", bytes(65_536)),)),
        Entry("f", "file", xattrs=tuple((f"user.{n}", bytes(60_000)) for n in range(5))),
        Entry("f", "file", xattrs=(("user.", b"1"),)),
        Entry("f", "file", xattrs=(("user." + "n" * 251, b"1"),)),
        Entry("f", "file", xattrs=(("system.other", b"1"),)),
        Entry("f", "file", xattrs=(("security.capability", b"short"),)),
        Entry("f", "file", xattrs=(("security.capability", CAPABILITY[:3] + b"\x03" + bytes(16)),)),
    ],
)
def test_what_an_image_cannot_have_gives_none(odd: Entry) -> None:
    fine = [Entry("d", "dir"), Entry("d/f", "file"), Entry("d/gone", "whiteout")]
    assert make_image(LayerIndex.of(fine), 1024, IDENTITY) is not None
    assert make_image(LayerIndex.of([*fine, odd]), 1024, IDENTITY) is None


def test_a_path_that_comes_twice_gives_no_image() -> None:
    index = LayerIndex.of([Entry("a", "file"), Entry("a", "fifo")])
    assert make_image(index, 1024, IDENTITY) is None


def test_a_sparse_file_gives_no_image() -> None:
    sparse = pax_header((b"GNU.sparse.size", b"2048"), (b"GNU.sparse.map", b"1024,512"))
    tar = sparse + raw_header(b"f", size=octal(512)) + b"x" * 512 + END
    assert [each.offset for each in read_entries(tar)] == [-1]
    assert make_image(build_index(io.BytesIO(tar))[0], len(tar), IDENTITY) is None


def test_the_same_layer_gives_the_same_image() -> None:
    items = [file("a", b"1"), entry("b", "symlink", 0o777, link="a"), entry("c/d", "dir")]
    assert image_of(items) == image_of(items)
    image = image_of(items)
    assert image is not None
    assert not any(image[:IMAGE_SPARE])


# Random layers

_NAMES = st.sampled_from(["a", "b", "-", ".x", "é", "\udc80", "\ue000", "n" * 251, "m" * 200])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_XATTRS = st.dictionaries(
    st.sampled_from(["user.a", "user.b", "user.c"]), st.binary(max_size=300), max_size=2
).map(lambda found: tuple(sorted(found.items())))
_LINKS = st.integers(1, 600).map(lambda length: ("t" * 200 + "/") * (length // 201) + "x")


@st.composite
def layers(draw: st.DrawFn) -> list[Item]:
    """Any kinds with any attributes, in directories that often have no entry of their own."""
    items: dict[str, Item] = {}
    for path in draw(st.lists(_PATHS, max_size=25, unique=True)):
        kind = draw(st.sampled_from(["file", "file", "dir", "symlink", "fifo", "char", "whiteout"]))
        fields: dict[str, Any] = {
            "uid": draw(st.integers(0, 70_000)),
            "gid": draw(st.integers(0, 70_000)),
            "mtime_ns": draw(st.integers(-(10**9), 1 << 32)) * 10**9,
        }
        mode = draw(st.integers(0, 0o7777))
        if kind == "file":
            fields["xattrs"] = draw(_XATTRS)
            items[path] = file(path, draw(st.binary(max_size=1500)), mode=mode, **fields)
        elif kind == "dir":
            items[path] = entry(path, kind, mode, xattrs=draw(_XATTRS), **fields)
        elif kind == "symlink":
            items[path] = entry(path, kind, 0o777, link=draw(_LINKS), **fields)
        elif kind == "char":
            device = (draw(st.integers(1, 4095)), draw(st.integers(0, 1_048_575)))
            items[path] = entry(path, kind, mode, device=device, **fields)
        else:
            items[path] = entry(path, kind, mode, **(fields if kind == "fifo" else {}))
    above = [path[: path.rfind("/")] for path in items if "/" in path]
    leaves = {path for path, (found, _) in items.items() if found.kind != "dir"}
    kept = [
        item
        for path, item in items.items()
        if not any(path.startswith(f"{leaf}/") for leaf in leaves)
    ]
    opaque = draw(st.sets(st.sampled_from(above), max_size=2)) if above else set()
    marked = [entry(path, "opaque") for path in opaque if not _inside(path, leaves)]
    return [*kept, *marked]


def _inside(path: str, leaves: set[str]) -> bool:
    return any(f"{path}/".startswith(f"{leaf}/") for leaf in leaves)


@settings(max_examples=150)
@given(layers())
def test_a_random_layer_mounted_is_what_unpacking_makes(items: list[Item]) -> None:
    with tempfile.TemporaryDirectory(prefix="tierce-erofs-") as directory:
        same(items, Path(directory))
