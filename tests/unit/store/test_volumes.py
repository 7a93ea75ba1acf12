import os
import stat
from pathlib import Path

import pytest

from tierce.errors import Conflict, InvalidValue, NotFound
from tierce.store import Store
from tierce.store.check import check

IMAGE = "sha256:" + "1" * 64
BOX = "b" * 64


def add_container(store: Store, identifier: str = BOX) -> None:
    store.containers.add(identifier, identifier[:3], image=IMAGE, snapshot=None, state="{}")


def test_volume_is_what_it_was_made_as(store: Store) -> None:
    made = store.volumes.create("data", labels={"b": "2", "a": ""}, options={"type": "none"})
    assert made == store.volumes.get("data")
    assert (made.labels, made.options) == ((("a", ""), ("b", "2")), (("type", "none"),))
    assert not made.anonymous
    assert store.volumes.list() == [made]


def test_volume_that_is_there_stays_as_it_is(store: Store) -> None:
    made = store.volumes.create("data", labels={"kept": ""})
    assert store.volumes.create("data", labels={"other": ""}, anonymous=True) == made


def test_volume_without_a_name_gets_one_of_its_own(store: Store) -> None:
    one, other = (store.volumes.create(anonymous=True) for _ in range(2))
    assert one.name != other.name
    assert len(one.name) == 64
    assert one.anonymous


@pytest.mark.parametrize(
    "name", ["a", ".", "..", "a/b", "../escape", ".hidden", "-flag", "a b", "ü" * 3, "x" * 256]
)
def test_name_that_leads_elsewhere_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InvalidValue):
        store.volumes.create(name)
    assert store.volumes.list() == []


def test_files_are_in_a_directory_that_others_cannot_list(store: Store) -> None:
    store.volumes.create("data")
    data = store.volumes.directory("data")
    assert data == str(store.paths.root / "volumes" / "data" / "_data")
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (data, os.path.dirname(data))]
    assert modes == [0o755, 0o701]
    assert store.volumes.directory("data") == data


def test_volume_in_use_is_not_removed_in_docker_s_words(store: Store) -> None:
    store.volumes.create("data")
    add_container(store)
    store.volumes.use("data", BOX)
    with pytest.raises(Conflict) as refused:
        store.volumes.remove("data")
    assert refused.value.message == f"remove data: volume is in use - [{BOX}]"
    assert store.volumes.users("data") == [BOX]
    assert store.volumes.used() == {"data": 1}


def test_volume_is_free_when_its_container_is_gone(store: Store) -> None:
    store.volumes.create("data")
    add_container(store)
    store.volumes.use("data", BOX)
    store.containers.remove(BOX)
    assert store.volumes.used() == {}
    Path(store.volumes.directory("data"), "file").write_text("content")
    store.volumes.remove("data")
    assert list(store.paths.volumes.iterdir()) == []
    assert list(store.paths.trash.iterdir()) == []
    with pytest.raises(NotFound):
        store.volumes.remove("data")


def test_collection_takes_directories_of_no_volume_and_no_others(store: Store) -> None:
    store.volumes.create("data")
    Path(store.volumes.directory("data"), "file").write_text("content")
    (store.paths.volumes / "left-over" / "_data").mkdir(parents=True)
    store.collect()
    assert [path.name for path in store.paths.volumes.iterdir()] == ["data"]
    assert Path(store.volumes.directory("data"), "file").read_text() == "content"


def test_check_finds_a_volume_without_its_directory_and_makes_one(store: Store) -> None:
    store.volumes.create("data")
    found = check(store, repair=False).findings
    assert [(each.kind, each.name, each.repaired) for each in found] == [("volume", "data", False)]
    assert check(store).sound
    assert check(store).findings == ()
