"""ADD of archives: which are unpacked, where their members go, and which are refused."""

import bz2
import gzip
import io
import lzma
import os
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from tierce.errors import BuildError
from tierce.layer.entry import Content
from tierce.store import Store
from tierce.worker import archives
from tierce.worker.archives import is_tar_header, newest_time
from tierce.worker.copy import Copier
from tierce.worker.draft import LayerDraft
from unit.worker.trees import (
    OLD_NS,
    Directory,
    File,
    Link,
    carry_out,
    copy_op,
    directory_tree,
    listing,
    local_tree,
    make,
    on_top,
)

Member = tuple[str, str, Any]
"""(name, kind, content or target or device)"""

KINDS = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def tar_of(*members: Member, uid: int = 0, mode: int | None = None, **options: Any) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", **options) as archive:
        for name, kind, what in members:
            info = tarfile.TarInfo(name)
            info.type = KINDS[kind]
            info.mode = mode if mode is not None else 0o755 if kind == "dir" else 0o644
            info.uid = info.gid = uid
            info.mtime = OLD_NS // 10**9
            if kind == "file":
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what.encode()))
                continue
            if kind in {"symlink", "hardlink"}:
                info.linkname = what
            elif kind == "char":
                info.devmajor, info.devminor = what
            archive.addfile(info)
    return output.getvalue()


class Adding:
    """ADDs one archive to a base."""

    def __init__(self, directory: Path, store: Store) -> None:
        self._directory = directory
        self._store = store
        self.source = make(directory / "source", {})
        self.base = directory / "base"

    def __call__(
        self, archive: bytes, destination: str = "/new/", owner: tuple[int, int] | None = None,
        mode: str = "",
    ) -> dict[str, str]:  # fmt: skip
        (self.source / "x.tar").write_bytes(archive)
        tree = local_tree(self.source)
        base = directory_tree(self.base) if self.base.exists() else None
        draft = LayerDraft(base, OLD_NS)
        op = copy_op(("/x.tar",), destination, mode=mode, unpack=True)
        with Copier(op, draft, owner, self._store.blobs.writer) as copier:
            carry_out(op, copier, tree)
            result = listing(on_top(draft, self.base if base else None, self._directory))
        assert not os.listdir(self._store.paths.blobs / "sha256"), "of what was decompressed"
        return result


@pytest.fixture
def adding(tmp_path: Path, store: Store) -> Adding:
    return Adding(tmp_path, store)


TAR = tar_of(("a", "file", "text"), ("dir", "dir", None), ("dir/b", "file", "more"))
UNPACKED = {"new": "dir", "new/a": "text", "new/dir": "dir", "new/dir/b": "more"}

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
}


# Which are unpacked


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_archive_is_unpacked_however_it_is_compressed(adding: Adding, name: str) -> None:
    assert adding(COMPRESSIONS[name](TAR)) == UNPACKED


def test_members_of_a_concatenated_gzip_are_one_archive(adding: Adding) -> None:
    assert adding(gzip.compress(TAR[:700]) + gzip.compress(TAR[700:])) == UNPACKED


