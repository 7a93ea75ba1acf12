import hashlib
import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tars import END, entry, file, octal, padded, pax_header, raw_header, written
from tierce.errors import CorruptLayer, LayerError
from tierce.layer.apply import Applied, apply_layer
from tierce.layer.entry import Entry, Item

MTIME_NS = 1_600_000_000_000_000_000
CAPABILITY = bytes.fromhex("0100000200240000000000000000000000000000")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of other users")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    return made


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def unpack(items: list[Item], root: Path, whiteouts: str = "overlay", **options: object) -> Applied:
    tar, _ = written(items)
    return apply_layer(io.BytesIO(tar), str(root), whiteouts=whiteouts, **options)  # type: ignore[arg-type]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@as_root
def test_every_kind_of_entry_is_made_with_its_attributes(root: Path, umask: None) -> None:
    applied = unpack(
        [
            entry("", "dir", 0o751, mtime_ns=MTIME_NS),
            entry("d", "dir", 0o1777, uid=1, gid=2, mtime_ns=MTIME_NS),
            file("d/file", b"content", mode=0o664, uid=3, gid=4, mtime_ns=MTIME_NS),
            file("d/setuid", b"x", mode=0o6755, uid=5, mtime_ns=MTIME_NS),
            entry("fifo", "fifo", 0o622, mtime_ns=MTIME_NS),
            entry("hard", "hardlink", link="d/file"),
            entry("link", "symlink", link="d/file", uid=7, gid=8, mtime_ns=MTIME_NS),
            entry("null", "char", 0o666, device=(1, 3), uid=9, mtime_ns=MTIME_NS),
            entry("vda", "block", 0o660, device=(253, 0), mtime_ns=MTIME_NS),
            entry("ro", "dir", 0o555, mtime_ns=MTIME_NS),
            file("ro/file", mode=0o400),
        ],
        root,
    )
    assert applied == Applied(11, 8)
    assert mode_of(root) == 0o751
    assert mode_of(root / "d") == 0o1777
    assert mode_of(root / "d/file") == 0o664
    assert (root / "d/file").read_bytes() == b"content"
    assert mode_of(root / "d/setuid") == 0o6755
    assert mode_of(root / "fifo") == 0o622
    assert mode_of(root / "null") == 0o666
    assert mode_of(root / "ro") == 0o555
    assert os.readlink(root / "link") == "d/file"
    assert (root / "hard").samefile(root / "d/file")
    assert (root / "null").lstat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK((root / "vda").lstat().st_mode)
    owners = {
        name: ((root / name).lstat().st_uid, (root / name).lstat().st_gid)
        for name in ("d", "d/file", "d/setuid", "link", "null")
    }
    assert owners == {
        "d": (1, 2), "d/file": (3, 4), "d/setuid": (5, 0), "link": (7, 8), "null": (9, 0),
    }  # fmt: skip
    for name in ("", "d", "d/file", "fifo", "link", "null", "ro"):
        assert (root / name).lstat().st_mtime_ns == MTIME_NS, name


@as_root
def test_capabilities_survive_the_change_of_owner(root: Path) -> None:
    xattrs = (("security.capability", CAPABILITY), ("user.note", b"\0\xff"))
    unpack([file("ping", b"x", mode=0o755, uid=1, xattrs=xattrs)], root)
    assert os.getxattr(root / "ping", "security.capability") == CAPABILITY
    assert os.getxattr(root / "ping", "user.note") == b"\0\xff"


def test_attributes_of_directories_are_set_and_replaced(root: Path) -> None:
    (root / "d").mkdir()
    os.setxattr(root / "d", "user.old", b"1")
    unpack([entry("d", "dir", xattrs=(("user.new", b"2"),))], root, "remove")
    assert os.listxattr(root / "d") == ["user.new"]


@as_root
def test_a_setgid_directory_does_not_give_its_group_to_what_is_unpacked(root: Path) -> None:
    (root / "d").mkdir()
    os.chown(root / "d", 0, 50)
    (root / "d").chmod(0o2775)
    unpack([file("d/file", b""), entry("d/link", "symlink", link="x")], root, "remove")
    assert (root / "d/file").stat().st_gid == 0
    assert (root / "d/link").lstat().st_gid == 0
    assert mode_of(root / "d") == 0o2775


