import errno
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.tars import entry, file, written
from tierce.errors import LayerError
from tierce.layer.apply import apply_layer
from tierce.layer.diff import overlay_changes, tree_changes
from tierce.layer.entry import Entry, Item
from tierce.layer.index import LayerIndex
from tierce.layer.sources import DirectoryLayer, IndexLayer
from tierce.layer.view import MergedView
from tierce.layer.writer import write_layer
from tierce.linux import rootfs

MTIME_NS = 1_600_000_000_000_000_000


def kinds(items: Iterator[Item]) -> list[tuple[str, str]]:
    return [(each.path, each.kind) for each, _ in items]


class Overlay:
    """A lower layer unpacked, and an upper directory mounted upon it."""

    def __init__(self, base: Path) -> None:
        self.lower, self.upper = base / "lower", base / "upper"
        self.work, self.merged = base / "work", base / "merged"
        for directory in (self.lower, self.upper, self.work, self.merged):
            directory.mkdir()
        self._mounted = False

    def mount(self) -> None:
        options = f"lowerdir={self.lower},upperdir={self.upper},workdir={self.work}"
        subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o",
             f"{options},index=off,metacopy=off,redirect_dir=off", str(self.merged)],
            check=True,
        )  # fmt: skip
        self._mounted = True

    def umount(self) -> None:
        if self._mounted:
            subprocess.run(["umount", str(self.merged)], check=True)
            self._mounted = False


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Overlay]:
    if os.geteuid() != 0:
        pytest.skip("mounts overlayfs")
    made = Overlay(tmp_path)
    yield made
    made.umount()


LOWER = [
    entry("d", "dir", mtime_ns=MTIME_NS),
    file("d/changed", b"before", mtime_ns=MTIME_NS),
    file("d/gone", b"x", mtime_ns=MTIME_NS),
    file("d/kept", b"x", mtime_ns=MTIME_NS),
    entry("replaced", "dir", mtime_ns=MTIME_NS),
    file("replaced/inside", b"x", mtime_ns=MTIME_NS),
    entry("tree", "dir", mtime_ns=MTIME_NS),
    file("tree/inside", b"x", mtime_ns=MTIME_NS),
]


def change(root: Path) -> None:
    (root / "d/changed").write_bytes(b"after")
    (root / "d/gone").unlink()
    (root / "new").mkdir(mode=0o700)
    (root / "new/file").write_bytes(b"new")
    os.link(root / "new/file", root / "new/again")
    (root / "new/link").symlink_to("../d/kept")
    os.mkfifo(root / "new/pipe")
    subprocess.run(["rm", "-r", str(root / "replaced")], check=True)
    (root / "replaced").mkdir()
    (root / "replaced/other").write_bytes(b"y")
    subprocess.run(["rm", "-r", str(root / "tree")], check=True)
    (root / "tree").write_bytes(b"a file now")
    os.mknod(root / "new/socket", 0o140000)


def test_changes_under_a_real_overlay_are_found(overlay: Overlay) -> None:
    tar, lower = written(LOWER)
    apply_layer(io.BytesIO(tar), str(overlay.lower), whiteouts="overlay")
    overlay.mount()
    change(overlay.merged)
    seen = MergedView([DirectoryLayer(str(overlay.merged), overlay_whiteouts=False)])
    wanted = [(each.path, each.kind, each.mode, each.size) for each in seen.walk()]
    overlay.umount()
    assert kinds(overlay_changes(str(overlay.upper))) == [
        ("d", "dir"), ("d/changed", "file"), ("d/gone", "whiteout"),
        ("new", "dir"), ("new/again", "file"), ("new/file", "hardlink"), ("new/link", "symlink"),
        ("new/pipe", "fifo"), ("replaced", "dir"), ("replaced", "opaque"),
        ("replaced/other", "file"), ("tree", "file"),
    ]  # fmt: skip
    upper = write_layer(overlay_changes(str(overlay.upper)), None)
    merged = MergedView([IndexLayer(LayerIndex.of(each.entries), "") for each in (lower, upper)])
    assert [(each.path, each.kind, each.mode, each.size) for each in merged.walk()] == wanted


