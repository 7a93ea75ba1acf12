import pytest

from support.layers import add_snapshot
from tierce.errors import NotFound
from tierce.store import Store


def test_record_is_found_by_each_of_its_keys(store: Store) -> None:
    record = store.records.add(["own", "definition", "near"], None, "[2/3] RUN make", b"parts")
    for key in ("own", "definition", "near"):
        found = store.records.find(["absent", key])
        assert found is not None
        assert (found.id, found.key, found.name) == (record.id, "own", "[2/3] RUN make")
        assert store.records.has(key)
    assert store.records.find(["absent"]) is None
    assert store.records.find([]) is None
    assert not store.records.has("absent")


def test_components_are_kept_apart_and_go_with_their_record(store: Store) -> None:
    """A use writes the record's row, which must not be as large as what is known of it."""
    record = store.records.add(["a"], None, "step", b"parts")
    assert store.records.components(record.id) == b"parts"
    assert store.records.components(store.records.add(["b"], None, "step").id) == b""
    store.records.remove(record.id)
    assert store.records.components(record.id) == b""
    assert not store.database.all("SELECT * FROM record_components")


def test_first_key_that_hits_wins(store: Store) -> None:
    first = store.records.add(["a"], None, "first")
    second = store.records.add(["b"], None, "second")
    found = store.records.find(["b", "a"])
    assert found is not None
    assert found.id == second.id != first.id


def test_use_is_counted(store: Store) -> None:
    record = store.records.add(["a"], None, "step")
    store.records.find(["a"])
    store.records.find(["a"])
    again = store.records.get(record.id)
    assert again.uses == 2
    assert again.last_used >= record.last_used


def test_newer_record_takes_over_a_key_and_the_older_keeps_its_others(store: Store) -> None:
    old = store.records.add(["content 1", "definition"], None, "step")
    new = store.records.add(["content 2", "definition"], None, "step")
    by_definition = store.records.find(["definition"])
    by_content = store.records.find(["content 1"])
    assert by_definition is not None
    assert by_content is not None
    assert (by_definition.id, by_content.id) == (new.id, old.id)


def test_record_that_no_key_finds_any_more_is_dropped(store: Store) -> None:
    old = store.records.add(["content", "definition"], None, "step")
    store.records.add(["content", "definition"], None, "step")
    with pytest.raises(NotFound):
        store.records.get(old.id)
    assert len(store.records.list()) == 1


def test_keys_can_be_added_later(store: Store) -> None:
    record = store.records.add(["own"], None, "step")
    store.records.add_keys(record.id, ["other"])
    found = store.records.find(["other"])
    assert found is not None
    assert found.id == record.id
    with pytest.raises(NotFound):
        store.records.add_keys(999, ["other"])


def test_nearest_are_those_with_a_key_that_begins_so(store: Store) -> None:
    store.records.add(["run-1 a"], None, "one")
    store.records.add(["run-1 b"], None, "two")
    store.records.add(["run-2"], None, "three")
    assert {record.name for record in store.records.nearest("run-1")} == {"one", "two"}
    assert [record.name for record in store.records.nearest("run-1", 1)] == ["two"]
    assert store.records.nearest("run-3") == []
    assert [record.name for record in store.records.named("three")] == ["three"]


def test_removed_record_takes_its_keys_along(store: Store) -> None:
    record = store.records.add(["a", "b"], None, "step")
    assert store.records.remove(record.id)
    assert not store.records.remove(record.id)
    assert store.records.find(["a", "b"]) is None
    assert store.database.all("SELECT * FROM record_keys") == []


def test_record_of_an_absent_snapshot_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="snapshot"):
        store.records.add(["a"], 42, "step")
    assert store.records.list() == []


def test_record_whose_layer_is_lost_is_no_hit_and_goes(store: Store) -> None:
    snapshot = add_snapshot(store, None, {"file": b"content"})
    store.records.add(["a"], snapshot.id, "step")
    assert store.records.find(["a"]) is not None
    assert snapshot.diff_id is not None
    store.paths.blob(snapshot.diff_id).unlink()
    with Store.open(store.paths.root, store.paths.run) as another:
        assert another.records.find(["a"]) is None
        assert another.records.list() == []


def test_hit_is_protected_with_its_snapshot_by_the_lease(store: Store) -> None:
    snapshot = add_snapshot(store, None, {"file": b"content"})
    store.records.add(["a"], snapshot.id, "step")
    with store.leases.take("build") as lease:
        store.records.find(["a"])
        assert store.database.all("SELECT lease FROM records") == [(lease.id,)]
        assert store.database.all("SELECT lease FROM snapshots") == [(lease.id,)]
