import io
import os
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from support.tars import (
    END,
    entry,
    file,
    info,
    octal,
    padded,
    pax_header,
    pax_record,
    python_tar,
    raw_header,
    read,
    read_entries,
    written,
)
from tierce.errors import CorruptLayer, UnsafeLayer
from tierce.layer.entry import Entry
from tierce.layer.limits import Limits
from tierce.layer.reader import TarReader, read_layer

MTIME_NS = 1_600_000_000_000_000_000


def test_what_the_writer_wrote_comes_back() -> None:
    items = [
        entry("", "opaque", 0),
        entry("dir", "dir", 0o1777, uid=3_000_000_000, mtime_ns=-5 * 10**9),
        entry("dir", "opaque", 0),
        file("dir/" + "n" * 200, b"x" * 1000, xattrs=(("user.a", b"\0\n="), ("user.b", b""))),
        entry("dir/gone", "whiteout", 0),
        entry("fifo", "fifo"),
        file("file", b"content", mode=0o6755, mtime_ns=MTIME_NS),
        entry("hard", "hardlink", link="file"),
        entry("null", "char", device=(1, 3)),
        entry("soft", "symlink", link="../../" + "é" * 100),
        entry("vda", "block", device=(253, 1 << 18)),
    ]
    tar, result = written(items, hash_files=False)
    assert [each for each, _ in read(tar)] == result.entries
    assert [content for _, content in read(tar) if content is not None] == [b"x" * 1000, b"content"]


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_forms_of_tarfile_are_read(format_: int) -> None:
    long = "d" * 90 + "/" + "n" * 90
    tar = python_tar(
        info("dir", tarfile.DIRTYPE, mode=0o755, mtime=5),
        (info(long, mtime=5, uid=7), b"content"),
        info("soft", tarfile.SYMTYPE, linkname="t" * 99, mtime=5),
        info("hard", tarfile.LNKTYPE, linkname=long[:99], mtime=5),
        info("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mtime=5),
        info("fifo", tarfile.FIFOTYPE, mtime=5),
        format_=format_,
    )
    entries = read_entries(tar)
    assert [each.kind for each in entries] == ["dir", "file", "symlink", "hardlink", "char", "fifo"]
    assert (entries[1].path, entries[1].uid, entries[1].size) == (long, 7, 7)
    assert entries[4].device == (1, 3)
    assert all(each.mtime_ns == 5 * 10**9 for each in entries)


def test_gnu_long_names_and_links_are_read() -> None:
    name, link = "/".join(["n" * 99] * 40), "l" * 4000
    tar = python_tar(info(name, tarfile.SYMTYPE, linkname=link), format_=tarfile.GNU_FORMAT)
    (only,) = read_entries(tar)
    assert (only.path, only.link) == (name, link)


@pytest.mark.parametrize("option", ["--format=v7", "--format=oldgnu", "--format=gnu",
                                    "--format=ustar", "--format=pax"])  # fmt: skip
def test_all_forms_of_gnu_tar_are_read(tmp_path: Path, option: str) -> None:
    source = tmp_path / "source"
    (source / "dir").mkdir(parents=True)
    (source / "dir/file").write_bytes(b"content")
    os.utime(source / "dir/file", ns=(0, MTIME_NS))
    (source / "soft").symlink_to("dir/file")
    os.link(source / "dir/file", source / "hard")
    made = subprocess.run(
        ["tar", "--create", option, "--sort=name", "-C", str(source), "."],
        capture_output=True,
        check=True,
    )
    entries = read_entries(made.stdout)
    assert [(each.path, each.kind) for each in entries] == [
        ("", "dir"), ("dir", "dir"), ("dir/file", "file"), ("hard", "hardlink"),
        ("soft", "symlink"),
    ]  # fmt: skip
    assert entries[2].mtime_ns == MTIME_NS
    assert (entries[3].link, entries[4].link) == ("dir/file", "dir/file")


def test_times_of_pax_have_nanoseconds() -> None:
    def time_of(text: bytes) -> int:
        tar = pax_header((b"mtime", text)) + raw_header() + END
        return read_entries(tar)[0].mtime_ns

    assert time_of(b"1.5") == 1_500_000_000
    assert time_of(b"1600000000.123456789123") == 1_600_000_000_123_456_789
    assert time_of(b"-1.5") == -1_500_000_000
    assert time_of(b"-0.25") == -250_000_000


@pytest.mark.parametrize("text", [b"1e9", b"nan", b"1.x", b"1" * 30, b"--1", b"", b"9" * 20])
def test_a_time_that_is_no_number_is_corrupt(text: bytes) -> None:
    tar = pax_header((b"mtime", text)) + raw_header() + END
    if text:
        with pytest.raises(CorruptLayer):
            read(tar)
    else:
        assert read_entries(tar)[0].mtime_ns == 0, "an empty record is as none"


def test_base_256_numbers_are_read() -> None:
    header = raw_header(
        uid=b"\x80" + (3_000_000_000).to_bytes(7, "big"),
        mtime=b"\xff" + (-(1 << 40)).to_bytes(11, "big", signed=True),
    )
    (only,) = read_entries(header + END)
    assert only.uid == 3_000_000_000
    assert only.mtime_ns == -(1 << 40) * 10**9


def test_the_prefix_of_ustar_and_of_star_is_read() -> None:
    ustar = raw_header(b"name", rest=bytes(80) + b"some/prefix")
    star = bytearray(raw_header(b"name", rest=bytes(80) + b"p" * 131 + b"12345670000 12345670000 "))
    star[508:512] = b"tar\0"
    star[148:156] = b" " * 8
    star[148:156] = b"%06o\0 " % sum(star)
    assert read_entries(ustar + END)[0].path == "some/prefix/name"
    assert read_entries(bytes(star) + END)[0].path == "p" * 131 + "/name"


def test_signed_checksums_of_old_tars_are_accepted() -> None:
    block = bytearray(raw_header("\xe9".encode("latin-1") * 50))
    block[148:156] = b" " * 8
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % signed
    assert len(read(bytes(block) + END)) == 1


def test_a_file_whose_name_ends_in_a_slash_is_a_directory() -> None:
    assert read_entries(raw_header(b"dir/", type_=b"\0") + END)[0].kind == "dir"


def test_global_headers_are_passed_over_as_docker_does() -> None:
    tar = pax_header((b"uid", b"7"), (b"comment", b"x"), type_=b"g") + raw_header() + END
    assert read_entries(tar)[0].uid == 0


def test_the_last_of_repeated_records_counts_and_an_empty_one_is_none() -> None:
    tar = pax_header((b"path", b"one"), (b"path", b"two"), (b"uid", b"7"), (b"uid", b""))
    (only,) = read_entries(tar + raw_header(b"zero") + END)
    assert (only.path, only.uid) == ("two", 0)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"./a//b/./c/", "a/b/c"),
        (b"/absolute", "absolute"),
        (b"//a", "a"),
        (b"./", ""),
        (b".hidden", ".hidden"),
        (b"a/..b", "a/..b"),
        (b"a/...", "a/..."),
    ],
)
def test_names_are_cleaned(name: bytes, path: str) -> None:
    assert read_entries(raw_header(name, type_=b"5") + END)[0].path == path


