import pytest

from tierce.errors import Conflict, InvalidValue, NotFound
from tierce.store import Store
from tierce.store.containers import ContainerRow

IMAGE = "sha256:" + "1" * 64


def add(store: Store, identifier: str, name: str) -> ContainerRow:
    return store.containers.add(identifier, name, image=IMAGE, snapshot=None, state="{}")


def test_container_is_found_by_id_name_and_beginning(store: Store) -> None:
    row = add(store, "ab" + "0" * 62, "box")
    add(store, "cd" + "0" * 62, "ab")
    assert store.containers.resolve(row.id) == row
    assert store.containers.resolve("box") == store.containers.resolve("/box") == row
    assert store.containers.resolve("ab0") == row
    assert store.containers.resolve("ab").name == "ab"
    for text in ("", "ef", "Box", "xyz"):
        with pytest.raises(NotFound):
            store.containers.resolve(text)


def test_beginning_of_several_ids_is_refused(store: Store) -> None:
    add(store, "ab" + "0" * 62, "one")
    add(store, "ab" + "1" * 62, "two")
    with pytest.raises(InvalidValue, match="several"):
        store.containers.resolve("ab")


def test_name_in_use_is_a_conflict_in_docker_s_words(store: Store) -> None:
    holder = add(store, "a" * 64, "box")
    with pytest.raises(Conflict) as refused:
        add(store, "b" * 64, "box")
    assert refused.value.message == (
        f'Conflict. The container name "/box" is already in use by container "{holder.id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    other = add(store, "b" * 64, "other")
    with pytest.raises(Conflict):
        store.containers.rename(other.id, "box")
    store.containers.rename(other.id, "another")
    assert store.containers.resolve("another").id == other.id


def test_state_changes(store: Store) -> None:
    row = add(store, "a" * 64, "box")
    store.containers.set_state(row.id, '{"a": 1}', running=True)
    changed = store.containers.resolve("box")
    assert (changed.state, changed.running) == ('{"a": 1}', True)
    assert store.containers.using(IMAGE) == store.containers.list()
    assert store.containers.remove(row.id)
    assert not store.containers.remove(row.id)
    with pytest.raises(NotFound):
        store.containers.set_state(row.id, "{}", running=False)