def test_archive_that_is_a_bomb_is_refused(adding: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
    bomb = gzip.compress(tar_of(("a", "file", "0" * (2 << 20))))
    assert len(bomb) < 10_000
    with pytest.raises(BuildError, match="larger than 1048576 bytes"):
        adding(bomb)


def newest(tmp_path: Path, data: bytes) -> int | None:
    path = tmp_path / "archive"
    path.write_bytes(b"before" + data + b"after")
    return newest_time(Content(str(path), 6, len(data)))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_newest_file_of_an_archive_is_found(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    members = [("a", 5), ("b", 7), ("c", 6)]
    data = b"".join(timed_tar(name, "file", seconds)[:512] for name, seconds in members)
    assert newest(tmp_path, compress(data + bytes(1024))) == 7


def timed_tar(name: str, kind: str, seconds: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mtime, info.linkname = KINDS[kind], seconds, "a"
    return info.tobuf() + bytes(1024)


@pytest.mark.parametrize("kind", ["dir", "symlink", "fifo"])
def test_only_files_make_an_archive_newer(tmp_path: Path, kind: str) -> None:
    assert newest(tmp_path, timed_tar("a", kind, 9)) is None
    assert newest(tmp_path, timed_tar("a", "file", 5)[:512] + timed_tar("b", kind, 9)) == 5


@pytest.mark.parametrize(
    "data", [b"", b"text", b"x" * 4096, gzip.compress(b"text"), gzip.compress(b"x" * 4096)[:20]]
)
def test_what_is_no_archive_has_no_newest_file(tmp_path: Path, data: bytes) -> None:
    assert newest(tmp_path, data) is None


def test_newest_file_is_not_looked_for_in_a_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
    for bomb in (
        tar_of(("a", "file", "0" * (2 << 20))),
        timed_tar("a", "file", 1) + bytes(2 << 20),
    ):
        with pytest.raises(BuildError, match="larger than 1048576 bytes"):
            newest(tmp_path, gzip.compress(bomb))


@pytest.mark.parametrize(
    "options", [{"format": tarfile.GNU_FORMAT}, {"format": tarfile.PAX_FORMAT}]
)
def test_long_names(adding: Adding, options: dict[str, int]) -> None:
    name = "d" * 120 + "/" + "f" * 120
    assert adding(tar_of((name, "file", "text"), **options)) == {
        "new": "dir", f"new/{'d' * 120}": "dir", f"new/{name}": "text",
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"\0" * 10240,
        gzip.compress(b"text"),
        gzip.compress(b""),
        gzip.compress(TAR)[:12],
        b"\x1f\x8b" + b"x" * 600,
        b"BZh9" + b"x" * 600,
        b"\xfd7zXZ\0" + b"x" * 600,
        b"\x28\xb5\x2f\xfd" + b"x" * 600,
        TAR[:511],
        TAR[:148] + b"0000000\0" + TAR[156:],
        tar_of(),
    ],
    ids=range(13),
)
def test_anything_else_is_copied_as_it_is(adding: Adding, content: bytes) -> None:
    (adding.source / "x.tar").write_bytes(content)
    tree = local_tree(adding.source)
    draft = LayerDraft(None, OLD_NS)
    op = copy_op(("/x.tar",), "/new/", unpack=True)
    with Copier(op, draft, None, adding._store.blobs.writer) as copier:
        carry_out(op, copier, tree)
        assert [entry.path for entry, _ in draft.items()] == ["new", "new/x.tar"]


def test_archive_through_a_link_is_unpacked(adding: Adding) -> None:
    (adding.source / "real.bin").write_bytes(TAR)
    (adding.source / "x").symlink_to("real.bin")
    tree = local_tree(adding.source)
    draft = LayerDraft(None, OLD_NS)
    op = copy_op(("/x",), "/new/", unpack=True)
    with Copier(op, draft, None, adding._store.blobs.writer) as copier:
        carry_out(op, copier, tree)
        assert [entry.path for entry, _ in draft.items()] == list(UNPACKED)
        assert [entry.path for entry in copier.consumed] == ["real.bin"]
        assert copier.copied == {}


def test_copy_does_not_unpack(adding: Adding) -> None:
    (adding.source / "x.tar").write_bytes(TAR)
    tree = local_tree(adding.source)
    draft = LayerDraft(None, OLD_NS)
    op = copy_op(("/x.tar",), "/new/")
    with Copier(op, draft, None, adding._store.blobs.writer) as copier:
        carry_out(op, copier, tree)
        assert [entry.path for entry, _ in draft.items()] == ["new", "new/x.tar"]


# Where members go


def test_destination_is_a_directory_without_a_slash_too(adding: Adding) -> None:
    assert adding(TAR, "/new") == UNPACKED


def test_links_in_the_destination_are_followed(adding: Adding) -> None:
    make(adding.base, {"link": Link("/real"), "real": None})
    assert adding(tar_of(("a", "file", "text")), "/link/x") == {
        "link": "symlink -> /real", "real": "dir", "real/x": "dir", "real/x/a": "text",
    }  # fmt: skip


def test_file_in_the_way_of_the_destination(adding: Adding) -> None:
    make(adding.base, {"new": "file"})
    with pytest.raises(BuildError, match="mkdir /new: not a directory"):
        adding(TAR)


def test_root_of_an_archive_changes_nothing(adding: Adding) -> None:
    make(adding.base, {"new": Directory(0o700, (1, 1))})
    archive = tar_of(("./", "dir", None), ("./a", "file", "text"))
    assert adding(archive) == {"new": "dir 700 1:1", "new/a": "text"}


def test_absolute_names_count_from_the_destination(adding: Adding) -> None:
    assert adding(tar_of(("/etc/a", "file", "text"))) == {
        "new": "dir", "new/etc": "dir", "new/etc/a": "text",
    }  # fmt: skip


def test_implied_directories_belong_to_root(adding: Adding) -> None:
    """--chown or not: they are no members."""
    assert adding(tar_of(("x/y/a", "file", "text"), uid=9), owner=(5, 6)) == {
        "new": "dir 5:6", "new/x": "dir", "new/x/y": "dir", "new/x/y/a": "5:6 text",
    }  # fmt: skip


def test_owners_are_those_of_the_archive_or_of_chown(adding: Adding) -> None:
    members: list[Member] = [("d", "dir", None), ("f", "file", "x"), ("l", "symlink", "f")]
    for owner, shown in ((None, "9:9"), ((5, 6), "5:6")):
        result = adding(tar_of(*members, uid=9), owner=owner)
        assert result["new/d"] == f"dir {shown}"
        assert result["new/f"] == f"{shown} x"
        assert result["new/l"] == f"symlink {shown} -> f"


def test_chmod_is_not_for_members(adding: Adding) -> None:
    archive = tar_of(("a", "file", "text"), mode=0o4755)
    assert adding(archive, mode="600") == {"new": "dir", "new/a": "4755 text"}


def test_members_replace_whatever_is_there(adding: Adding) -> None:
    make(
        adding.base,
        {"new/a/old": "", "new/dir": "file", "new/link": Link("/etc/x"), "etc/x": "precious"},
    )
    archive = tar_of(
        ("a", "file", "text"), ("dir", "dir", None), ("dir/b", "file", "more"),
        ("link", "file", "mine"),
    )  # fmt: skip
    assert adding(archive) == {**UNPACKED, "new/link": "mine", "etc": "dir", "etc/x": "precious"}


def test_directories_merge(adding: Adding) -> None:
    make(adding.base, {"new/dir": Directory(0o700, (1, 1)), "new/dir/old": "old"})
    assert adding(TAR) == {**UNPACKED, "new/dir/old": "old"}


def test_last_of_two_equal_names_counts(adding: Adding) -> None:
    archive = tar_of(("a", "file", "one"), ("a", "file", "two"))
    assert adding(archive) == {"new": "dir", "new/a": "two"}


def test_links_of_the_archive_count_from_the_destination(adding: Adding) -> None:
    """As if it were the root, so that none leads out of it."""
    make(adding.base, {"etc/passwd": "precious"})
    archive = tar_of(
        ("etc", "dir", None), ("abs", "symlink", "/etc"), ("abs/a", "file", "one"),
        ("up", "symlink", "../../etc"), ("up/b", "file", "two"),
    )  # fmt: skip
    assert adding(archive) == {
        "etc": "dir", "etc/passwd": "precious", "new": "dir", "new/abs": "symlink -> /etc",
        "new/etc": "dir", "new/etc/a": "one", "new/etc/b": "two", "new/up": "symlink -> ../../etc",
    }  # fmt: skip


def test_links_of_the_image_count_from_the_destination_too(adding: Adding) -> None:
    make(adding.base, {"new/lib": Link("/usr/lib"), "new/usr/lib": None, "usr/lib": None})
    result = adding(tar_of(("lib/a", "file", "text")))
    assert result["new/usr/lib/a"] == "text"
    assert "usr/lib/a" not in result


@pytest.mark.parametrize("target", ["/etc", "absent/deep", "a"])
@pytest.mark.parametrize("member", ["out/file", "out/sub/file"])
def test_member_below_a_link_that_leads_nowhere_is_refused(
    adding: Adding, target: str, member: str
) -> None:
    archive = tar_of(("a", "file", ""), ("out", "symlink", target), (member, "file", "text"))
    with pytest.raises(BuildError, match="mkdir /new/"):
        adding(archive)


def test_link_that_is_replaced_by_a_directory_leads_nowhere_any_more(adding: Adding) -> None:
    archive = tar_of(
        ("real", "dir", None), ("x", "symlink", "real"), ("x/a", "file", "one"),
        ("x", "dir", None), ("x/b", "file", "two"),
    )  # fmt: skip
    assert adding(archive) == {
        "new": "dir", "new/real": "dir", "new/real/a": "one", "new/x": "dir", "new/x/b": "two",
    }  # fmt: skip


def test_parent_that_is_a_file_is_refused(adding: Adding) -> None:
    with pytest.raises(BuildError, match="mkdir /new/a: not a directory"):
        adding(tar_of(("a", "file", "text"), ("a/b", "file", "text")))


# Hard links


def test_hard_links_of_the_archive(adding: Adding) -> None:
    archive = tar_of(("z", "file", "text"), ("a", "hardlink", "z"), ("b", "hardlink", "./a"))
    assert adding(archive) == {
        "new": "dir", "new/a": "text", "new/b": "hardlink -> new/a", "new/z": "hardlink -> new/a",
    }  # fmt: skip


def test_hard_link_to_a_file_that_is_replaced_keeps_the_first(adding: Adding) -> None:
    archive = tar_of(("a", "file", "one"), ("b", "hardlink", "a"), ("a", "file", "two"))
    assert adding(archive) == {"new": "dir", "new/a": "two", "new/b": "one"}


def test_hard_link_to_a_file_of_the_image(adding: Adding) -> None:
    make(adding.base, {"new/old": File("old", 0o600)})
    archive = tar_of(("b", "hardlink", "old"), mode=0o600)
    assert adding(archive) == {
        "new": "dir", "new/b": "600 old", "new/old": "hardlink -> new/b",
    }  # fmt: skip


def test_hard_link_follows_links_among_the_parents_only(adding: Adding) -> None:
    archive = tar_of(
        ("real/a", "file", "text"), ("dir", "symlink", "/real"), ("l", "symlink", "real/a"),
        ("x", "hardlink", "dir/a"), ("y", "hardlink", "l"),
    )  # fmt: skip
    result = adding(archive)
    assert result["new/x"] == "hardlink -> new/real/a"
    assert result["new/y"] == "symlink -> real/a"


@pytest.mark.parametrize("target", ["absent", "etc/passwd", "dir", "b", "abs/passwd"])
def test_hard_link_to_nothing_in_the_destination_is_refused(adding: Adding, target: str) -> None:
    """A file of the image outside of it is not to be had."""
    make(adding.base, {"etc/passwd": "precious"})
    archive = tar_of(("dir", "dir", None), ("abs", "symlink", "/etc"), ("b", "hardlink", target))
    with pytest.raises(BuildError, match=r"no such file|not a file"):
        adding(archive)


# Other members


def test_device_nodes_and_pipes(adding: Adding) -> None:
    archive = tar_of(("null", "char", (1, 3)), ("pipe", "fifo", None))
    assert adding(archive) == {
        "new": "dir", "new/null": "char 644 1:3", "new/pipe": "fifo 644",
    }  # fmt: skip


def test_extended_attributes(adding: Adding) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.pax_headers = {
            "SCHILY.xattr.user.note": "text", "SCHILY.xattr.security.selinux": "host",
        }  # fmt: skip
        archive.addfile(info)
    assert adding(output.getvalue())["new/a"] == "user.note=text ''"


def sparse_tar(size: int) -> bytes:
    """GNU's old form: one block of data at the end of a file of holes."""
    header = bytearray(tar_of(("a", "file", "x" * 512))[:512])
    header[156:157] = b"S"
    header[257:265] = b"ustar  \0"
    header[386:410] = b"%011o\0%011o\0" % (size - 512, 512)
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"x" * 512 + bytes(1024)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_sparse_file_is_what_it_stands_for(
    adding: Adding, compress: Callable[[bytes], bytes]
) -> None:
    [content] = [
        line for path, line in adding(compress(sparse_tar(4 << 20))).items() if path == "new/a"
    ]
    assert content.strip("'") == "\0" * ((4 << 20) - 512) + "x" * 512


def test_enormous_sparse_file_takes_no_memory_and_no_disk(adding: Adding) -> None:
    """As long as nobody writes them out, its zeros are holes."""
    (adding.source / "x.tar").write_bytes(sparse_tar(256 << 20))
    tree = local_tree(adding.source)
    draft = LayerDraft(None, OLD_NS)
    op = copy_op(("/x.tar",), "/new/", unpack=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Copier(op, draft, None, adding._store.blobs.writer) as copier:
        carry_out(op, copier, tree)
        [kept] = (adding._store.paths.blobs / "sha256").iterdir()
        assert kept.stat().st_size >= 256 << 20
        assert kept.stat().st_blocks * 512 < 8 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


# Refused


@pytest.mark.parametrize("name", ["../a", "a/../../b", "..", "x/.."])
def test_name_that_leads_up_is_refused(adding: Adding, name: str) -> None:
    with pytest.raises(BuildError, match=r'add x\.tar: .*"\.\." in its path'):
        adding(tar_of((name, "file", "text")))


def test_hard_link_that_leads_up_is_refused(adding: Adding) -> None:
    with pytest.raises(BuildError, match=r'add x\.tar: .*"\.\." in its path'):
        adding(tar_of(("a", "hardlink", "../../etc/passwd")))


@pytest.mark.parametrize("name", [".wh.a", "dir/.wh.old", ".wh..wh..opq"])
def test_whiteout_is_refused(adding: Adding, name: str) -> None:
    make(adding.base, {"new/a": "precious"})
    with pytest.raises(BuildError, match=r"add x\.tar: a whiteout of .* mean deletion"):
        adding(tar_of((name, "file", "")))


def test_whiteout_of_overlayfs_is_refused(adding: Adding) -> None:
    with pytest.raises(BuildError, match=r"add x\.tar: a whiteout of /a"):
        adding(tar_of(("a", "char", (0, 0))))


@pytest.mark.parametrize("name", ["none", "gzip", "bzip2", "xz", "zstd"])
def test_archive_that_is_cut_short_is_refused(adding: Adding, name: str) -> None:
    long = tar_of(("a", "file", os.urandom(600_000).hex()))
    data = COMPRESSIONS[name](long)
    with pytest.raises(BuildError, match=r"add x\.tar: "):
        adding(data[: len(data) * 7 // 8])  # behind the first block of bzip2, 900,000 bytes


def test_garbage_after_a_member_is_refused(adding: Adding) -> None:
    with pytest.raises(BuildError, match=r"add x\.tar: "):
        adding(TAR[:1024] + b"garbage" * 200)


# Headers


def test_header_is_told_by_its_checksum() -> None:
    assert is_tar_header(TAR[:512])
    assert not is_tar_header(b"x" + TAR[1:512])
    assert not is_tar_header(TAR[:511])
    assert not is_tar_header(bytes(512))
    assert not is_tar_header(b"text" * 128)


def test_header_with_a_signed_checksum_is_one() -> None:
    header = bytearray(tar_of(("caf\xe9", "file", ""), encoding="latin-1")[:512])
    header[148:156] = b" " * 8
    signed = sum(byte - 256 if byte > 127 else byte for byte in header)
    header[148:156] = b"%06o\0 " % signed
    assert is_tar_header(bytes(header))