def test_layers_unpacked_alone_are_what_overlayfs_shows(overlay: Overlay) -> None:
    tar, lower = written(LOWER)
    apply_layer(io.BytesIO(tar), str(overlay.lower), whiteouts="overlay")
    items = [
        entry("d", "dir", 0o711, mtime_ns=MTIME_NS),
        entry("d", "opaque"),
        file("d/new", b"x", mtime_ns=MTIME_NS),
        entry("replaced/inside", "whiteout"),
        entry("tree", "whiteout"),
    ]
    tar, upper = written(items)
    below = MergedView([IndexLayer(LayerIndex.of(lower.entries), "")])
    apply_layer(io.BytesIO(tar), str(overlay.upper), whiteouts="overlay", implied=below.lookup)
    overlay.mount()
    shown = MergedView([DirectoryLayer(str(overlay.merged), overlay_whiteouts=False)])
    merged = MergedView([IndexLayer(LayerIndex.of(each.entries), "") for each in (lower, upper)])

    def essence(view: MergedView) -> list[tuple[object, ...]]:
        return [(each.path, each.kind, each.mode, each.size, each.mtime_ns) for each in view.walk()]

    assert essence(shown) == essence(merged)
    assert [each[0] for each in essence(shown)] == ["d", "d/new", "replaced"]


def test_content_in_other_layers_is_refused(tmp_path: Path) -> None:
    for name, value in (("redirect", b"/d"), ("metacopy", b"")):
        upper = tmp_path / name
        (upper / "moved").mkdir(parents=True)
        os.setxattr(upper / "moved", f"trusted.overlay.{name}", value)
        with pytest.raises(LayerError, match=f"in another layer .overlayfs {name}.") as error:
            list(overlay_changes(str(upper)))
        assert error.value.entry == "moved"


def test_other_marks_of_overlayfs_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", "trusted.overlay.origin", b"\0\xfb")
    os.setxattr(tmp_path / "d", "trusted.overlay.impure", b"y")
    os.setxattr(tmp_path / "d", "trusted.overlay.opaque", b"x")
    os.setxattr(tmp_path / "d", "user.kept", b"1")
    ((found, _),) = overlay_changes(str(tmp_path))
    assert found.kind == "dir"
    assert found.xattrs == (("user.kept", b"1"),)


def test_opaque_is_found_under_userxattr_too(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", "user.overlay.opaque", b"y")
    assert kinds(overlay_changes(str(tmp_path))) == [("d", "dir"), ("d", "opaque")]


def test_deep_trees_are_walked(tmp_path: Path) -> None:
    current = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=current)
        deeper = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = deeper
    os.close(current)
    assert len(list(overlay_changes(str(tmp_path)))) == 1500
    assert len(list(tree_changes(str(tmp_path / "d/d"), str(tmp_path)))) == 1500
    deep = DirectoryLayer(str(tmp_path))
    assert len(list(MergedView([deep]).walk())) == 1500
    assert len(list(MergedView([deep, DirectoryLayer(str(tmp_path))]).walk())) == 1500
    # Nobody else's tools can remove it.
    rootfs.remove_in_directory(current := os.open(tmp_path, os.O_RDONLY), "d")
    os.close(current)


def test_a_file_that_goes_away_meanwhile_is_an_error_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"x")

    def gone(*_: object, **__: object) -> list[str]:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(os, "listxattr", gone)
    with pytest.raises(LayerError, match="read layer entry f: No such file"):
        list(overlay_changes(str(tmp_path)))


class Trees:
    def __init__(self, base: Path) -> None:
        self.lower, self.upper = base / "lower", base / "upper"
        tar, _ = written(LOWER)
        for root in (self.lower, self.upper):
            root.mkdir()
            apply_layer(io.BytesIO(tar), str(root), whiteouts="remove")
        marker = base / "marker"
        marker.touch()
        self.copied_at_ns = marker.stat().st_ctime_ns

    def changes(self, *, hint: bool) -> list[tuple[str, str]]:
        copied_at_ns = self.copied_at_ns if hint else None
        return kinds(tree_changes(str(self.lower), str(self.upper), copied_at_ns=copied_at_ns))


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