@pytest.mark.parametrize("name", [b"..", b"../a", b"a/../b", b"a/..", b"/../etc", b"./.."])
def test_dot_dot_in_a_name_is_unsafe(name: bytes) -> None:
    with pytest.raises(UnsafeLayer, match=r"\.\."):
        read(raw_header(name, type_=b"5") + END)


@pytest.mark.parametrize("name", [b"..", b"../a", b"a/../../etc/passwd"])
def test_dot_dot_in_the_target_of_a_hard_link_is_unsafe(name: bytes) -> None:
    with pytest.raises(UnsafeLayer):
        read(raw_header(type_=b"1", link=name) + END)


def test_dot_dot_in_the_target_of_a_symlink_is_its_own_affair() -> None:
    assert read_entries(raw_header(type_=b"2", link=b"../../etc") + END)[0].link == "../../etc"


def test_dot_dot_in_an_extended_header_is_unsafe() -> None:
    with pytest.raises(UnsafeLayer):
        read(pax_header((b"path", b"../x")) + raw_header() + END)
    with pytest.raises(UnsafeLayer):
        read(raw_header(type_=b"L", size=octal(5)) + padded(b"../x\0") + raw_header() + END)


@pytest.mark.parametrize(
    ("name", "kind", "path"),
    [
        (b".wh.gone", "whiteout", "gone"),
        (b"a/b/.wh.gone", "whiteout", "a/b/gone"),
        (b"a/.wh..wh..opq", "opaque", "a"),
        (b".wh..wh..opq", "opaque", ""),
        (b"a/.wh..hidden", "whiteout", "a/.hidden"),
        (b"a/.wh....", "whiteout", "a/..."),
    ],
)
def test_whiteouts_are_kinds_of_their_own(name: bytes, kind: str, path: str) -> None:
    assert read_entries(raw_header(name) + END) == [Entry(path, kind, 0)]


