"""What collection takes, what it leaves, and that it never takes what somebody works on."""

import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.layers import add_snapshot, put_image, put_layer
from tierce.oci.digest import Digest
from tierce.oci.reference import Reference
from tierce.store import Store
from tierce.store.gc import Freed
from tierce.store.prune import (
    prune_cache_mounts,
    prune_contexts,
    prune_images,
    prune_logs,
    prune_records,
    prune_repositories,
)


def blobs(store: Store) -> set[str]:
    return set(os.listdir(store.paths.blobs / "sha256"))


def snapshots(store: Store) -> set[int]:
    return {snapshot.id for snapshot in store.snapshots.list()}


# What goes and what stays


def test_what_nothing_refers_to_goes(store: Store) -> None:
    store.blobs.put_bytes(b"garbage")
    snapshot = add_snapshot(store, None, {"file": bytes(100_000)})
    store.snapshots.unpack(snapshot.id)
    freed = store.collect()
    assert (freed.blobs, freed.snapshots) == (2, 1)
    assert freed.size > 2 * 100_000
    assert blobs(store) == set()
    assert snapshots(store) == set()
    assert os.listdir(store.paths.snapshots) == ["empty"]
    assert os.listdir(store.paths.indexes / "sha256") == []
    assert os.listdir(store.paths.trash) == []
    assert store.collect() == Freed()


def test_image_keeps_its_documents_layers_and_snapshots(store: Store) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    top = add_snapshot(store, base, {"b": b"2"})
    assert base.diff_id is not None
    assert top.diff_id is not None
    put_image(store, [base.diff_id, top.diff_id])
    before = blobs(store)
    assert len(before) == 4
    assert store.collect() == Freed()
    assert blobs(store) == before
    assert snapshots(store) == {base.id, top.id}
    assert len(os.listdir(store.paths.indexes / "sha256")) == 2


def test_removed_image_frees_what_no_other_has(store: Store) -> None:
    shared, own = (put_layer(store, {name: b"x"}).diff_id for name in ("shared", "own"))
    first = put_image(store, [shared, own])
    put_image(store, [shared])
    store.images.remove(str(first.config))
    store.collect()
    assert own.hex not in blobs(store)
    assert shared.hex in blobs(store)


def test_record_keeps_its_snapshot_and_what_that_stands_on(store: Store) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    top = add_snapshot(store, base, {"b": b"2"})
    other = add_snapshot(store, base, {"c": b"3"})
    record = store.records.add(["key"], top.id, "step")
    store.collect()
    assert snapshots(store) == {base.id, top.id}
    assert other.diff_id is not None
    assert other.diff_id.hex not in blobs(store)
    store.records.remove(record.id)
    store.collect()
    assert snapshots(store) == set()


def test_container_keeps_its_writable_layer(store: Store) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    with store.leases.take("create"):
        active = store.snapshots.prepare(base.id)
        store.containers.add("c" * 64, "box", image="", snapshot=active.id, state="{}")
    store.collect()
    assert store.snapshots.get_active(active.id).parent == base.id
    assert store.paths.snapshot(active.id).is_dir()
    store.containers.remove("c" * 64)
    store.collect()
    assert os.listdir(store.paths.snapshots) == ["empty"]


def test_compressed_blob_of_a_kept_layer_stays(store: Store) -> None:
    layer = put_layer(store, {"a": b"1"})
    put_image(store, [layer.diff_id])
    compressed = store.blobs.put_bytes(b"compressed")
    store.blobs.set_diff_id(compressed, layer.diff_id)
    store.collect()
    assert compressed.hex in blobs(store)


def test_index_keeps_its_document_until_its_name_goes(store: Store) -> None:
    image = put_image(store)
    document = store.blobs.read(image.manifest)
    raw = (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":'
        b'[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":%d,"digest":"%s"}]}'
        % (len(document), str(image.manifest).encode())
    )
    index = store.images.put_index(raw)
    store.images.tag(Reference.parse("app:latest"), index)
    store.collect()
    assert index.hex in blobs(store)
    store.images.remove("app")
    store.collect()
    assert blobs(store) == set()


def test_directory_that_is_the_only_copy_of_a_layer_stays(store: Store, tmp_path: Path) -> None:
    """An image may have been loaded without the tar of a layer that a RUN step had made."""
    target = tmp_path / "target"
    target.mkdir()
    active = store.snapshots.prepare(None)
    with store.snapshots.mounted(active, target):
        (target / "file").write_text("content")
    made = store.snapshots.commit(active)
    store.snapshots.finish([made.id])
    diff_id = store.snapshots.get(made.id).diff_id
    assert diff_id is not None
    below = add_snapshot(store, None, {"other": b"base"})
    assert below.diff_id is not None
    image = put_image(store, [below.diff_id, diff_id])
    store.collect()
    assert store.layers.has(diff_id)
    top = store.snapshots.for_layers([below.diff_id, diff_id])
    assert top is not None
    with store.snapshots.mounted(top.id, target, read_only=True):
        assert sorted(os.listdir(target)) == ["file", "other"]
    store.images.remove(str(image.config))
    store.collect()
    assert not store.layers.has(diff_id)