def test_a_directory_keeps_its_time_while_things_are_made_in_it(root: Path) -> None:
    many = [file(f"d{number % 200:03}/{number}", b"x") for number in range(1000)]
    directories = [entry(f"d{number:03}", "dir", mtime_ns=MTIME_NS) for number in range(200)]
    unpack([*directories, *many, file("late")], root)
    assert all((root / f"d{number:03}").stat().st_mtime_ns == MTIME_NS for number in range(200))


def test_directories_in_any_order_keep_their_times(root: Path) -> None:
    def header(name: bytes, kind: bytes, seconds: int) -> bytes:
        return raw_header(name, type_=kind, mtime=octal(seconds))

    blocks = [header(b"d%d/a" % number, b"0", 1) for number in range(100)]
    blocks += [header(b"d%d" % number, b"5", 5) for number in range(100)]
    blocks += [header(b"d%d/b" % number, b"0", 2) for number in range(100)]
    apply_layer(io.BytesIO(b"".join(blocks) + END), str(root), whiteouts="overlay")
    for number in range(100):
        assert (root / f"d{number}").stat().st_mtime_ns == 5 * 10**9
        assert len(os.listdir(root / f"d{number}")) == 2


def test_a_directory_that_others_were_in_keeps_its_time(root: Path) -> None:
    (root / "d").mkdir()
    os.utime(root / "d", ns=(MTIME_NS, MTIME_NS))
    unpack([file("d/new", b"x")], root, "remove")
    assert (root / "d").stat().st_mtime_ns == MTIME_NS


def test_implied_directories_are_always_the_same(root: Path, umask: None) -> None:
    unpack([file("a/b/file", b"x")], root)
    for name in ("a", "a/b"):
        assert mode_of(root / name) == 0o755
        assert (root / name).stat().st_mtime_ns == 0


def test_implied_directories_are_as_in_the_layers_beneath(root: Path) -> None:
    below = {
        "": Entry("", "dir", 0o711, mtime_ns=MTIME_NS),
        "tmp": Entry("tmp", "dir", 0o1777, mtime_ns=MTIME_NS),
        "lib": Entry("lib", "symlink", link="usr/lib"),
    }
    unpack([file("tmp/x"), file("lib/y")], root, implied=below.get)
    assert mode_of(root) == 0o711
    assert mode_of(root / "tmp") == 0o1777
    assert (root / "tmp").stat().st_mtime_ns == MTIME_NS
    assert mode_of(root / "lib") == 0o755


@as_root
def test_owners_are_mapped(root: Path) -> None:
    unpack(
        [entry("d", "dir", uid=1), file("f", uid=2), entry("l", "symlink", link="x", gid=3)],
        root,
        id_map=lambda uid, gid: (uid + 1000, gid + 2000),
    )
    assert ((root / "d").stat().st_uid, (root / "f").stat().st_uid) == (1001, 1002)
    assert (root / "l").lstat().st_gid == 2003


UNPRIVILEGED = """
import ctypes, io, os, sys  # all of them while the libraries can be read
from tierce.errors import LayerError
from tierce.layer.apply import apply_layer
root, tar, whiteouts, *skip = sys.argv[1:]
os.setgid(65534)
os.setuid(65534)
try:
    apply_layer(open(tar, "rb"), root, whiteouts=whiteouts, skip_devices=bool(skip))
except LayerError as error:
    sys.exit(error.message)
"""


