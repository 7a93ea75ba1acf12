import os
import shutil
from collections.abc import Callable

import pytest

from support.layers import MTIME_NS, add_snapshot, put_image, put_layer
from tierce.layer.entry import Entry
from tierce.oci.digest import Digest
from tierce.oci.reference import Reference
from tierce.store import Store
from tierce.store.check import Finding, Report, check
from tierce.store.snapshots import Snapshot


def problems(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, finding.problem) for finding in report.findings]


def run_step(store: Store, parent: Snapshot | None, name: str) -> Snapshot:
    active = store.snapshots.prepare(None if parent is None else parent.id)
    (store.snapshots.directories(active).upper / name).write_text(name)
    return store.snapshots.commit(active)


def damage(store: Store, digest: Digest | None) -> None:
    assert digest is not None
    with open(store.paths.blob(digest), "r+b") as file:
        file.seek(600)
        file.write(b"damage")


def test_store_with_everything_in_it_is_sound(store: Store) -> None:
    link = Entry("b/link", "symlink", 0o777, mtime_ns=MTIME_NS, link="a")
    base = add_snapshot(store, None, {"a": b"1", "b/c": b"2", "b/link": link})
    middle = run_step(store, base, "ran")
    top = add_snapshot(store, middle, {"c": b"3"})
    store.snapshots.unpack(top.id)
    store.snapshots.finish([top.id])
    diff_ids = [each.diff_id for each in store.snapshots.chain(top.id)]
    image = put_image(store, [each for each in diff_ids if each is not None])
    store.images.tag(Reference.parse("app:latest"), image.manifest)
    store.records.add(["key"], top.id, "step")
    unfinished = run_step(store, top, "more")
    store.records.add(["more"], unfinished.id, "step")
    store.cache_mounts.directory("apt")
    report = check(store)
    assert report.findings == ()
    assert report.sound
    assert (report.blobs, report.snapshots, report.images, report.records) == (4, 4, 1, 2)
    assert report.size > 0


def test_damaged_tar_of_an_unpacked_layer_of_ours_is_repaired(store: Store) -> None:
    made = run_step(store, None, "ran")
    store.snapshots.finish([made.id])
    diff_id = store.snapshots.get(made.id).diff_id
    assert diff_id is not None
    put_image(store, [diff_id])
    store.layers.ensure_tar(diff_id)
    damage(store, diff_id)
    report = check(store)
    assert problems(report) == [("blob", "has other content than its digest says")]
    assert report.sound
    assert check(store).findings == ()
    with store.layers.open_tar(diff_id) as tar:
        assert Digest.of(tar.read()) == diff_id


def test_image_with_a_lost_layer_is_named_and_stays(store: Store) -> None:
    layer = put_layer(store, {"a": b"1" * 5000})
    image = put_image(store, [layer.diff_id])
    store.images.tag(Reference.parse("app:latest"), image.manifest)
    damage(store, layer.diff_id)
    report = check(store)
    assert not report.sound
    assert Finding("image", "app:latest", f"its layer {layer.diff_id} is lost") in report.findings
    assert store.images.resolve("app") == image
    again = check(store)
    assert [finding.kind for finding in again.findings] == ["image"]


@pytest.mark.parametrize("what", ["manifest", "config"])
def test_image_with_a_lost_document_is_named(store: Store, what: str) -> None:
    image = put_image(store)
    lost = image.manifest if what == "manifest" else image.config
    store.paths.blob(lost).unlink()
    report = check(store)
    assert ("blob", "its file is missing") in problems(report)
    assert ("image", f"its {what} {lost} is lost") in problems(report)


def test_changed_directory_with_a_tar_is_dropped_and_unpacked_again(store: Store) -> None:
    snapshot = add_snapshot(store, None, {"a": b"1"})
    store.records.add(["key"], snapshot.id, "step")
    store.snapshots.unpack(snapshot.id)
    (store.paths.snapshot(snapshot.id) / "fs/a").write_bytes(b"2")
    report = check(store)
    assert problems(report) == [("snapshot", f"has other files than layer {snapshot.diff_id}")]
    assert report.sound
    upper = store.snapshots.directories(snapshot.id).upper
    assert (upper / "a").read_bytes() == b"1"


@pytest.mark.parametrize("how", ["changed", "missing"])
def test_lost_directory_without_a_tar_takes_its_cache_records_along(store: Store, how: str) -> None:
    made = run_step(store, None, "ran")
    store.snapshots.finish([made.id])
    top = add_snapshot(store, made, {"a": b"1"})
    store.records.add(["made"], made.id, "step 1")
    store.records.add(["top"], top.id, "step 2")
    directory = store.paths.snapshot(made.id)
    if how == "missing":
        shutil.rmtree(directory)
    else:
        (directory / "fs/ran").write_text("changed")
    report = check(store)
    assert [finding.kind for finding in report.findings] == ["snapshot", *["cache record"] * 2]
    assert report.sound
    assert store.records.list() == []
    assert check(store).findings == ()