def test_files_without_rows_go_and_files_in_work_stay(store: Store) -> None:
    strays = [
        store.paths.blobs / "sha256" / ("0" * 64),
        store.paths.blobs / "sha256" / ".0-1-0",
        store.paths.indexes / "sha256" / ("0" * 64),
        store.paths.cache_mounts / "77",
    ]
    for path in strays:
        path.write_text("")
    (store.paths.snapshots / "999").mkdir()
    with store.blobs.writer() as writer:
        writer.write(b"content")
        assert len(store.stray_files()) == 5
        store.collect()
        digest = writer.commit()
    assert not any(path.exists() for path in strays)
    assert not (store.paths.snapshots / "999").exists()
    assert store.blobs.read(digest) == b"content"


# What is in flight


def test_what_is_made_or_found_under_a_lease_stays_until_it_ends(store: Store) -> None:
    old = add_snapshot(store, None, {"old": b"1"})
    record = store.records.add(["key"], old.id, "step")
    with Store.open(store.paths.root, store.paths.run) as builder:
        lease = builder.leases.take("build")
        lease.__enter__()
        blob = builder.blobs.put_bytes(b"made")
        snapshot = add_snapshot(builder, None, {"new": b"1"})
        active = builder.snapshots.prepare(snapshot.id)
        found = builder.records.find(["key"])
        assert found is not None
        assert prune_records(store, with_images=True) == []
        store.records.remove(record.id)
        store.collect()
        assert blob.hex in blobs(store)
        assert snapshots(store) == {old.id, snapshot.id}
        assert builder.snapshots.commit(active).parent == snapshot.id
        lease.__exit__(None, None, None)
    store.collect()
    assert snapshots(store) == set()
    assert blobs(store) == set()


def test_image_in_use_can_be_removed_and_its_content_stays(store: Store) -> None:
    layer = put_layer(store, {"a": b"1"})
    image = put_image(store, [layer.diff_id])
    with Store.open(store.paths.root, store.paths.run) as builder, builder.leases.take("build"):
        assert builder.images.resolve(image.id.hex) == image
        store.images.remove(image.id.hex)
        store.collect()
        snapshot = builder.snapshots.for_layers([layer.diff_id])
        assert snapshot is not None
        assert builder.images.config(image).diff_ids == (layer.diff_id,)
    store.collect()
    assert snapshots(store) == set()


def test_fresh_image_without_a_name_is_not_pruned_before_it_gets_one(store: Store) -> None:
    with Store.open(store.paths.root, store.paths.run) as builder, builder.leases.take("build"):
        image = put_image(builder)
        assert prune_images(store) == []
        builder.images.tag(Reference.parse("app:latest"), image.manifest)
    assert prune_images(store) == []
    assert len(prune_images(store, unnamed_only=False)) == 1


def test_record_that_gc_took_is_a_miss_and_not_an_error(store: Store) -> None:
    snapshot = add_snapshot(store, None, {"a": b"1"})
    store.records.add(["key"], snapshot.id, "step")
    with Store.open(store.paths.root, store.paths.run) as builder:
        assert builder.snapshots.exists(snapshot.id)
        prune_records(store)
        store.collect()
        with builder.leases.take("build"):
            assert builder.records.find(["key"]) is None
            again = builder.blobs.put_bytes(b"the same content")
    assert again == Digest.of(b"the same content")


# Pruning


def test_records_of_images_stay_unless_asked_for(store: Store) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    top = add_snapshot(store, base, {"b": b"2"})
    assert base.diff_id is not None
    put_image(store, [base.diff_id])
    store.records.add(["base"], base.id, "base")
    store.records.add(["top"], top.id, "top")
    store.records.add(["scratch"], None, "scratch")
    assert [record.name for record in prune_records(store)] == ["top", "scratch"]
    assert [record.name for record in prune_records(store, with_images=True)] == ["base"]


def test_accept_spares(store: Store) -> None:
    put_image(store)
    store.records.add(["a"], None, "a")
    store.cache_mounts.directory("apt")
    assert prune_images(store, accept=lambda _image: False) == []
    assert prune_records(store, accept=lambda _record: False) == []
    assert prune_cache_mounts(store, accept=lambda _mount: False) == []
    assert len(prune_cache_mounts(store)) == 1
    store.collect()
    assert os.listdir(store.paths.cache_mounts) == []


def test_cache_mount_in_use_is_not_pruned(store: Store) -> None:
    with Store.open(store.paths.root, store.paths.run) as builder, builder.leases.take("build"):
        path = builder.cache_mounts.directory("apt")
        assert prune_cache_mounts(store) == []
        store.collect()
        assert path.is_dir()


def test_image_of_a_container_is_not_pruned(store: Store) -> None:
    image = put_image(store)
    store.containers.add("c" * 64, "box", image=str(image.config), snapshot=None, state="{}")
    assert prune_images(store, unnamed_only=False) == []


