import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.layers import add_snapshot
from tierce.errors import Conflict, InvalidValue, NotFound
from tierce.layer.entry import Content, Entry
from tierce.layer.view import Tree
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


def image_with(store: Store, files: Mapping[str, bytes | Entry]) -> Tree:
    return store.snapshots.view(add_snapshot(store, None, files).id)


def test_empty_volume_is_filled_once(store: Store) -> None:
    store.volumes.create("data")
    tree = image_with(store, {"v/d/f": b"content", "other": b""})
    store.volumes.fill("data", tree, "/v")
    data = Path(store.volumes.directory("data"))
    assert (data / "d/f").read_bytes() == b"content"
    (data / "d/f").write_bytes(b"mine")
    store.volumes.fill("data", tree, "/v")
    assert (data / "d/f").read_bytes() == b"mine"
    assert [path.name for path in data.parent.iterdir()] == ["_data"]


def test_volume_is_empty_or_filled_whatever_happens(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.volumes.create("data")
    tree = image_with(store, {"v/a": b"1", "v/b": b"2"})
    content = tree.content

    def failing(entry: Entry) -> Content:
        if entry.path == "v/b":
            raise KeyboardInterrupt
        return content(entry)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tree, "content", failing)
        store.volumes.fill("data", tree, "/v")
    data = Path(store.volumes.directory("data"))
    assert list(data.iterdir()) == []
    store.volumes.fill("data", tree, "/v")
    assert sorted(path.name for path in data.iterdir()) == ["a", "b"]


def test_volume_that_others_have_stays_the_directory_that_it_is(store: Store) -> None:
    store.volumes.create("data")
    for identifier in (BOX, "c" * 64):
        add_container(store, identifier)
        store.volumes.use("data", identifier)
    data = store.volumes.directory("data")
    before = os.stat(data).st_ino
    store.volumes.fill("data", image_with(store, {"v/f": b"x"}), "/v")
    assert os.listdir(data) == ["f"]
    assert os.stat(data).st_ino == before


@pytest.mark.parametrize("target", ["/", "/none", "/file", "/up", "/abs"])
def test_volume_is_filled_from_directories_of_the_image_alone(store: Store, target: str) -> None:
    store.volumes.create("data")
    links = {
        "up": Entry("up", "symlink", link="../../../../../../tmp"),
        "abs": Entry("abs", "symlink", link=str(store.paths.root)),
    }
    store.volumes.fill("data", image_with(store, {"file": b"x", **links}), target)
    assert os.listdir(store.volumes.directory("data")) == []


def test_volumes_of_a_container_that_is_gone_are_forgotten_unless_others_have_them(
    store: Store,
) -> None:
    for name in ("own", "shared"):
        store.volumes.create(name, anonymous=True)
        store.volumes.directory(name)
    add_container(store)
    store.volumes.use("shared", BOX)
    gone = store.volumes.forget_unused(["own", "shared", "nope"])
    assert gone == ["own"]
    assert store.volumes.clear(gone) > 0
    assert [path.name for path in store.paths.volumes.iterdir()] == ["shared"]
