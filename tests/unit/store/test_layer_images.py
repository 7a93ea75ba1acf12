"""Layers that are mounted from their tars: which, when the image is made, and how long it stays."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from support.erofs import need_images
from support.layers import MTIME_NS, add_snapshot, put_layer
from tierce.errors import StoreError
from tierce.layer.compression import compress
from tierce.layer.entry import Entry
from tierce.layer.index import LayerIndex
from tierce.linux.mounts import mount_table
from tierce.oci.digest import Digest
from tierce.store import Store
from tierce.store.check import check
from tierce.store.snapshots import Snapshot, images
from tierce.store.snapshots.base import IMAGE_NAME
from tierce.store.usage import disk_usage_of


@pytest.fixture(autouse=True)
def _images(store: Store, tmp_path: Path) -> None:
    need_images(tmp_path)
    assert store.parts.snapshotter.takes_images


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def many(prefix: str = "d") -> dict[str, bytes | Entry]:
    """Files enough for an image to be worthwhile."""
    return {f"{prefix}/{number}": b"%d" % number for number in range(images.FEWEST_ENTRIES)}


def image_of(store: Store, snapshot: Snapshot) -> Path:
    return store.paths.snapshot(snapshot.id) / IMAGE_NAME


def mounts_below(directory: Path) -> list[tuple[str, str]]:
    return [
        (info.target, info.type)
        for info in mount_table()
        if info.target.startswith(f"{directory}/")
    ]


def names_in(store: Store, snapshot: Snapshot, target: Path) -> list[str]:
    with store.snapshots.mounted(snapshot.id, target, read_only=True):
        return sorted(os.listdir(target))


def compressed(store: Store, diff_id: Digest) -> Digest:
    """A compressed blob in place of the plain one, as a layer that was loaded."""
    with store.blobs.open(diff_id) as tar, store.blobs.writer() as writer:
        compress(tar, writer.write, "gzip")
        digest = writer.commit()
    store.blobs.set_diff_id(digest, diff_id)
    store.blobs.remove(diff_id)
    return digest


# Which


def test_layer_of_many_files_is_mounted_and_one_of_few_unpacked(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, many())
    top = add_snapshot(store, base, {"few": b"1"})
    assert names_in(store, top, target) == ["d", "few"]
    assert [each.unpacked for each in store.snapshots.chain(top.id)] == [False, True]
    assert image_of(store, base).exists()
    assert not image_of(store, top).exists()


def test_layer_of_many_bytes_is_mounted(store: Store, target: Path) -> None:
    large = add_snapshot(store, None, {"file": bytes(images.LEAST_BYTES)})
    assert names_in(store, large, target) == ["file"]
    assert image_of(store, large).exists()
    assert not store.snapshots.get(large.id).unpacked


def test_layer_that_was_compressed_becomes_a_plain_tar_and_is_mounted(
    store: Store, target: Path
) -> None:
    files = many() | {"large": os.urandom(2 << 20)}
    snapshot = add_snapshot(store, None, files)
    assert snapshot.diff_id is not None
    compressed(store, snapshot.diff_id)
    store.paths.index(snapshot.diff_id).unlink()
    with Store.open(store.paths.root, store.paths.run) as second:
        assert names_in(second, snapshot, target) == ["d", "large"]
        assert image_of(second, snapshot).exists()
        assert second.blobs.has(snapshot.diff_id)


def test_layer_with_a_sparse_file_is_unpacked(store: Store, target: Path, tmp_path: Path) -> None:
    hole = tmp_path / "hole"
    with open(hole, "wb") as file:
        file.truncate(1 << 20)
        file.write(b"first")
    for number in range(images.FEWEST_ENTRIES):
        (tmp_path / f"file{number}").write_bytes(bytes(4000))
    command = ["tar", "--create", "--sparse", "--format=gnu", "-C", str(tmp_path)]
    names = [path.name for path in tmp_path.glob("*[0-9e]") if path.is_file()]
    tar = subprocess.run([*command, *names], capture_output=True, check=True).stdout
    digest = store.blobs.put_bytes(tar)
    snapshot = store.snapshots.add_layer(None, digest, size=0, tar_size=len(tar))
    assert "hole" in names_in(store, snapshot, target)
    assert store.snapshots.get(snapshot.id).unpacked
    assert not image_of(store, snapshot).exists()


@pytest.mark.parametrize("indexed", [True, False])
def test_layer_of_very_many_files_is_unpacked_as_a_stream(
    store: Store, target: Path, indexed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_ENTRIES", images.FEWEST_ENTRIES)
    snapshot = add_snapshot(store, None, many() | {"large": bytes(images.LEAST_BYTES)})
    assert snapshot.diff_id is not None
    if not indexed:
        store.paths.index(snapshot.diff_id).unlink()
        store.layers._indexes.clear()
    assert names_in(store, snapshot, target) == ["d", "large"]
    assert store.snapshots.get(snapshot.id).unpacked
    assert store.layers.indexed(snapshot.diff_id) is indexed


def test_small_layer_upon_a_mounted_one_takes_its_directories_from_there(
    store: Store, target: Path
) -> None:
    base = add_snapshot(
        store,
        None,
        {
            **many(),
            "": Entry("", "dir", 0o711, mtime_ns=MTIME_NS),
            "opt": Entry("opt", "dir", 0o1700, 7, 8, mtime_ns=MTIME_NS),
        },
    )
    member = Entry("opt/new", "dir", mtime_ns=MTIME_NS)
    path = target.parent / "tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo(member.path))
    digest = store.blobs.add_file(path)
    top = store.snapshots.add_layer(base.id, digest, size=0, tar_size=path.stat().st_size)
    with store.snapshots.mounted(top.id, target, read_only=True):
        status = (target / "opt").stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1700, 7, 8)
        assert target.stat().st_mode & 0o7777 == 0o711
    assert not store.snapshots.get(base.id).unpacked


# How long


def test_image_is_made_once(store: Store, target: Path) -> None:
    snapshot = add_snapshot(store, None, many())
    names_in(store, snapshot, target)
    before = image_of(store, snapshot).stat()
    names_in(store, snapshot, target)
    assert image_of(store, snapshot).stat().st_ino == before.st_ino


def test_nothing_but_the_overlay_is_left_mounted(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, many())
    top = add_snapshot(store, base, many("e"))
    with store.snapshots.mounted(top.id, target, read_only=True):
        assert mounts_below(target.parent) == [(str(target), "overlay")]
    assert mounts_below(target.parent) == []


def test_mount_that_fails_leaves_nothing_mounted(store: Store, tmp_path: Path) -> None:
    snapshot = add_snapshot(store, None, many())
    absent = store.snapshots.mounted(snapshot.id, tmp_path / "absent", read_only=True)
    with pytest.raises(StoreError, match="mount snapshot"), absent:
        pass
    assert mounts_below(tmp_path) == []


def test_image_of_an_earlier_boot_is_made_again(store: Store, target: Path) -> None:
    snapshot = add_snapshot(store, None, many())
    names_in(store, snapshot, target)
    image = image_of(store, snapshot)
    data = bytearray(image.read_bytes())
    boot = store.durability.boot.encode()
    assert boot in data
    image.write_bytes(bytes(data).replace(boot, b"0" * len(boot))[: len(data) // 2])
    with Store.open(store.paths.root, store.paths.run) as after:
        assert names_in(after, snapshot, target) == ["d"]
    assert image.read_bytes() == data


@pytest.mark.parametrize("size", [0, 10, 63, 2000])
def test_image_cut_short_is_made_again(store: Store, target: Path, size: int) -> None:
    snapshot = add_snapshot(store, None, many())
    names_in(store, snapshot, target)
    os.truncate(image_of(store, snapshot), size)
    with Store.open(store.paths.root, store.paths.run) as after:
        assert names_in(after, snapshot, target) == ["d"]


def test_what_a_killed_process_left_of_an_image_is_written_over(store: Store, target: Path) -> None:
    snapshot = add_snapshot(store, None, many())
    image = image_of(store, snapshot)
    image.parent.mkdir()
    image.with_name(IMAGE_NAME + ".new").write_bytes(b"half" * 10_000)
    assert names_in(store, snapshot, target) == ["d"]
    assert sorted(os.listdir(image.parent)) == [IMAGE_NAME, "lower"]


def test_broken_image_is_removed_by_check_without_a_word(store: Store, target: Path) -> None:
    snapshot = add_snapshot(store, None, many())
    store.records.add(["key"], snapshot.id, "step")
    names_in(store, snapshot, target)
    image = image_of(store, snapshot)
    assert check(store).findings == ()
    assert image.exists()
    with open(image, "r+b") as file:
        file.seek(2000)
        file.write(b"damage")
    assert check(store, repair=False).findings == ()
    assert image.exists()
    assert check(store).findings == ()
    assert not image.exists()
    assert names_in(store, snapshot, target) == ["d"]


def test_image_goes_with_its_snapshot_while_a_step_reads_on(store: Store, target: Path) -> None:
    snapshot = add_snapshot(store, None, many())
    assert snapshot.diff_id is not None
    with store.snapshots.mounted(snapshot.id, target, read_only=True):
        store.collect()
        assert not image_of(store, snapshot).parent.exists()
        assert not store.paths.blob(snapshot.diff_id).exists()
        assert (target / "d/7").read_bytes() == b"7"
        assert len(os.listdir(target / "d")) == images.FEWEST_ENTRIES


def test_what_a_lease_protects_stays_mountable(store: Store, target: Path) -> None:
    with store.leases.take("step"):
        snapshot = add_snapshot(store, None, many())
        active = store.snapshots.prepare(snapshot.id)
        with Store.open(store.paths.root, store.paths.run) as other:
            other.collect()
        assert image_of(store, snapshot).exists()
        with store.snapshots.mounted(active, target):
            assert (target / "d/7").read_bytes() == b"7"
        store.snapshots.discard(active)


def test_unpacking_for_a_look_leaves_the_image_to_who_is_about_to_mount_it(
    store: Store, target: Path
) -> None:
    snapshot = add_snapshot(store, None, many())
    [spec] = store.snapshots.mounts(snapshot.id, read_only=True)
    upper = store.snapshots.directories(snapshot.id).upper
    assert len(os.listdir(upper / "d")) == images.FEWEST_ENTRIES
    assert image_of(store, snapshot).exists()
    [now] = store.snapshots.mounts(snapshot.id, read_only=True)
    assert spec.beneath
    assert not now.beneath
    with store.snapshots._files().mounted([spec], target):
        assert (target / "d/7").read_bytes() == b"7"


def test_bytes_of_images_are_counted(store: Store, target: Path) -> None:
    snapshot = add_snapshot(store, None, many())
    store.records.add(["key"], snapshot.id, "step")
    before = disk_usage_of(store)
    names_in(store, snapshot, target)
    usage = disk_usage_of(store)
    assert (
        usage.build_cache.size >= before.build_cache.size + image_of(store, snapshot).stat().st_size
    )
    done = subprocess.run(
        ["du", "--summarize", "--block-size=1", store.paths.root],
        capture_output=True,
        check=True,
        text=True,
    )
    assert usage.size == int(done.stdout.split()[0])


def test_the_same_layer_twice_in_a_chain_is_mounted_twice(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, many())
    top = add_snapshot(store, base, many())
    assert (top.diff_id, top.id) == (base.diff_id, base.id + 1)
    assert names_in(store, top, target) == ["d"]
    assert image_of(store, base).read_bytes() != image_of(store, top).read_bytes()


def test_layer_of_127_images_can_be_mounted_and_written_upon(store: Store, target: Path) -> None:
    layer = put_layer(store, many())
    snapshot: Snapshot | None = None
    for _ in range(127):
        snapshot = store.snapshots.add_layer(
            None if snapshot is None else snapshot.id, layer.diff_id, size=1, tar_size=layer.size
        )
    assert snapshot is not None
    active = store.snapshots.prepare(snapshot.id)
    with store.snapshots.mounted(active, target):
        (target / "d/7").write_bytes(b"new")
        assert (target / "d/8").read_bytes() == b"8"
    top = store.snapshots.commit(active)
    assert names_in(store, top, target) == ["d"]


def test_index_of_a_layer_says_what_is_worthwhile(store: Store) -> None:
    layer = put_layer(store, {"few": bytes(images._LEAST_UNKNOWN_BYTES)})
    worth = images.LayerImages(store.paths, store.durability, store.blobs, lambda: store.layers)
    assert not worth.worthwhile(layer.diff_id)
    store.paths.index(layer.diff_id).unlink()
    store.layers._indexes.clear()
    assert worth.worthwhile(layer.diff_id)
    assert not worth.worthwhile(Digest.of(b"absent"))
    store.layers.put_index(layer.diff_id, LayerIndex.of(layer.entries))