@as_root
@pytest.mark.parametrize("whiteouts", ["overlay", "remove"])
def test_an_unprivileged_user_owns_everything(tmp_path: Path, whiteouts: str) -> None:
    root = Path("/dev/shm") / f"tierce-unprivileged-{os.getpid()}-{whiteouts}"
    root.mkdir(mode=0o700)
    os.chown(root, 65534, 65534)
    tar_path = root.with_suffix(".tar")
    tar, _ = written(
        [
            entry("d", "dir", 0o555, uid=1, mtime_ns=MTIME_NS),
            entry("d", "opaque"),
            file("d/file", b"x", mode=0o4755, uid=1),
            entry("gone", "whiteout"),
            entry("null", "char", device=(1, 3)),
        ]
    )
    tar_path.write_bytes(tar)
    tar_path.chmod(0o644)
    command = [sys.executable, "-c", UNPRIVILEGED, str(root), str(tar_path), whiteouts]
    try:
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "only root can make device nodes" in refused.stderr
        subprocess.run(["rm", "-rf", f"{root}/d", f"{root}/gone"], check=True)
        subprocess.run([*command, "skip"], check=True)
        assert (root / "d/file").stat().st_uid == 65534
        assert mode_of(root / "d/file") == 0o4755
        assert mode_of(root / "d") == 0o555
        assert (root / "d").stat().st_mtime_ns == MTIME_NS
        assert not (root / "null").exists()
        if whiteouts == "overlay":
            assert os.getxattr(root / "d", "user.overlay.opaque") == b"y"
            assert (root / "gone").lstat().st_rdev == 0
    finally:
        subprocess.run(["rm", "-rf", str(root), str(tar_path)], check=True)


@as_root
def test_whiteouts_become_marks_of_overlayfs(root: Path) -> None:
    unpack(
        [
            entry("d", "dir"),
            entry("d", "opaque"),
            entry("e/gone", "whiteout"),
            entry("f", "opaque"),
            entry("gone", "whiteout"),
        ],
        root,
    )
    assert os.getxattr(root / "d", "trusted.overlay.opaque") == b"y"
    assert os.getxattr(root / "f", "trusted.overlay.opaque") == b"y"
    for name in ("gone", "e/gone"):
        status = (root / name).lstat()
        assert stat.S_ISCHR(status.st_mode)
        assert status.st_rdev == 0


def block(name: bytes, kind: bytes = b"0") -> bytes:
    return raw_header(name, type_=kind)


def remove_layer(root: Path, *blocks: bytes) -> None:
    apply_layer(io.BytesIO(b"".join(blocks) + END), str(root), whiteouts="remove")


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.fixture
def lower(root: Path) -> Path:
    (root / "d/sub").mkdir(parents=True)
    for name in ("d/one", "d/two", "d/sub/three", "file"):
        (root / name).write_bytes(b"lower")
    return root


def test_whiteouts_remove_what_is_beneath(lower: Path) -> None:
    remove_layer(lower, block(b"d/.wh.one"), block(b".wh.file"), block(b".wh.missing"))
    assert tree(lower) == ["d", "d/sub", "d/sub/three", "d/two"]


def test_a_whiteout_of_a_directory_removes_all_of_it(lower: Path) -> None:
    remove_layer(lower, block(b".wh.d"))
    assert tree(lower) == ["file"]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_an_opaque_directory_hides_only_lower_layers_wherever_it_stands(
    lower: Path, order: tuple[int, ...]
) -> None:
    blocks = [block(b"d/.wh..wh..opq"), block(b"d/new"), block(b"d/sub/new")]
    remove_layer(lower, *[blocks[position] for position in order])
    assert tree(lower) == ["d", "d/new", "d/sub", "d/sub/new", "file"]


@pytest.mark.parametrize("first", [0, 1])
def test_a_whiteout_hides_only_lower_layers_wherever_it_stands(lower: Path, first: int) -> None:
    blocks = [block(b".wh.file"), block(b"file")]
    remove_layer(lower, blocks[first], blocks[1 - first])
    assert (lower / "file").read_bytes() == b""


def test_a_whiteout_of_a_directory_this_layer_has_hides_what_was_in_it(lower: Path) -> None:
    remove_layer(lower, block(b"d/new"), block(b".wh.d"))
    assert tree(lower) == ["d", "d/new", "file"]


def test_an_opaque_root_hides_everything_beneath(lower: Path) -> None:
    remove_layer(lower, block(b"new"), block(b".wh..wh..opq"))
    assert tree(lower) == ["new"]


