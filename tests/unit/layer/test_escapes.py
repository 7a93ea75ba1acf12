"""Ways out of the root, by name. Each is tried on both forms of unpacking.

And once more without openat2, as on kernels before 5.6.
"""

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tars import END, octal, padded, pax_header, raw_header
from tierce.errors import CorruptLayer, LayerError, UnsafeLayer
from tierce.layer.apply import apply_layer
from tierce.layer.limits import Limits
from tierce.linux import rootfs

SECRET = b"untouched"


class Prison:
    """A root to unpack into, beside what must stay as it is."""

    def __init__(self, base: Path, whiteouts: str) -> None:
        self.outside = base / "outside"
        self.root = base / "root"
        self.whiteouts = whiteouts
        self.outside.mkdir(mode=0o751)
        (self.outside / "secret").write_bytes(SECRET)
        (self.outside / "dir").mkdir()
        self.root.mkdir()
        self._before = self._state()

    def unpack(self, *blocks: bytes, limits: Limits | None = None) -> None:
        stream = io.BytesIO(b"".join(blocks) + END)
        apply_layer(stream, str(self.root), whiteouts=self.whiteouts, limits=limits or Limits())

    def check(self) -> None:
        assert self._state() == self._before

    def _state(self) -> list[object]:
        state: list[object] = []
        for directory, _, files in os.walk(self.outside):
            status = os.stat(directory)
            state.append((directory, status.st_mode, status.st_mtime_ns, status.st_ctime_ns))
            for name in files:
                path = os.path.join(directory, name)
                status = os.lstat(path)
                state.append((path, status.st_mode, status.st_nlink, status.st_ctime_ns))
                state.append(Path(path).read_bytes())
        state.append(sorted(os.listdir(self.outside.parent)))
        return state


@pytest.fixture(params=["overlay", "remove", "overlay, old kernel", "remove, old kernel"])
def prison(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Prison]:
    whiteouts, _, old_kernel = request.param.partition(", ")
    if old_kernel:

        def lacking(*_: object) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(rootfs, "openat2", lacking)
    made = Prison(tmp_path, whiteouts)
    yield made
    made.check()


def a_file(name: bytes, content: bytes = b"evil", **fields: bytes) -> bytes:
    return raw_header(name, size=octal(len(content)), **fields) + padded(content)


def a_symlink(name: bytes, target: str | bytes) -> bytes:
    raw = target if isinstance(target, bytes) else target.encode()
    if len(raw) > 100:
        return pax_header((b"linkpath", raw)) + raw_header(name, type_=b"2")
    return raw_header(name, type_=b"2", link=raw)


def a_hard_link(name: bytes, target: bytes) -> bytes:
    return raw_header(name, type_=b"1", link=target)


def test_dot_dot_in_a_name(prison: Prison) -> None:
    for name in (b"../outside/secret", b"a/../../outside/secret", b".."):
        with pytest.raises(UnsafeLayer):
            prison.unpack(a_file(name))


def test_dot_dot_in_a_pax_path(prison: Prison) -> None:
    with pytest.raises(UnsafeLayer):
        prison.unpack(pax_header((b"path", b"../outside/secret")), a_file(b"x"))


def test_dot_dot_in_a_sparse_name(prison: Prison) -> None:
    records = ((b"GNU.sparse.name", b"../outside/secret"), (b"GNU.sparse.size", b"4"),
               (b"GNU.sparse.map", b"0,4"))  # fmt: skip
    with pytest.raises(UnsafeLayer):
        prison.unpack(pax_header(*records), a_file(b"x"))


def test_absolute_name_is_below_the_root(prison: Prison) -> None:
    prison.unpack(a_file(os.fsencode(prison.outside)[:90] + b"/secret"))
    assert (prison.root / str(prison.outside)[:90].lstrip("/") / "secret").read_bytes() == b"evil"


def test_symlink_in_layer_cannot_write_outside_root(prison: Prison) -> None:
    prison.unpack(a_symlink(b"out", str(prison.outside)), a_file(b"out/secret"))
    inside = prison.root / str(prison.outside).lstrip("/") / "secret"
    assert inside.read_bytes() == b"evil", "the link leads to a place in the root"


def test_relative_symlink_in_layer_cannot_write_outside_root(prison: Prison) -> None:
    prison.unpack(a_symlink(b"out", "../outside"), a_file(b"out/secret"))
    assert (prison.root / "outside/secret").read_bytes() == b"evil"


