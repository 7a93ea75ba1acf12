"""What is believed after the machine went down, seen by giving rows the id of another boot."""

from pathlib import Path

import pytest

from support.layers import add_snapshot, put_layer
from tierce.errors import StoreError
from tierce.oci.digest import Digest
from tierce.store import Store
from tierce.store.durability import SYNC_LIMIT
from tierce.store.snapshots import Snapshot


def run_step(store: Store, parent: Snapshot | None = None) -> Snapshot:
    active = store.snapshots.prepare(None if parent is None else parent.id)
    (store.snapshots.directories(active).upper / "file").write_bytes(b"content")
    return store.snapshots.commit(active)


def reboot(store: Store) -> Store:
    """The store as a process sees it that is started after a power cut."""
    for table in ("blobs", "snapshots"):
        store.database.execute(f"UPDATE {table} SET boot = 'earlier' WHERE boot IS NOT NULL")
    return Store.open(store.paths.root, store.paths.run)


def boots(store: Store) -> set[str | None]:
    return {boot for (boot,) in store.database.all("SELECT boot FROM snapshots")}


def test_boot_is_the_kernel_s(store: Store) -> None:
    assert store.durability.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert not store.durability.doubtful(None)
    assert not store.durability.doubtful(store.durability.boot)
    assert store.durability.doubtful("earlier")


def test_finished_step_that_survived_is_verified_once(store: Store) -> None:
    made = run_step(store)
    store.snapshots.finish([made.id])
    store.records.add(["key"], made.id, "step")
    with reboot(store) as after:
        assert after.records.find(["key"]) is not None
        assert boots(after) == {None}
        assert after.snapshots.directories(made.id).upper.joinpath("file").exists()


def test_step_that_did_not_survive_is_a_cache_miss(store: Store) -> None:
    made = run_step(store)
    store.snapshots.finish([made.id])
    store.records.add(["key"], made.id, "step")
    top = add_snapshot(store, made, {"a": b"1"})
    store.records.add(["top"], top.id, "next step")
    store.paths.snapshot(made.id).joinpath("fs/file").write_bytes(bytes(7))
    with reboot(store) as after:
        assert after.records.find(["key"]) is None
        assert after.records.find(["top"]) is None
        assert after.records.list() == []
        with pytest.raises(StoreError, match="lost"):
            after.snapshots.unpack(top.id)


def test_unfinished_step_cannot_be_verified_and_is_a_miss(store: Store) -> None:
    made = run_step(store)
    store.records.add(["key"], made.id, "step")
    with reboot(store) as after:
        assert after.records.find(["key"]) is None


def test_settled_step_needs_no_verification(store: Store) -> None:
    made = run_step(store)
    store.records.add(["key"], made.id, "step")
    assert store.durability.settle() == 1
    with reboot(store) as after:
        assert after.records.find(["key"]) is not None


def test_unpacked_layer_that_did_not_survive_is_unpacked_again(store: Store) -> None:
    snapshot = add_snapshot(store, None, {"a": b"content"})
    store.snapshots.unpack(snapshot.id)
    store.paths.snapshot(snapshot.id).joinpath("fs/a").write_bytes(bytes(7))
    with reboot(store) as after:
        assert after.snapshots.exists(snapshot.id)
        upper = after.snapshots.directories(snapshot.id).upper
        assert (upper / "a").read_bytes() == b"content"


def test_large_tar_that_did_not_survive_takes_the_record_along(store: Store) -> None:
    layer = put_layer(store, {"a": bytes(SYNC_LIMIT)})
    snapshot = store.snapshots.add_layer(None, layer.diff_id, size=1, tar_size=layer.size)
    store.records.add(["key"], snapshot.id, "step")
    path = store.paths.blob(layer.diff_id)
    path.write_bytes(bytes(path.stat().st_size))
    with reboot(store) as after:
        assert after.records.find(["key"]) is None
        assert not after.layers.has(layer.diff_id)


def test_index_torn_by_a_power_cut_is_made_again(store: Store) -> None:
    layer = put_layer(store, {"a": b"1"})
    store.paths.index(layer.diff_id).write_bytes(bytes(200))
    with reboot(store) as after:
        assert [entry.path for entry in after.layers.index(layer.diff_id)] == ["a"]


def test_settling_covers_only_what_was_there_before(store: Store) -> None:
    digest = store.blobs.put_bytes(bytes(SYNC_LIMIT))
    made = run_step(store)
    assert store.durability.settle() == 2
    assert boots(store) == {None}
    assert store.blobs.has(digest)
    assert store.snapshots.exists(made.id)
    assert digest == Digest.of(bytes(SYNC_LIMIT))
