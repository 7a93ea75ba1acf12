"""Listing, inspecting, naming and removing images."""

import pytest

from support.images import CREATED, add_image, add_index
from tierce.client.images import Images, ListedImage
from tierce.errors import Conflict, InvalidValue, NotFound, UsageError
from tierce.oci.config import ContainerConfig, History
from tierce.store import Store


def listed(images: Images, *filters: str, **options: object) -> list[str]:
    """The first name of every image in the list, or its author's for one without."""
    found = images.list(filters, **options)  # type: ignore[arg-type]
    return [name_of(each) for each in found]


def name_of(each: ListedImage) -> str:
    return " ".join(name.familiar for name in each.names) or "<none>"


@pytest.fixture
def images(store: Store) -> Images:
    return Images(store)


def test_list_is_newest_first(store: Store, images: Images) -> None:
    add_image(store, "old", created="2020-01-01T00:00:00Z")
    add_image(store, "none", created=None)
    add_image(store, "new", created="2024-01-01T00:00:00+02:00")
    assert listed(images) == ["new:latest", "old:latest", "none:latest"]
    assert [each.created for each in images.list()] == [1704060000.0, 1577836800.0, None]


def test_names_and_digests_are_told_apart(store: Store, images: Images) -> None:
    digest = "sha256:" + "1" * 64
    add_image(store, "a/b:1", "a/b:2", f"a/b@{digest}")
    [found] = images.list()
    assert [name.familiar for name in found.names] == ["a/b:1", "a/b:2"]
    assert [str(name.digest) for name in found.digests] == [digest]


def test_filters_narrow_the_list(store: Store, images: Images) -> None:
    labels = ContainerConfig(labels=(("kind", "tool"),))
    add_image(store, "old", created="2020-01-01T00:00:00Z", config=labels)
    add_image(store, "mid", created="2022-01-01T00:00:00Z")
    add_image(store, "new", created="2024-01-01T00:00:00Z")
    add_image(store, created="2021-01-01T00:00:00Z")
    assert listed(images, "dangling=true") == ["<none>"]
    assert listed(images, "dangling=false") == ["new:latest", "mid:latest", "old:latest"]
    assert listed(images, "label=kind") == ["old:latest"]
    assert listed(images, "label=kind=tool", "dangling=false") == ["old:latest"]
    assert listed(images, "label=kind=toy") == []
    assert listed(images, "label!=kind", "dangling=false") == ["new:latest", "mid:latest"]
    assert listed(images, "before=mid") == ["<none>", "old:latest"]
    assert listed(images, "since=mid") == ["new:latest"]
    assert listed(images, "until=2020-06-01T00:00:00Z") == ["old:latest"]


def test_references_are_alternatives_and_narrow_the_names(store: Store, images: Images) -> None:
    add_image(store, "app:1", "app:2", "other:1")
    add_image(store, "base", created="2020-01-01T00:00:00Z")
    assert listed(images, pattern="app") == ["app:1 app:2"]
    assert listed(images, "reference=app:1", "reference=b*") == ["app:1", "base:latest"]
    assert listed(images, "reference=nope") == []


def test_wrong_filters_are_refused(images: Images) -> None:
    with pytest.raises(UsageError):
        images.list(["colour=red"])
    with pytest.raises(NotFound):
        images.list(["before=nope"])


def test_steps_of_a_build_are_listed_only_on_request(store: Store, images: Images) -> None:
    first, second = {"a": b"1"}, {"b": b"2"}
    add_image(store, layers=[first], container="0" * 64)
    add_image(store, "app", layers=[first, second], created="2025-01-01T00:00:00Z")
    assert listed(images) == ["app:latest"]
    assert listed(images, all=True) == ["app:latest", "<none>"]


def test_image_that_lost_its_name_is_listed_though_others_stand_on_it(
    store: Store, images: Images
) -> None:
    add_image(store, layers=[{"a": b"1"}])
    add_image(store, "app", layers=[{"a": b"1"}, {"b": b"2"}], created="2025-01-01T00:00:00Z")
    assert listed(images) == ["app:latest", "<none>"]


def test_of_a_multi_platform_image_the_one_for_this_machine_is_listed(
    store: Store, images: Images
) -> None:
    here = add_image(store, architecture="amd64")
    there = add_image(store, architecture="s390x")
    add_index(store, "app", here, there)
    [found] = images.list()
    assert found.image.config == store.images.resolve("app").config
    assert len(images.list(all=True)) == 2


def test_inspect_gives_config_names_and_when_it_was_tagged(store: Store, images: Images) -> None:
    config = ContainerConfig(cmd=("sh",), labels=(("a", "b"),))
    image = add_image(store, "app:1", "app:2", config=config)
    details = images.inspect("app:1")
    assert details.image == image
    assert details.config.config == config
    assert [name.familiar for name in details.names] == ["app:1", "app:2"]
    assert details.last_tagged is not None
    unnamed = add_image(store, author="nobody")
    assert images.inspect(str(unnamed.id)).last_tagged is None
    with pytest.raises(NotFound):
        images.inspect("nope")


def test_directories_hold_the_files_of_the_layers(store: Store, images: Images) -> None:
    add_image(store, "app", layers=[{"low": b"1"}, {"high": b"2"}])
    directories = images.directories(images.inspect("app").config)
    assert directories is not None
    assert (directories.upper / "high").read_bytes() == b"2"
    assert [(path / "low").read_bytes() for path in directories.lower] == [b"1"]
    assert directories.merged.is_dir()
    assert directories.work.is_dir()


def test_image_without_layers_has_no_directories(store: Store, images: Images) -> None:
    add_image(store, "empty", layers=[])
    assert images.directories(images.inspect("empty").config) is None