@pytest.mark.parametrize("name", [b".wh..wh.plnk", b"a/.wh..wh.aufs", b".wh..wh.plnk/1.2"])
def test_metadata_of_aufs_is_passed_over(name: bytes) -> None:
    tar = raw_header(name, size=octal(5)) + padded(b"hello") + raw_header(b"next") + END
    assert [each.path for each in read_entries(tar)] == ["next"]


@pytest.mark.parametrize("name", [b".wh.", b"a/.wh..", b"a/.wh..."])
def test_a_whiteout_of_no_name_or_of_a_parent_is_unsafe(name: bytes) -> None:
    with pytest.raises(UnsafeLayer):
        read(raw_header(name) + END)


def test_something_inside_of_a_whiteout_is_corrupt() -> None:
    with pytest.raises(CorruptLayer):
        read(raw_header(b".wh.a/b") + END)


def test_the_device_that_overlayfs_takes_for_a_whiteout_is_one() -> None:
    device = raw_header(b"gone", type_=b"3", rest=bytes(64) + b"0000000\x000000000\0")
    assert read_entries(device + END) == [Entry("gone", "whiteout", 0)]


def test_attributes_of_overlayfs_and_of_the_host_do_not_enter() -> None:
    tar = pax_header(
        (b"SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        (b"SCHILY.xattr.trusted.overlay.metacopy", b""),
        (b"SCHILY.xattr.user.overlay.opaque", b"y"),
        (b"SCHILY.xattr.security.selinux", b"label"),
        (b"SCHILY.xattr.user.kept", b"1"),
    )
    assert read_entries(tar + raw_header() + END)[0].xattrs == (("user.kept", b"1"),)


def test_every_truncation_is_corrupt() -> None:
    items = [
        file("n" * 150, b"x" * 700),
        entry("link", "symlink", link="é"),
        file("z", b"y" * 512),
    ]
    tar, _ = written(items)
    cuts = [*range(0, len(tar) - 512, 512), 1, 100, 511, 513, 1025, len(tar) - 1025]
    for cut in cuts:
        with pytest.raises(CorruptLayer):
            read(tar[:cut])
    assert len(read(tar)) == 3


def test_one_zero_block_at_the_very_end_ends_an_archive() -> None:
    tar, _ = written([file("a")])
    assert len(read(tar[:-512])) == 1


def test_a_zero_block_among_entries_is_corrupt() -> None:
    with pytest.raises(CorruptLayer, match="zero block"):
        read(raw_header() + bytes(512) + raw_header() + END)


def test_the_stream_is_read_to_its_end() -> None:
    tar, _ = written([file("a")])
    stream = io.BytesIO(tar + bytes(10240) + b"whatever")
    assert len(list(read_layer(stream))) == 1
    assert not stream.read()


def test_content_that_nobody_reads_is_passed_over() -> None:
    tar, _ = written([file("a", b"x" * 3_000_000), file("b", b"y")])
    contents = [
        content.read() if each.path == "b" and content else b""
        for each, content in read_layer(io.BytesIO(tar))
    ]
    assert contents == [b"", b"y"]


def test_streams_may_give_less_than_asked_for() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 7))

    tar, result = written([file("a", b"x" * 1000), file("n" * 150, b"y")], hash_files=False)
    entries = []
    for each, content in read_layer(Trickle(tar)):
        assert content is not None
        assert content.read() == (b"x" * 1000 if each.path == "a" else b"y")
        entries.append(each)
    assert entries == result.entries


