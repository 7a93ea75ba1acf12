"""Which snapshotter is taken: what works here, found out once."""

import os
import threading
from pathlib import Path

import pytest

from support.erofs import need_images
from tierce.errors import StoreError
from tierce.linux.mounts import mount_table
from tierce.store import Store
from tierce.store.paths import Paths
from tierce.store.snapshots import probe

MEMORY = Path("/dev/shm")
"""A tmpfs, of whose files the kernel mounts no images."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    with Store.open(tmp_path / "store", tmp_path / "run") as store:
        return store.paths


def remembered(paths: Paths) -> list[Path]:
    return sorted(paths.run.glob("layers-*"))


def test_images_are_taken_where_the_kernel_mounts_them(paths: Paths, tmp_path: Path) -> None:
    need_images(tmp_path)
    chosen = probe.choose_snapshotter(paths)
    assert (chosen.name, chosen.takes_images) == ("overlay", True)
    assert [path.read_text() for path in remembered(paths)] == ["erofs"]


def test_what_was_found_out_is_not_tried_again(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = probe.choose_snapshotter(paths)
    monkeypatch.setattr(probe, "_works", None)
    again = probe.choose_snapshotter(paths)
    assert (again.name, again.takes_images) == (first.name, first.takes_images)


def test_layers_are_unpacked_where_the_file_system_holds_no_images(tmp_path: Path) -> None:
    assert not probe.images_work(MEMORY)


def test_layers_are_unpacked_by_a_kernel_that_mounts_no_images(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "images_work", lambda _: False)
    chosen = probe.choose_snapshotter(paths)
    assert (chosen.name, chosen.takes_images) == ("overlay", False)
    assert [path.read_text() for path in remembered(paths)] == ["overlay"]


def test_copies_are_made_where_no_overlay_can_be_mounted(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "overlay_works", lambda _: False)
    assert probe.choose_snapshotter(paths).name == "copy"


def test_trying_leaves_nothing_behind(tmp_path: Path) -> None:
    threads = threading.active_count()
    probe.overlay_works(tmp_path)
    probe.images_work(tmp_path)
    assert os.listdir(tmp_path) == []
    assert not [info for info in mount_table() if info.target.startswith(str(tmp_path))]
    assert threading.active_count() == threads


def test_directory_that_is_absent_works_for_nothing(tmp_path: Path) -> None:
    assert not probe.overlay_works(tmp_path / "absent")
    assert not probe.images_work(tmp_path / "absent")


def test_unknown_snapshotter_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(probe.BACKEND_VARIABLE, "zfs")
    with pytest.raises(StoreError, match="choose snapshotter zfs") as caught:
        probe.choose_snapshotter(paths)
    assert caught.value.hint == "TIERCE_SNAPSHOTTER may be one of erofs, overlay, copy"
