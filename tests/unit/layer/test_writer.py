import hashlib
import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tars import entry, file, from_disk, written
from tierce.errors import CorruptLayer, LayerError
from tierce.layer.entry import Content, Entry, Item
from tierce.layer.writer import write_layer

MTIME_NS = 1_600_000_000_000_000_000


def python_members(tar: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {member.name: member for member in opened}


def gnu_listing(tar: bytes, *options: str) -> list[str]:
    listing = subprocess.run(
        ["tar", "--list", "--quoting-style=literal", *options, "--file=-"],
        input=tar,
        capture_output=True,
        check=True,
    )
    assert not listing.stderr
    return os.fsdecode(listing.stdout).splitlines()


EVERYTHING = [
    entry("", "dir", 0o755),
    entry("dir", "dir", 0o1777, mtime_ns=MTIME_NS),
    entry("dir/fifo", "fifo", 0o600),
    file("dir/file", b"content", uid=1000, gid=100, mtime_ns=MTIME_NS),
    file("dir/setuid", b"x" * 513, mode=0o6755),
    entry("link", "symlink", 0o777, link="../dir/file"),
    entry("null", "char", 0o666, device=(1, 3)),
    entry("vda", "block", 0o660, device=(253, 0)),
    entry("zz", "hardlink", 0o644, link="dir/file"),
]


def test_diff_id_and_size_are_those_of_the_bytes() -> None:
    tar, result = written(EVERYTHING)
    assert result.diff_id.hex == hashlib.sha256(tar).hexdigest()
    assert result.size == len(tar)


def test_without_a_sink_the_tar_is_only_hashed() -> None:
    assert write_layer([], None).diff_id == written([])[1].diff_id
    assert write_layer(EVERYTHING, None).diff_id == written(EVERYTHING)[1].diff_id


def test_gnu_tar_and_python_read_every_kind_of_entry() -> None:
    tar, _ = written(EVERYTHING)
    assert gnu_listing(tar) == [
        "./", "dir/", "dir/fifo", "dir/file", "dir/setuid", "link", "null", "vda", "zz",
    ]  # fmt: skip
    members = python_members(tar)
    assert members["dir"].isdir()
    assert members["dir"].mode == 0o1777
    assert members["dir"].mtime == 1_600_000_000
    assert (members["dir/file"].uid, members["dir/file"].gid) == (1000, 100)
    assert members["dir/setuid"].mode == 0o6755
    assert members["dir/fifo"].isfifo()
    assert members["link"].issym()
    assert members["link"].linkname == "../dir/file"
    assert members["null"].ischr()
    assert (members["null"].devmajor, members["null"].devminor) == (1, 3)
    assert members["vda"].isblk()
    assert members["zz"].islnk()
    assert members["zz"].linkname == "dir/file"


def test_an_empty_layer_is_the_empty_tar_that_all_builders_know() -> None:
    _, result = written([])
    assert str(result.diff_id) == (
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    )


def test_an_ordinary_file_has_no_extended_header_and_nothing_of_the_host() -> None:
    tar, _ = written([file("etc/motd", b"hello\n", mtime_ns=MTIME_NS)])
    assert len(tar) == 512 + 512 + 1024
    header = tar[:512]
    assert header[156:157] == b"0"
    assert header[257:265] == b"ustar\x0000"
    assert header[265:329] == bytes(64), "no names of users"


def test_entries_come_back_as_a_reader_of_the_tar_sees_them() -> None:
    tar, result = written([file("a", b"data", mtime_ns=MTIME_NS + 999), entry("b", "dir")])
    a, b = result.entries
    assert a.mtime_ns == MTIME_NS, "a tar has seconds"
    assert tar[a.offset : a.offset + a.size] == b"data"
    assert a.digest == hashlib.sha256(b"data").digest()
    assert (b.offset, b.digest) == (-1, b"")


def test_hashes_of_files_are_optional_and_known_ones_are_kept() -> None:
    items = [file("a", b"data"), file("b", b"data", digest=b"k" * 32)]
    assert [each.digest for each in written(items)[1].entries][1] == b"k" * 32
    assert [each.digest for each in written(items, hash_files=False)[1].entries] == [b"", b"k" * 32]


@pytest.mark.parametrize("length", [99, 100, 101, 155, 200, 256, 300, 4000])
@pytest.mark.parametrize("directory", [False, True])
def test_names_of_any_length_are_read_by_others(length: int, directory: bool) -> None:
    name = ("component/" * 500)[: length - 1] + "x"
    tar, _ = written([entry(name, "dir") if directory else file(name, b"content")])
    assert gnu_listing(tar) == [name + "/" * directory]
    assert list(python_members(tar)) == [name]


def test_a_long_name_without_a_place_to_split_is_read_by_others() -> None:
    name = "n" * 250
    assert gnu_listing(written([file(name)])[0]) == [name]


@pytest.mark.parametrize("length", [100, 101, 4000])
def test_link_targets_of_any_length_are_read_by_others(length: int) -> None:
    target = "t" * length
    tar, _ = written([entry("link", "symlink", link=target)])
    assert python_members(tar)["link"].linkname == target
    assert gnu_listing(tar, "-v")[0].endswith(f"link -> {target}")


@pytest.mark.parametrize("name", ["schön", "日本語/ファイル", "bad\udcff\udc80name", "é" * 120])
def test_names_that_are_not_ascii_are_written_as_go_does_and_read_by_others(name: str) -> None:
    tar, _ = written([file(name, b"content"), entry("zlink", "symlink", link=name)])
    assert b"path=" + os.fsencode(name) + b"\n" in tar
    assert b"hdrcharset" not in tar
    assert sorted(gnu_listing(tar)) == sorted([name, "zlink"])
    members = python_members(tar)
    assert name in members
    assert members["zlink"].linkname == name


@pytest.mark.parametrize("number", [0o7777777, 0o7777777 + 1, 3_000_000_000])
def test_large_ids_are_read_by_others(number: int) -> None:
    tar, _ = written([file("a", uid=number, gid=number)])
    member = python_members(tar)["a"]
    assert (member.uid, member.gid) == (number, number)
    assert f"{number}/{number}" in gnu_listing(tar, "-v", "--numeric-owner")[0]


@pytest.mark.parametrize("seconds", [-1, -(1 << 40), 0, 0o77777777777, 0o77777777777 + 1, 1 << 40])
def test_times_before_1970_and_after_2242_are_read_by_others(seconds: int) -> None:
    tar, result = written([file("a", mtime_ns=seconds * 10**9)])
    assert python_members(tar)["a"].mtime == seconds
    assert result.entries[0].mtime_ns == seconds * 10**9


def test_fractions_of_a_second_are_dropped_downwards() -> None:
    _, result = written([file("a", mtime_ns=1_999_999_999), file("b", mtime_ns=-1)])
    assert [each.mtime_ns for each in result.entries] == [10**9, -(10**9)]


def test_times_are_clamped_and_earlier_ones_left() -> None:
    items = [file("new", mtime_ns=MTIME_NS), file("old", mtime_ns=5 * 10**9)]
    _, result = written(items, clamp_mtime=1000)
    assert [each.mtime_ns for each in result.entries] == [1000 * 10**9, 5 * 10**9]


def test_a_file_of_more_than_8_gib_has_its_size_in_an_extended_header(tmp_path: Path) -> None:
    size = 8 << 30
    big = tmp_path / "big"
    big.touch()
    os.truncate(big, size)

    class Enough(Exception):
        pass

    def sink(part: memoryview) -> None:
        tar = bytes(part)
        with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
            assert opened.next().size == size  # type: ignore[union-attr]
        raise Enough

    with pytest.raises(Enough):
        write_layer([from_disk("big", str(big), size)], sink, hash_files=False)


def test_extended_attributes_are_read_by_others() -> None:
    capability = bytes.fromhex("0100000200240000000000000000000000000000")
    xattrs = (("security.capability", capability), ("user.empty", b""), ("user.nl", b"a\n=b"))
    tar, _ = written([file("ping", b"x", xattrs=xattrs)])
    records = python_members(tar)["ping"].pax_headers
    assert records["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == (
        capability
    )
    assert records["SCHILY.xattr.user.empty"] == ""
    assert records["SCHILY.xattr.user.nl"] == "a\n=b"


def test_an_attribute_whose_name_a_record_cannot_hold_is_refused() -> None:
    with pytest.raises(LayerError, match=r"user\.a=b"):
        written([file("a", xattrs=(("user.a=b", b""),))])


def test_whiteouts_have_their_names_and_nothing_of_what_they_hide() -> None:
    tar, result = written(
        [
            entry("", "opaque", mtime_ns=MTIME_NS, uid=5),
            entry("dir", "dir"),
            entry("dir", "opaque"),
            entry("dir/gone", "whiteout", 0o755, mtime_ns=MTIME_NS, uid=5),
            entry("gone", "whiteout"),
        ]
    )
    members = python_members(tar)
    assert list(members) == [
        ".wh..wh..opq", "dir", "dir/.wh..wh..opq", "dir/.wh.gone", ".wh.gone",
    ]  # fmt: skip
    hidden = members["dir/.wh.gone"]
    assert hidden.isreg()
    assert (hidden.mode, hidden.uid, hidden.mtime, hidden.size) == (0, 0, 0, 0)
    assert result.entries[3] == Entry("dir/gone", "whiteout", 0)


@pytest.mark.parametrize("kind", ["file", "dir", "whiteout"])
@pytest.mark.parametrize("path", [".wh.name", "dir/.wh.name", "dir/.wh..wh..opq", ".wh.dir/name"])
def test_a_name_that_would_be_read_as_a_whiteout_is_refused(kind: str, path: str) -> None:
    with pytest.raises(LayerError, match="mean deletion"):
        written([entry(path, kind)])


def test_a_name_that_only_contains_the_mark_is_written() -> None:
    tar, _ = written([file("x.wh.y"), file("dir/x.wh.y")])
    assert list(python_members(tar)) == ["dir/x.wh.y", "x.wh.y"]


def test_a_socket_is_refused_by_name() -> None:
    with pytest.raises(LayerError, match="a tar cannot hold a socket"):
        written([entry("run/x", "socket")])


@pytest.mark.parametrize(
    "paths", [("b", "a"), ("a", "a"), ("a/b", "a"), ("a.b", "a/b")], ids=" ".join
)
def test_entries_out_of_order_or_twice_are_refused(paths: tuple[str, str]) -> None:
    with pytest.raises(LayerError, match="out of order"):
        write_layer([entry(path, "dir") for path in paths], None)


def test_a_hard_link_before_its_file_is_refused() -> None:
    with pytest.raises(LayerError, match="comes later"):
        written([entry("a", "hardlink", link="b"), file("b")])


def test_a_device_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LayerError, match="device"):
        written([entry("a", "char", device=(1, 1 << 24))])


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 262_144, 262_145, 1 << 20, (1 << 20) + 1])
def test_content_of_any_size_comes_from_disk_unchanged(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    items = [
        file("a", b"before"),
        from_disk("b", str(tmp_path / "source"), size),
        file("c", b"after"),
    ]
    tar, result = written(items)
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        assert opened.extractfile("b").read() == content  # type: ignore[union-attr]
        assert opened.extractfile("c").read() == b"after"  # type: ignore[union-attr]
    assert result.entries[1].digest == hashlib.sha256(content).digest()


def test_many_files_fill_buffers_without_a_gap(tmp_path: Path) -> None:
    items = []
    for number in range(100):
        path = tmp_path / f"{number:03}"
        path.write_bytes(os.urandom(40_000 + number))
        items.append(from_disk(path.name, str(path), 40_000 + number))
    tar, result = written(items)
    assert hashlib.sha256(tar).hexdigest() == result.diff_id.hex
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        for each in result.entries:
            content = (tmp_path / each.path).read_bytes()
            assert opened.extractfile(each.path).read() == content  # type: ignore[union-attr]
            assert tar[each.offset : each.offset + each.size] == content


def test_content_comes_out_of_other_tars(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"." * 512 + b"one" + b"two")
    second.write_bytes(b"." * 512 + b"x" * 300_000)
    items = [
        (Entry("a", "file", size=3), Content(str(first), 512, 3)),
        (Entry("b", "file", size=3), Content(str(first), 515, 3)),
        (Entry("c", "file", size=300_000), Content(str(second), 512, 300_000)),
        (Entry("d", "file", size=3), Content(str(first), 512, 3)),
    ]
    tar, result = written(items)
    contents = [tar[each.offset : each.offset + each.size] for each in result.entries]
    assert contents == [b"one", b"two", b"x" * 300_000, b"one"]


@pytest.mark.parametrize("size", [100, 400_000])
@pytest.mark.parametrize("change", [-1, +1])
def test_a_file_that_changed_its_size_is_an_error_with_its_name(
    tmp_path: Path, size: int, change: int
) -> None:
    (tmp_path / "source").write_bytes(bytes(size + change))
    with pytest.raises(CorruptLayer, match="write layer entry dir/name: the file changed") as error:
        written([from_disk("dir/name", str(tmp_path / "source"), size)])
    assert error.value.entry == "dir/name"


@pytest.mark.parametrize("size", [100, 400_000])
def test_a_tar_that_is_shorter_than_its_index_says_is_an_error(tmp_path: Path, size: int) -> None:
    (tmp_path / "tar").write_bytes(bytes(512))
    with pytest.raises(CorruptLayer):
        written([(Entry("a", "file", size=size), Content(str(tmp_path / "tar"), 512, size))])


def test_a_file_that_was_replaced_by_a_fifo_or_a_symlink_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "target").write_bytes(b"secret")
    (tmp_path / "link").symlink_to("target")
    for name in ("fifo", "link", "missing"):
        with pytest.raises(LayerError, match="write layer entry a:"):
            written([from_disk("a", str(tmp_path / name), 6)])


def test_content_of_another_size_than_the_entry_says_is_refused() -> None:
    with pytest.raises(LayerError, match="2 bytes given for a file of 3"):
        written([(Entry("a", "file", size=3), b"xx")])
    with pytest.raises(LayerError, match="0 bytes given for a file of 3"):
        written([(Entry("a", "file", size=3), None)])


def test_an_error_of_the_sink_stops_the_writer() -> None:
    def full(_part: memoryview) -> None:
        raise OSError(28, "No space left on device")

    items = [file(f"{number:03}", bytes(200_000)) for number in range(100)]
    with pytest.raises(OSError, match="No space left"):
        write_layer(items, full)


def test_no_thread_outlives_an_error_of_the_items() -> None:
    def items() -> Iterator[Item]:
        for number in range(40):
            yield file(f"{number:03}", bytes(200_000))
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        write_layer(items(), lambda part: None)
    assert threading.active_count() == before