@pytest.fixture(params=[False, True], ids=["by content", "by ctime"])
def hint(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_equal_trees_have_no_changes(trees: Trees, hint: bool) -> None:
    assert trees.changes(hint=hint) == []


def test_changes_between_trees_are_found(trees: Trees, hint: bool) -> None:
    change(trees.upper)
    assert trees.changes(hint=hint) == [
        ("d", "dir"), ("d/changed", "file"), ("d/gone", "whiteout"),
        ("new", "dir"), ("new/again", "file"), ("new/file", "hardlink"), ("new/link", "symlink"),
        ("new/pipe", "fifo"), ("replaced", "dir"), ("replaced/inside", "whiteout"),
        ("replaced/other", "file"), ("tree", "file"),
    ]  # fmt: skip


def same_time(act: Callable[[], object], path: Path) -> None:
    status = path.lstat()
    act()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def test_content_that_changed_behind_the_same_size_and_time_is_found(
    trees: Trees, hint: bool
) -> None:
    path = trees.upper / "d/changed"
    same_time(lambda: path.write_bytes(b"BEFORE"), path)
    assert trees.changes(hint=hint) == [("d", "dir"), ("d/changed", "file")]


@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.chmod(0o600),
        lambda path: os.chown(path, 1, 0),
        lambda path: os.setxattr(path, "user.x", b""),
    ],
    ids=["mode", "owner", "attribute"],
)
@pytest.mark.parametrize("name", ["d/kept", "tree"])
def test_each_kind_of_metadata_counts(
    trees: Trees, hint: bool, act: Callable[[Path], object], name: str
) -> None:
    act(trees.upper / name)
    assert trees.changes(hint=hint)[-1][0] == name


def test_the_time_of_a_file_counts_and_that_of_a_directory_does_not(
    trees: Trees, hint: bool
) -> None:
    for name in ("d/kept", "tree"):
        os.utime(trees.upper / name, ns=(0, MTIME_NS + 1))
    assert trees.changes(hint=hint) == [("d", "dir"), ("d/kept", "file")]


def test_a_new_hard_link_does_not_repeat_its_file(trees: Trees, hint: bool) -> None:
    os.link(trees.upper / "d/kept", trees.upper / "d/a")
    assert trees.changes(hint=hint) == [("d", "dir"), ("d/a", "file")]


def test_a_directory_that_became_a_symlink_is_found(trees: Trees, hint: bool) -> None:
    subprocess.run(["rm", "-r", str(trees.upper / "tree")], check=True)
    (trees.upper / "tree").symlink_to("d")
    assert trees.changes(hint=hint) == [("tree", "symlink")]


def test_a_file_that_became_a_socket_is_gone(trees: Trees, hint: bool) -> None:
    (trees.upper / "d/kept").unlink()
    os.mknod(trees.upper / "d/kept", 0o140000)
    assert trees.changes(hint=hint) == [("d", "dir"), ("d/kept", "whiteout")]


def test_unchanged_directories_above_a_change_are_entered(trees: Trees, hint: bool) -> None:
    (trees.upper / "d/kept").chmod(0o600)
    items = list(tree_changes(str(trees.lower), str(trees.upper)))
    assert items[0][0] == Entry("d", "dir", 0o755, mtime_ns=MTIME_NS)


def test_both_kinds_of_changes_make_the_same_layer(overlay: Overlay, tmp_path: Path) -> None:
    (tmp_path / "trees").mkdir()
    trees = Trees(tmp_path / "trees")
    tar, _ = written(LOWER)
    apply_layer(io.BytesIO(tar), str(overlay.lower), whiteouts="overlay")
    overlay.mount()
    for root in (overlay.merged, trees.upper):
        (root / "d/changed").write_bytes(b"after")
        (root / "d/gone").unlink()
        (root / "d/new").write_bytes(b"new")
        for path in (root / "d/changed", root / "d/new", root / "d"):
            os.utime(path, ns=(0, MTIME_NS))
    overlay.umount()
    by_overlay = write_layer(overlay_changes(str(overlay.upper)), None)
    by_trees = write_layer(tree_changes(str(trees.lower), str(trees.upper)), None)
    assert by_overlay.diff_id == by_trees.diff_id