def test_foreign_tar_is_compared_by_its_files(store: Store) -> None:
    """Another tool's tar has other bytes than ours would, and no entry for some directories."""
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("./")  # as from `tar -c .`
        info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 1_600_000_000
        tar.addfile(info)
        for name in ("z/deep/file", "a"):
            info = tarfile.TarInfo(name)
            info.size, info.uname, info.mtime = 3, "somebody", 1_600_000_000
            tar.addfile(info, io.BytesIO(b"abc"))
        info = tarfile.TarInfo("b")
        info.type, info.linkname, info.mtime = tarfile.LNKTYPE, "z/deep/file", 1_600_000_000
        tar.addfile(info)
    diff_id = store.blobs.put_bytes(buffer.getvalue())
    snapshot = store.snapshots.for_layers([diff_id])
    assert snapshot is not None
    store.records.add(["key"], snapshot.id, "step")
    store.snapshots.unpack(snapshot.id)
    assert store.parts.contents.measure(snapshot.id).diff_id != diff_id
    assert check(store).findings == ()
    (store.paths.snapshot(snapshot.id) / "fs/a").write_bytes(b"abd")
    assert [finding.kind for finding in check(store).findings] == ["snapshot"]


def test_directory_below_a_container_is_not_taken_away(store: Store) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    active = store.snapshots.prepare(base.id)
    store.containers.add("c" * 64, "box", image="", snapshot=active.id, state="{}")
    (store.paths.snapshot(base.id) / "fs/a").write_bytes(b"2")
    report = check(store)
    assert not report.sound
    assert (store.paths.snapshot(base.id) / "fs/a").exists()
    shutil.rmtree(store.paths.snapshot(active.id))
    assert ("container", "its file system is lost") in problems(check(store))


@pytest.mark.parametrize("content", [b"torn", b""])
def test_torn_index_is_dropped_and_made_again(store: Store, content: bytes) -> None:
    layer = put_layer(store, {"a": b"1"})
    put_image(store, [layer.diff_id])
    store.paths.index(layer.diff_id).write_bytes(content)
    report = check(store)
    assert [finding.kind for finding in report.findings] == ["layer index"]
    assert report.sound
    with Store.open(store.paths.root, store.paths.run) as another:
        assert [entry.path for entry in another.layers.index(layer.diff_id)] == ["a"]


def test_name_of_nothing_is_dropped(store: Store) -> None:
    store.database.execute("INSERT INTO names VALUES ('docker.io/a/b:c', 'sha256:0', 0)")
    assert problems(check(store)) == [("name", "points to sha256:0, which is not here")]
    assert check(store).findings == ()


def test_files_without_rows_are_named_and_go(store: Store) -> None:
    stray = store.paths.blobs / "sha256" / ("0" * 64)
    stray.write_text("")
    (store.paths.snapshots / "99").mkdir()
    report = check(store)
    assert {finding.name for finding in report.findings} == {
        f"blobs/sha256/{'0' * 64}",
        "snapshots/99",
    }
    assert report.sound
    assert not stray.exists()
    assert check(store).findings == ()


def test_lost_cache_mount_is_forgotten(store: Store) -> None:
    shutil.rmtree(store.cache_mounts.directory("apt"))
    assert problems(check(store)) == [("cache mount", "its directory is missing")]
    assert store.cache_mounts.list() == []


def test_dangling_rows_of_a_tampered_database_are_named(store: Store) -> None:
    store.database.execute("PRAGMA foreign_keys=OFF")
    store.database.execute("INSERT INTO record_keys VALUES ('key', 99)")
    report = check(store)
    assert problems(report) == [("database", "row None of record_keys lacks its records")]
    assert not report.sound


def test_without_repair_nothing_changes(store: Store) -> None:
    snapshot = add_snapshot(store, None, {"a": b"1" * 5000})
    store.records.add(["key"], snapshot.id, "step")
    damage(store, snapshot.diff_id)
    (store.paths.snapshots / "99").mkdir()
    before = sorted(os.listdir(store.paths.blobs / "sha256"))
    report = check(store, repair=False)
    assert not report.sound
    assert not any(finding.repaired for finding in report.findings)
    assert {finding.kind for finding in report.findings} >= {"blob", "file"}
    assert sorted(os.listdir(store.paths.blobs / "sha256")) == before
    assert (store.paths.snapshots / "99").exists()
    assert len(store.records.list()) == 1


def test_check_beside_a_build_takes_nothing_away(store: Store) -> None:
    with Store.open(store.paths.root, store.paths.run) as builder, builder.leases.take("build"):
        active = builder.snapshots.prepare(None)
        snapshot = add_snapshot(builder, None, {"a": b"1"})
        with builder.blobs.writer() as writer:
            writer.write(b"content")
            report = check(store)
            assert report.findings == ()
            digest = writer.commit()
        assert builder.blobs.has(digest)
        assert builder.snapshots.commit(active).id == active.id
        assert builder.snapshots.exists(snapshot.id)


def test_what_was_checked_is_on_disk(store: Store) -> None:
    made = run_step(store, None, "ran")
    store.records.add(["key"], made.id, "step")
    boots = "SELECT count(*) FROM snapshots WHERE boot IS NOT NULL"
    check(store, repair=False)
    assert store.database.one(boots) == (1,)
    check(store)
    assert store.database.one(boots) == (0,)


def test_full_trash_is_no_finding(store: Store) -> None:
    (store.paths.trash / "thrown").write_text("")
    assert check(store).findings == ()
    assert os.listdir(store.paths.trash) == []


def test_truncated_database_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., list[tuple[object, ...]]] = store.database.all

    def answer(sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        if sql == "PRAGMA integrity_check":
            return [("*** in database main *** Page 3: never used",)]
        return real(sql, parameters)

    monkeypatch.setattr(store.database, "all", answer)
    report = check(store)
    assert [finding.kind for finding in report.findings] == ["database"]
    assert not report.sound