def test_the_offset_is_where_the_content_is() -> None:
    tar, _ = written([file("n" * 150, b"first"), file("z", b"second")])
    first, second = read_entries(tar)
    assert tar[first.offset : first.offset + 5] == b"first"
    assert tar[second.offset : second.offset + 6] == b"second"


@pytest.mark.parametrize(
    "block",
    [
        raw_header(checksum=b"000000\0 "),
        raw_header(size=b"notoctal\0"),
        raw_header(size=b"-0000000001\0"),
        raw_header(size=b"0o7\0"),
        raw_header(size=b"1_0\0"),
        raw_header(size=b"00000000008\0"),
        raw_header(size=b"\xff" + (-512).to_bytes(11, "big", signed=True)),
        raw_header(size=b"\x80" + (1 << 80).to_bytes(11, "big")),
        raw_header(uid=b"\xff" * 8),
        raw_header(uid=b"\x80" + (1 << 32).to_bytes(7, "big")),
        raw_header(type_=b"V"),
        raw_header(type_=b"Z"),
        raw_header(type_=b"2"),
        raw_header(type_=b"1"),
        raw_header(b"", type_=b"0"),
        raw_header(b"./", type_=b"2", link=b"x"),
        raw_header(b"dev", type_=b"3", rest=bytes(64) + b"7777777\x000000000\0"),
        b"\xff" * 512,
        b"this is no tar at all".ljust(512),
    ],
    ids=lambda block: repr(block[:20]),
)
def test_a_header_with_nonsense_in_it_is_corrupt(block: bytes) -> None:
    with pytest.raises(CorruptLayer):
        read(block + END)


def test_a_hard_link_to_the_root_is_unsafe() -> None:
    with pytest.raises(UnsafeLayer):
        read(raw_header(type_=b"1", link=b"/") + END)


@pytest.mark.parametrize(
    "raw",
    [
        b"5 a=b\n",
        b"x a=b\n",
        b"6 a=b",
        b"6 a=bx",
        b"0 \n",
        b"-6 a=b\n",
        b"7 noeq\n",
        b"5 =b\n",
        b"99999999999999999999999 a=b\n",
        b"nospaces",
    ],
)
def test_a_malformed_pax_record_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptLayer):
        read(pax_header(raw=raw) + raw_header() + END)


@pytest.mark.parametrize(
    "record", [(b"path", b"a\0b"), (b"linkpath", b"a\0b"), (b"uid", b"-1"), (b"size", b"-1"),
               (b"size", b"1e3"), (b"uid", b"4294967295"), (b"size", b"9" * 20)]
)  # fmt: skip
def test_a_pax_record_with_nonsense_in_it_is_corrupt(record: tuple[bytes, bytes]) -> None:
    with pytest.raises(CorruptLayer):
        read(
            pax_header(record) + raw_header(type_=b"2" if record[0] == b"linkpath" else b"0") + END
        )


def test_an_archive_that_ends_after_an_extended_header_is_corrupt() -> None:
    with pytest.raises(CorruptLayer):
        read(pax_header((b"path", b"x")) + END)