def test_contexts_go_oldest_first(store: Store) -> None:
    for number, name in enumerate(("old", "middle", "new")):
        path = Path(store.paths.context_cache(name))
        path.write_bytes(bytes(100))
        os.utime(path, (number, number))
    assert prune_contexts(store, max_bytes=250) == 100
    assert sorted(os.listdir(store.paths.contexts)) == ["middle", "new"]
    assert prune_contexts(store, max_age_seconds=1000) == 200


@pytest.mark.parametrize("prune", [lambda store: prune_contexts(store, max_bytes=0), prune_logs])
def test_prune_does_not_mind_files_that_go_meanwhile(
    store: Store, prune: Callable[[Store], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir
    for directory in (store.paths.contexts, store.paths.logs):
        for name in ("a", "b"):
            (Path(directory) / name).write_bytes(b"x")

    @contextmanager
    def late(path: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(path) as entries:
            found = list(entries)
        os.unlink(path / "a")
        yield found

    monkeypatch.setattr(os, "scandir", late)
    prune(store)
    assert "b" not in os.listdir(store.paths.contexts) or "b" not in os.listdir(store.paths.logs)


def test_prune_of_repositories_spares_those_that_are_worked_on(store: Store) -> None:
    for name in ("free", "busy"):
        store.paths.repository(name).mkdir(parents=True)
    with store.locks.hold("git-busy"):
        prune_repositories(store)
    assert os.listdir(store.paths.repositories) == ["busy"]


def test_prune_of_repositories_of_a_store_that_never_fetched_any(store: Store) -> None:
    store.paths.repositories.rmdir()
    prune_repositories(store)
    assert not store.paths.repositories.exists()


# Beside builds


BUILDER = """
import sys
from pathlib import Path
from support.building import build_some
from tierce.store import Store

with Store.open(Path(sys.argv[1]), Path(sys.argv[2])) as store:
    build_some(store, sys.argv[3], 30)
"""


def test_pruning_in_a_loop_never_breaks_builders(store: Store) -> None:
    """Builders in threads and processes, each checking that what it made or found is whole."""
    from support.building import build_some

    errors: list[str] = []
    done = threading.Event()

    def build(name: str) -> None:
        try:
            build_some(store, name, 30)
        except BaseException:
            errors.append(traceback.format_exc())

    def prune() -> None:
        with Store.open(store.paths.root, store.paths.run) as own:
            rounds = 0
            while not done.is_set() or rounds < 3:
                rounds += 1
                try:
                    prune_images(own, unnamed_only=rounds % 2 == 0)
                    prune_records(own, with_images=True)
                    prune_cache_mounts(own)
                    own.collect()
                except BaseException:
                    errors.append(traceback.format_exc())
                    return

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", BUILDER, str(store.paths.root), str(store.paths.run)]
    processes = [
        subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True, env=environment)
        for name in ("same", "other")
    ]
    pruner = threading.Thread(target=prune)
    builders = [threading.Thread(target=build, args=(name,)) for name in ("same", "own")]
    for thread in (pruner, *builders):
        thread.start()
    for thread in builders:
        thread.join()
    failures = [process.communicate()[1] for process in processes]
    done.set()
    pruner.join()
    problems = "".join([*failures, *errors])
    assert not problems, problems
    prune_images(store, unnamed_only=False)
    prune_records(store, with_images=True)
    prune_cache_mounts(store)
    store.collect()
    assert blobs(store) == set()
    assert os.listdir(store.paths.snapshots) == ["empty"]


@pytest.mark.parametrize("kind", ["blob", "snapshot"])
def test_process_killed_while_it_collects_leaves_it_to_the_next(
    store: Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = add_snapshot(store, None, {"a": b"1"})
    store.snapshots.unpack(snapshot.id)

    def die(path: Path) -> bool:
        if (path.parent == store.paths.snapshots) == (kind == "snapshot"):
            raise KeyboardInterrupt
        return True

    with monkeypatch.context() as patched:
        patched.setattr(store.trash, "throw", die)
        with pytest.raises(KeyboardInterrupt):
            store.collect()
    assert snapshots(store) == set()
    assert store.paths.snapshot(snapshot.id).exists()
    store.collect()
    assert os.listdir(store.paths.snapshots) == ["empty"]
    assert blobs(store) == set()


def test_what_one_thread_makes_stays_when_another_has_released_a_newer_lease(store: Store) -> None:
    """Both threads use one store, whose newest lease marks what either of them makes."""
    with Store.open(store.paths.root, store.paths.run) as shared, shared.leases.take("long build"):
        other = shared.leases.take("short build")
        other.__enter__()
        active = shared.snapshots.prepare(None)
        with shared.blobs.writer() as writer:
            writer.write(b"content")
            other.__exit__(None, None, None)
            store.collect()
            digest = writer.commit()
        snapshot = shared.snapshots.commit(active)
        store.collect()
        assert shared.snapshots.exists(snapshot.id)
        assert shared.snapshots.directories(snapshot.id).upper.is_dir()
        assert store.blobs.has(digest)