def test_history_gives_every_layer_to_its_step(store: Store, images: Images) -> None:
    steps = [
        History(CREATED, "COPY low", "one"),
        History(CREATED, "ENV x=y", empty_layer=True),
        History(None, "COPY high"),
        History(CREATED, "CMD sh", empty_layer=True),
    ]
    image = add_image(store, "app", layers=[{"low": b"1" * 10}, {"high": b"2" * 20}], history=steps)
    entries = images.history("app")
    assert [entry.created_by for entry in entries] == ["CMD sh", "COPY high", "ENV x=y", "COPY low"]
    assert [entry.size for entry in entries] == [0, 20, 0, 10]
    assert [entry.image for entry in entries] == [image.id, None, None, None]
    assert entries[1].created is None
    assert entries[3].comment == "one"


def test_layers_without_a_history_are_shown_all_the_same(store: Store, images: Images) -> None:
    add_image(store, "app", layers=[{"a": b"1"}, {"b": b"22"}], history=[])
    assert [entry.size for entry in images.history("app")] == [2, 1]


def test_tag_is_one_more_name(store: Store, images: Images) -> None:
    image = add_image(store, "app")
    assert images.tag("app", "other/name").familiar == "other/name:latest"
    assert images.tag(image.id.short, "by-id:1").familiar == "by-id:1"
    assert listed(images) == ["app:latest by-id:1 other/name:latest"]


def test_tag_of_a_multi_platform_image_names_all_of_it(store: Store, images: Images) -> None:
    here, there = add_image(store), add_image(store, architecture="s390x")
    digest = add_index(store, "app", here, there)
    images.tag("app", "again")
    assert store.images.target(images.tag("app", "again")) == digest


@pytest.mark.parametrize("target", ["UPPER", "a@sha256:" + "1" * 64, "", "a:b:c"])
def test_name_that_is_none_is_refused(store: Store, images: Images, target: str) -> None:
    add_image(store, "app")
    with pytest.raises(InvalidValue):
        images.tag("app", target)


def test_last_name_takes_the_image_along(store: Store, images: Images) -> None:
    image = add_image(store, "app:1", "app:2")
    removed = images.remove("app:1")
    assert [name.familiar for name in removed.untagged] == ["app:1"]
    assert removed.deleted == ()
    removed = images.remove("app:2")
    assert removed.deleted == (image.id,)
    assert listed(images, all=True) == []
    assert not store.blobs.has(image.config)


def test_steps_left_by_a_build_go_with_its_image(store: Store, images: Images) -> None:
    first, second, third = {"a": b"1"}, {"b": b"2"}, {"c": b"3"}
    one = add_image(store, layers=[first], container="1")
    two = add_image(store, layers=[first, second], container="2")
    app = add_image(store, "app", layers=[first, second, third])
    assert images.remove("app").deleted == (app.id, two.id, one.id)


def test_steps_stay_without_pruning_or_while_others_need_them(store: Store, images: Images) -> None:
    first, second, third = {"a": b"1"}, {"b": b"2"}, {"c": b"3"}
    step = add_image(store, layers=[first], container="1")
    app = add_image(store, "app", layers=[first, second])
    add_image(store, "other", layers=[first, third])
    assert images.remove("app").deleted == (app.id,)
    other = images.remove("other", prune_parents=False)
    assert step.id not in other.deleted
    assert listed(images, all=True) == ["<none>"]


def test_base_that_lost_its_name_is_no_step_and_stays(store: Store, images: Images) -> None:
    base = add_image(store, layers=[{"a": b"1"}])
    add_image(store, "app", layers=[{"a": b"1"}, {"b": b"2"}])
    assert base.id not in images.remove("app").deleted


def test_what_is_not_there_or_in_use_is_not_removed(store: Store, images: Images) -> None:
    image = add_image(store, "app")
    store.containers.add("c" * 64, "busy", image=str(image.id), snapshot=None, state="{}")
    with pytest.raises(NotFound):
        images.remove("nope")
    with pytest.raises(Conflict):
        images.remove("app")
    assert images.remove("app", force=True).deleted == (image.id,)


def test_prune_takes_unnamed_images_or_all_that_are_unused(store: Store, images: Images) -> None:
    unnamed = add_image(store, author="a")
    unused = add_image(store, "unused", author="b")
    used = add_image(store, "used", author="c")
    store.containers.add("c" * 64, "busy", image=str(used.id), snapshot=None, state="{}")
    assert [each.deleted for each in images.prune().removed] == [(unnamed.id,)]
    pruned = images.prune(all=True)
    assert [each.deleted for each in pruned.removed] == [(unused.id,)]
    assert pruned.size > 0
    assert listed(images) == ["used:latest"]


def test_prune_takes_an_image_for_several_platforms_as_one(store: Store, images: Images) -> None:
    here = add_image(store, architecture="amd64")
    there = add_image(store, architecture="s390x")
    add_index(store, "app", here, there)
    add_index(store, "again", here, there)
    pruned = images.prune(all=True)
    assert {each for removed in pruned.removed for each in removed.deleted} == {here.id, there.id}
    assert listed(images) == []


def test_prune_spares_what_the_filters_do_not_let_go(store: Store, images: Images) -> None:
    keep = ContainerConfig(labels=(("keep", ""),))
    add_image(store, author="kept", config=keep)
    add_image(store, author="new", created="2025-01-01T00:00:00Z")
    old = add_image(store, author="old", created="2020-01-01T00:00:00Z")
    pruned = images.prune(["label!=keep", "until=2021-01-01T00:00:00Z"])
    assert [each.deleted for each in pruned.removed] == [(old.id,)]
    with pytest.raises(UsageError):
        images.prune(["dangling=true"])