def test_ten_gibibytes_in_a_stream_of_one_kibibyte_are_not_allocated() -> None:
    tracemalloc.start()
    for tar in (
        raw_header(size=b"\x80" + (10 << 30).to_bytes(11, "big")) + bytes(512),
        pax_header((b"size", b"%d" % (10 << 30))) + raw_header() + bytes(512),
    ):
        with pytest.raises(CorruptLayer, match="cut short"):
            for _, content in read_layer(io.BytesIO(tar)):
                while content is not None and content.read(1 << 20):
                    pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


@pytest.mark.parametrize("type_", [b"x", b"g", b"L", b"K"])
def test_an_oversized_header_is_unsafe_before_it_is_read(type_: bytes) -> None:
    huge = raw_header(type_=type_, size=octal(1 << 30))
    with pytest.raises(UnsafeLayer, match="headers of more than"):
        read(huge + bytes(512))


def test_many_small_headers_for_one_entry_add_up() -> None:
    tar = pax_header((b"comment", b"x" * 10_000)) * 110 + raw_header() + END
    with pytest.raises(UnsafeLayer, match="headers of more than"):
        read(tar)
    separate = (pax_header((b"comment", b"x" * 10_000)) + raw_header()) * 110 + END
    assert len(read(separate)) == 110


def test_too_many_entries_are_unsafe() -> None:
    tar = raw_header() * 11 + END
    assert len(list(read_layer(io.BytesIO(tar), Limits(entries=11)))) == 11
    with pytest.raises(UnsafeLayer, match="more than 10 entries"):
        list(read_layer(io.BytesIO(tar), Limits(entries=10)))


def test_entries_that_are_passed_over_count_too() -> None:
    with pytest.raises(UnsafeLayer, match="more than 10 entries"):
        list(read_layer(io.BytesIO(raw_header(b".wh..wh.plnk") * 11 + END), Limits(entries=10)))


def test_extended_headers_without_an_entry_do_not_go_on_for_ever() -> None:
    tar = pax_header((b"comment", b"x"), type_=b"g") * 2100
    with pytest.raises(UnsafeLayer, match="headers of more than"):
        read(tar)


@pytest.mark.parametrize("path", ["n" * 256, "a/" * 2100, "d/" + "é" * 128])
def test_a_name_that_no_file_system_takes_is_unsafe(path: str) -> None:
    with pytest.raises(UnsafeLayer, match="too long"):
        read(pax_header((b"path", path.encode())) + raw_header() + END)


def test_a_link_target_that_no_file_system_takes_is_unsafe() -> None:
    with pytest.raises(UnsafeLayer, match="too long"):
        read(pax_header((b"linkpath", b"a" * 4096)) + raw_header(type_=b"2") + END)
    read(pax_header((b"linkpath", b"a" * 4095)) + raw_header(type_=b"2") + END)


def test_memory_does_not_grow_with_the_number_of_entries() -> None:
    class Endless:
        def __init__(self) -> None:
            self.left = 10_000
            self.block = raw_header() * 100

        def read(self, _size: int, /) -> bytes:
            self.left -= 100
            return self.block if self.left >= 0 else b""

    reader = TarReader(Endless())
    reader.next()
    tracemalloc.start()
    for _ in range(9_000):
        reader.next()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_data_behind_what_cannot_have_any_is_not_skipped() -> None:
    # Go and GNU tar ignore the size of such headers; a reader that skipped data would see
    # other entries than they do.
    tar = raw_header(b"link", type_=b"2", link=b"x", size=octal(512)) + raw_header(b"next") + END
    assert [each.path for each in read_entries(tar)] == ["link", "next"]


def test_pax_record_lengths_are_right_where_they_gain_a_digit() -> None:
    for length in range(80, 110):
        assert len(pax_record(b"path", b"n" * length)) == int(
            pax_record(b"path", b"n" * length).split()[0]
        )
        tar, _ = written([entry("l", "symlink", link="é" + "n" * length)])
        assert read_entries(tar)[0].link == "é" + "n" * length
