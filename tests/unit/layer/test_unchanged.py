import contextlib
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.tars import entry, file, written
from tierce.errors import LayerError
from tierce.layer.apply import apply_layer
from tierce.layer.diff import overlay_changes
from tierce.layer.sources import DirectoryLayer
from tierce.layer.unchanged import drop_unchanged
from tierce.layer.view import MergedView
from tierce.linux import rootfs

MTIME_NS = 1_600_000_000_000_000_000
LOWER = [
    entry("d", "dir", mtime_ns=MTIME_NS),
    file("d/big", b"x" * 3_000_000, mtime_ns=MTIME_NS),
    file("d/empty", b"", mtime_ns=MTIME_NS),
    file("d/kept", b"kept", mtime_ns=MTIME_NS),
    entry("d/link", "symlink", mtime_ns=MTIME_NS, link="kept"),
    entry("d/pipe", "fifo", mtime_ns=MTIME_NS),
    entry("elsewhere", "symlink", mtime_ns=MTIME_NS, link="d"),
]


class Layers:
    """A lower layer, and an upper directory that is mounted upon it while something is done."""

    def __init__(self, base: Path) -> None:
        self.lower, self.upper = base / "lower", base / "upper"
        self._work, self._merged = base / "work", base / "merged"
        for directory in (self.lower, self.upper, self._work, self._merged):
            directory.mkdir()
        tar, _ = written(LOWER)
        apply_layer(io.BytesIO(tar), str(self.lower), whiteouts="overlay")

    def do(self, act: Callable[[Path], object]) -> None:
        options = f"lowerdir={self.lower},upperdir={self.upper},workdir={self._work}"
        plain = "index=off,metacopy=off,redirect_dir=off"
        mount = ["mount", "-t", "overlay", "overlay", "-o", f"{options},{plain}"]
        subprocess.run([*mount, str(self._merged)], check=True)
        try:
            act(self._merged)
        finally:
            subprocess.run(["umount", str(self._merged)], check=True)

    def changes(self) -> list[tuple[str, str]]:
        drop_unchanged(str(self.upper), MergedView([DirectoryLayer(str(self.lower))]))
        return [(each.path, each.kind) for each, _ in overlay_changes(str(self.upper))]


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    if os.geteuid() != 0:
        pytest.skip("mounts overlayfs")
    return Layers(tmp_path)


@contextlib.contextmanager
def open_directory(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY)
    try:
        yield number
    finally:
        os.close(number)


def times_of(root: Path, *names: str) -> dict[str, int]:
    return {name: (root / name).lstat().st_mtime_ns for name in names}


def test_a_hard_link_to_a_file_beneath_is_a_file_of_its_own(layers: Layers) -> None:
    layers.do(lambda root: os.link(root / "d/big", root / "d/again"))
    assert (layers.upper / "d/big").exists()
    assert layers.changes() == [("d", "dir"), ("d/again", "file")]


def test_the_directory_keeps_the_time_of_what_was_done_in_it(layers: Layers) -> None:
    layers.do(lambda root: os.link(root / "d/kept", root / "d/again"))
    os.utime(layers.upper / "d", ns=(1, 2))
    os.utime(layers.upper, ns=(3, 4))
    layers.changes()
    assert times_of(layers.upper, "d", "") == {"d": 2, "": 4}


@pytest.mark.parametrize("name", ["d/big", "d/empty", "d/kept", "d/link", "d/pipe"])
def test_what_was_touched_without_effect_leaves_nothing(layers: Layers, name: str) -> None:
    def touch(root: Path) -> None:
        status = (root / name).lstat()
        os.chown(root / name, status.st_uid, status.st_gid, follow_symlinks=False)

    layers.do(touch)
    assert (layers.upper / name).lstat()
    assert layers.changes() == []
    assert os.listdir(layers.upper) == []


def test_a_directory_in_which_something_came_and_went_leaves_nothing(layers: Layers) -> None:
    def come_and_go(root: Path) -> None:
        (root / "d/new").touch()
        (root / "d/new").unlink()

    layers.do(come_and_go)
    assert os.listdir(layers.upper) == ["d"]
    assert layers.changes() == []


def rewritten(content: bytes) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        path.write_bytes(content)
        os.utime(path, ns=(MTIME_NS, MTIME_NS))

    return act