def test_chain_of_symlinks_cannot_write_outside_root(prison: Prison) -> None:
    prison.unpack(
        raw_header(b"a", type_=b"5"),
        a_symlink(b"a/up", ".."),
        a_symlink(b"b", "a/up/../a/up/../.."),
        a_file(b"b/outside/secret"),
    )
    assert (prison.root / "outside/secret").read_bytes() == b"evil"


def test_symlink_as_last_component_is_replaced_not_followed(prison: Prison) -> None:
    prison.unpack(a_symlink(b"secret", str(prison.outside / "secret")), a_file(b"secret"))
    assert not (prison.root / "secret").is_symlink()
    assert (prison.root / "secret").read_bytes() == b"evil"


def test_directory_entry_over_a_symlink_does_not_change_its_target(prison: Prison) -> None:
    prison.unpack(
        a_symlink(b"d", str(prison.outside)), raw_header(b"d", type_=b"5", mode=b"0000777\0")
    )
    assert not (prison.root / "d").is_symlink()


def test_symlink_swapped_in_as_a_parent(prison: Prison) -> None:
    prison.unpack(
        raw_header(b"d", type_=b"5"),
        a_file(b"d/before"),
        a_symlink(b"d", str(prison.outside)),
        a_file(b"d/secret"),
    )
    assert (prison.root / "d").is_symlink()


def test_symlink_swapped_in_as_a_grandparent(prison: Prison) -> None:
    prison.unpack(
        raw_header(b"a/b", type_=b"5"),
        a_file(b"a/b/before"),
        a_symlink(b"a", str(prison.outside.parent)),
        a_file(b"a/outside/secret"),
    )


def test_symlink_swapped_between_two_files_of_a_directory(prison: Prison) -> None:
    prison.unpack(
        raw_header(b"real", type_=b"5"),
        a_symlink(b"d", "real"),
        a_file(b"d/one"),
        a_symlink(b"d", str(prison.outside)),
        a_file(b"d/secret"),
    )
    assert (prison.root / "real/one").exists()


def test_hard_link_to_a_file_outside(prison: Prison) -> None:
    for target in (b"../outside/secret", b"d/../../outside/secret"):
        with pytest.raises(UnsafeLayer):
            prison.unpack(a_hard_link(b"link", target))


def test_hard_link_with_an_absolute_target(prison: Prison) -> None:
    with pytest.raises(CorruptLayer, match="to link to"):
        prison.unpack(
            pax_header((b"linkpath", os.fsencode(prison.outside / "secret"))),
            raw_header(b"link", type_=b"1"),
        )


def test_hard_link_through_a_symlink_outside(prison: Prison) -> None:
    with pytest.raises(CorruptLayer, match="to link to"):
        prison.unpack(
            a_symlink(b"out", str(prison.outside)),
            a_hard_link(b"link", b"out/secret"),
        )


def test_hard_link_to_a_symlink_then_written_through(prison: Prison) -> None:
    prison.unpack(
        a_symlink(b"soft", str(prison.outside / "secret")),
        a_hard_link(b"hard", b"soft"),
        a_file(b"hard"),
    )
    assert (prison.root / "hard").read_bytes() == b"evil"


def test_hard_link_to_a_directory(prison: Prison) -> None:
    with pytest.raises(CorruptLayer):
        prison.unpack(raw_header(b"d", type_=b"5"), a_hard_link(b"link", b"d"))


def test_hard_link_to_itself(prison: Prison) -> None:
    with pytest.raises(CorruptLayer):
        prison.unpack(a_file(b"a"), a_hard_link(b"a", b"a"))


def test_whiteout_of_a_parent(prison: Prison) -> None:
    for name in (b".wh...", b"d/.wh...", b".wh..", b".wh.", b"../.wh.outside"):
        with pytest.raises(UnsafeLayer):
            prison.unpack(raw_header(name))


def test_whiteout_through_a_symlink(prison: Prison) -> None:
    prison.unpack(
        a_symlink(b"out", str(prison.outside)),
        raw_header(b"out/.wh.secret"),
        raw_header(b"out/.wh.dir"),
    )


def test_whiteout_through_a_symlink_of_a_lower_layer(prison: Prison) -> None:
    (prison.root / "out").symlink_to(prison.outside)
    if prison.whiteouts == "remove":
        prison.unpack(raw_header(b"out/.wh.secret"), raw_header(b"out/dir/.wh..wh..opq"))
    (prison.root / "out").unlink()


def test_opaque_through_a_symlink(prison: Prison) -> None:
    prison.unpack(
        a_symlink(b"out", str(prison.outside)),
        raw_header(b"out/.wh..wh..opq"),
        a_symlink(b"up", ".."),
        raw_header(b"up/.wh..wh..opq"),
    )