def test_types_change(lower: Path) -> None:
    remove_layer(
        lower,
        block(b"d"),
        block(b"file", b"5"),
        block(b"file/inside"),
    )
    assert (lower / "d").is_file()
    assert tree(lower) == ["d", "file", "file/inside"]


def test_a_file_is_replaced_not_written_to(lower: Path) -> None:
    os.link(lower / "file", lower / "other-name")
    remove_layer(lower, raw_header(b"file", size=octal(3)) + padded(b"new"))
    assert (lower / "file").read_bytes() == b"new"
    assert (lower / "other-name").read_bytes() == b"lower"


def test_entries_are_told_in_order_with_digest_and_offset(root: Path) -> None:
    items = [entry("d", "dir"), file("d/f", b"x" * 3_000_000), file("e"), entry("w", "whiteout")]
    tar, result = written(items)
    seen: list[Entry] = []
    apply_layer(
        io.BytesIO(tar), str(root), whiteouts="overlay", on_entry=seen.append, hash_files=True
    )
    assert seen == result.entries
    assert seen[1].digest == hashlib.sha256(b"x" * 3_000_000).digest()


def test_the_stream_is_read_to_its_end(root: Path) -> None:
    tar, _ = written([file("f")])
    stream = io.BytesIO(tar + bytes(1 << 21))
    apply_layer(stream, str(root), whiteouts="overlay")
    assert not stream.read()


def test_sparse_files_are_unpacked_sparse(root: Path) -> None:
    header = pax_header(
        (b"GNU.sparse.size", b"10000000"), (b"GNU.sparse.map", b"5000000,4,9000000,1")
    )
    tar = header + raw_header(b"s", size=octal(5)) + padded(b"abcde") + block(b"next") + END
    apply_layer(io.BytesIO(tar), str(root), whiteouts="overlay")
    content = (root / "s").read_bytes()
    assert len(content) == 10_000_000
    assert content.strip(b"\0") == b"abcd" + bytes(3_999_996) + b"e"
    assert (root / "s").stat().st_blocks < 1000
    assert (root / "next").exists()


def test_names_that_are_not_utf_8_are_unpacked_as_they_are(root: Path) -> None:
    unpack([file("bad\udcff", b"x"), entry("link", "symlink", link="\udcfe")], root)
    assert sorted(os.listdir(os.fsencode(root))) == [b"bad\xff", b"link"]
    assert os.readlink(os.fsencode(root / "link")) == b"\xfe"


@pytest.mark.parametrize("position", range(512, 3584, 512))
def test_a_stream_that_is_cut_short_is_an_error_wherever(root: Path, position: int) -> None:
    tar, _ = written([file("a", b"x" * 700), entry("d", "dir"), file("d/b", b"y")])
    with pytest.raises(CorruptLayer, match="cut short"):
        apply_layer(io.BytesIO(tar[:position]), str(root), whiteouts="overlay")


def test_no_descriptor_is_left_after_an_error(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    tar, _ = written([file(f"d{number}/f", b"x") for number in range(100)])
    with pytest.raises(CorruptLayer):
        apply_layer(io.BytesIO(tar[:-1024]), str(root), whiteouts="overlay")
    apply_layer(io.BytesIO(tar), str(root), whiteouts="overlay")
    assert len(os.listdir("/proc/self/fd")) == before


@as_root
def test_a_full_disk_is_not_the_fault_of_the_layer(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=True)
    try:
        with pytest.raises(OSError, match="No space left") as error:
            unpack([file("big", bytes(1_000_000))], small)
        assert not isinstance(error.value, LayerError)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_layers_are_unpacked_in_parallel_threads(tmp_path: Path) -> None:
    tar, _ = written([file(f"d{number % 10}/{number:04}", b"x" * 100) for number in range(500)])
    roots = [tmp_path / str(number) for number in range(4)]
    for root in roots:
        root.mkdir()
    threads = [
        threading.Thread(
            target=apply_layer,
            args=(io.BytesIO(tar), str(root)),
            kwargs={"whiteouts": "overlay"},
        )
        for root in roots
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(tree(root)) for root in roots] == [510] * 4