@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.chmod(0o600),
        lambda path: os.chown(path, 1, 0),
        lambda path: os.chown(path, 0, 1),
        lambda path: os.setxattr(path, "user.x", b""),
        lambda path: os.utime(path, ns=(0, MTIME_NS + 1)),
        rewritten(b"KEPT"),
        rewritten(b"kept, and more"),
    ],
    ids=["mode", "owner", "group", "attribute", "time", "content", "size"],
)
def test_each_change_of_a_file_stays(layers: Layers, act: Callable[[Path], object]) -> None:
    layers.do(lambda root: act(root / "d/kept"))
    assert layers.changes() == [("d", "dir"), ("d/kept", "file")]


def test_a_change_in_the_last_byte_of_much_stays(layers: Layers) -> None:
    layers.do(lambda root: rewritten(b"x" * 2_999_999 + b"y")(root / "d/big"))
    assert layers.changes() == [("d", "dir"), ("d/big", "file")]


@pytest.mark.parametrize("count", [1, 100])
def test_new_files_beside_an_unchanged_one_stay(layers: Layers, count: int) -> None:
    def act(root: Path) -> None:
        for number in range(count):
            os.link(root / "d/kept", root / f"d/new{number}")

    layers.do(act)
    new = [path for path, _ in layers.changes()[1:]]
    assert new == sorted(f"d/new{number}" for number in range(count))


@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.chmod(0o700),
        lambda path: os.chown(path, 1, 1),
        lambda path: os.setxattr(path, "user.x", b""),
    ],
    ids=["mode", "owner", "attribute"],
)
def test_each_change_of_a_directory_but_its_time_stays(
    layers: Layers, act: Callable[[Path], object]
) -> None:
    layers.do(lambda root: act(root / "d"))
    assert layers.changes() == [("d", "dir")]


def test_a_symlink_to_elsewhere_stays(layers: Layers) -> None:
    def turn(root: Path) -> None:
        (root / "d/link").unlink()
        (root / "d/link").symlink_to("KEPT")
        os.utime(root / "d/link", ns=(MTIME_NS, MTIME_NS), follow_symlinks=False)

    layers.do(turn)
    assert layers.changes() == [("d", "dir"), ("d/link", "symlink")]


def test_what_was_removed_stays_so(layers: Layers) -> None:
    layers.do(lambda root: (root / "d/kept").unlink())
    assert layers.changes() == [("d", "dir"), ("d/kept", "whiteout")]


def test_a_directory_in_the_place_of_one_hides_that_and_keeps_its_copies(layers: Layers) -> None:
    def replace(root: Path) -> None:
        subprocess.run(["cp", "-a", str(root / "d"), str(root / "copy")], check=True)
        subprocess.run(["rm", "-r", str(root / "d")], check=True)
        (root / "copy").rename(root / "d")

    layers.do(replace)
    changes = layers.changes()
    assert changes[:2] == [("d", "dir"), ("d", "opaque")]
    assert ("d/kept", "file") in changes


def test_a_link_beneath_is_not_followed_to_a_file_that_is_the_same(layers: Layers) -> None:
    def replace(root: Path) -> None:
        (root / "elsewhere").unlink()
        (root / "elsewhere").mkdir()
        subprocess.run(["cp", "-a", str(root / "d/kept"), str(root / "elsewhere")], check=True)

    layers.do(replace)
    assert ("elsewhere/kept", "file") in layers.changes()


def test_a_link_in_the_upper_directory_is_not_followed(layers: Layers) -> None:
    outside = layers.upper.parent / "outside"
    outside.mkdir()
    rewritten(b"kept")(outside / "kept")

    def replace(root: Path) -> None:
        subprocess.run(["rm", "-r", str(root / "d")], check=True)
        (root / "d").symlink_to(outside)

    layers.do(replace)
    assert layers.changes() == [("d", "symlink")]
    assert (outside / "kept").read_bytes() == b"kept"


def test_directories_may_be_nested_deeper_than_python_calls(layers: Layers) -> None:
    for path in (str(layers.lower), str(layers.upper)):
        for _ in range(1500):
            path += "/n"
            os.mkdir(path)
    assert layers.changes() == []
    with open_directory(layers.lower) as lower:
        rootfs.remove_in_directory(lower, "n")  # nobody else's tools can


def test_what_cannot_be_removed_is_reported(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers.do(lambda root: os.link(root / "d/kept", root / "d/again"))

    def refuse(path: str) -> None:
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(LayerError, match="d/kept: Read-only file system"):
        layers.changes()