def test_whiteout_of_a_symlink_removes_the_link_alone(prison: Prison) -> None:
    (prison.root / "out").symlink_to(prison.outside)
    if prison.whiteouts == "remove":
        prison.unpack(raw_header(b".wh.out"))
        assert not (prison.root / "out").is_symlink()


def test_replacing_a_directory_with_symlinks_in_it_removes_the_links_alone(prison: Prison) -> None:
    prison.unpack(
        a_symlink(b"d/e/out", str(prison.outside)),
        a_symlink(b"d/dir", str(prison.outside / "dir")),
        a_file(b"d"),
    )
    assert (prison.root / "d").read_bytes() == b"evil"


def test_symlink_into_proc_is_not_followed_to_the_hosts_root(prison: Prison) -> None:
    for target in ("/proc/self/root", "/proc/1/root", "/proc/self/cwd", "/proc/self/fd/3"):
        prison.unpack(a_symlink(b"p", target), a_file(b"p/made-by-a-test"))
        assert not Path("/made-by-a-test").exists()
        assert (prison.root / target.lstrip("/") / "made-by-a-test").exists()


def test_loop_of_symlinks(prison: Prison) -> None:
    with pytest.raises(LayerError):
        prison.unpack(a_symlink(b"a", "b"), a_symlink(b"b", "a"), a_file(b"a/x"))


def test_device_node_of_a_whole_disk_is_not_opened(prison: Prison) -> None:
    disk = raw_header(b"disk", type_=b"4", rest=bytes(64) + b"0000010\x000000000\0")
    prison.unpack(disk, a_file(b"disk"))
    assert (prison.root / "disk").read_bytes() == b"evil"


def test_fifo_is_replaced_not_written_to(prison: Prison) -> None:
    prison.unpack(raw_header(b"pipe", type_=b"6"), a_file(b"pipe"))
    assert (prison.root / "pipe").read_bytes() == b"evil"


def test_attributes_of_overlayfs_are_not_set(prison: Prison) -> None:
    prison.unpack(
        pax_header(
            (b"SCHILY.xattr.trusted.overlay.redirect", b"/../../outside"),
            (b"SCHILY.xattr.trusted.overlay.opaque", b"y"),
            (b"SCHILY.xattr.user.overlay.opaque", b"y"),
        ),
        raw_header(b"d", type_=b"5"),
    )
    assert not os.listxattr(prison.root / "d")


def test_hard_link_to_a_whiteout_hides_nothing(prison: Prison) -> None:
    with pytest.raises(CorruptLayer):
        prison.unpack(raw_header(b".wh.gone"), a_hard_link(b"link", b"gone"))


def test_whiteout_device_as_a_parent_is_not_entered(prison: Prison) -> None:
    prison.unpack(raw_header(b".wh.d"), a_file(b"d/x"))
    assert (prison.root / "d/x").read_bytes() == b"evil"


def test_file_as_a_parent(prison: Prison) -> None:
    with pytest.raises(CorruptLayer, match="not a directory"):
        prison.unpack(a_file(b"a"), a_file(b"a/b"))


def test_deep_directories_that_no_one_lists(prison: Prison) -> None:
    deep = b"/".join([b"d"] * 2000)
    prison.unpack(
        pax_header((b"path", deep + b"/x")),
        a_file(b"x"),
        a_file(b"d"),  # and away with them
    )
    assert (prison.root / "d").is_file()


def test_too_many_implied_directories(prison: Prison) -> None:
    deep = b"/".join([b"d"] * 50)
    with pytest.raises(UnsafeLayer, match="too many directories"):
        prison.unpack(pax_header((b"path", deep)), a_file(b"x"), limits=Limits(entries=40))


def test_a_layer_that_declares_ten_gibibytes_fills_no_disk(prison: Prison) -> None:
    with pytest.raises(CorruptLayer, match="cut short"):
        prison.unpack(raw_header(b"big", size=b"\x80" + (10 << 30).to_bytes(11, "big")))
    assert sum(path.stat().st_blocks for path in prison.root.iterdir()) < 100


def test_a_sparse_file_of_an_exbibyte_fills_no_disk(prison: Prison) -> None:
    size = 1 << 42
    prison.unpack(
        pax_header((b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.map", b"%d,4" % (size - 4))),
        a_file(b"sparse"),
    )
    status = (prison.root / "sparse").stat()
    assert status.st_size == size
    assert status.st_blocks < 100
