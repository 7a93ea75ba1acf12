import pytest

from support.layers import put_image, put_layer
from tierce.errors import Conflict, InvalidValue, NotFound
from tierce.oci.config import ImageConfig, chain_id
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference
from tierce.store import Store
from tierce.store.images import Image


def tag(store: Store, name: str, image: Image) -> Reference:
    reference = Reference.parse(name).with_default_tag()
    store.images.tag(reference, image.manifest)
    return reference


def put_index(store: Store, *images: Image) -> Digest:
    listed = tuple(
        Descriptor(OCI_MANIFEST, each.manifest, store.blobs.size(each.manifest), each.platform)
        for each in images
    )
    return store.images.put_index(Index(OCI_INDEX, listed).encode())


def names(store: Store, image: Image) -> list[str]:
    return [name.familiar for name in store.images.names(image)]


# Making


def test_image_comes_back_by_its_manifest(store: Store) -> None:
    layer = put_layer(store, {"file": b"12345"})
    image = put_image(store, [layer.diff_id], created="2024-01-02T03:04:05Z")
    assert store.images.get(image.manifest) == image
    assert image.created == "2024-01-02T03:04:05Z"
    assert image.chain_id == chain_id([layer.diff_id])
    assert image.id == image.config == Digest.of(store.blobs.read(image.config))
    assert store.images.config(image).diff_ids == (layer.diff_id,)
    assert store.images.manifest(image).layers[0].digest == layer.diff_id
    assert str(image.platform) == "linux/amd64"


def test_size_is_that_of_the_files_where_snapshots_know_it(store: Store) -> None:
    layer = put_layer(store, {"file": b"12345"})
    assert put_image(store, [layer.diff_id], author="first").size == layer.size
    store.snapshots.add_layer(None, layer.diff_id, size=5, tar_size=layer.size)
    assert put_image(store, [layer.diff_id], author="second").size == 5


def test_putting_twice_is_one_image(store: Store) -> None:
    assert put_image(store).config == put_image(store).config
    assert len(store.images.list()) == 1


def test_image_without_layers_has_no_chain_id(store: Store) -> None:
    assert put_image(store).chain_id is None


def test_documents_that_do_not_fit_together_are_refused(store: Store) -> None:
    config = ImageConfig("amd64", "linux").encode()
    other = ImageConfig("arm64", "linux").encode()
    manifest = Manifest(OCI_MANIFEST, Descriptor(OCI_CONFIG, Digest.of(config), len(config)), ())
    with pytest.raises(InvalidValue, match="names config"):
        store.images.put(manifest.encode(), other)
    layers = (Descriptor(OCI_LAYER_GZIP, Digest.of(b""), 0),)
    with pytest.raises(InvalidValue, match="1 layers in the manifest, 0 in the config"):
        store.images.put(manifest.replace(layers=layers).encode(), config)
    with pytest.raises(InvalidValue):
        store.images.put(b"{}", config)
    with pytest.raises(InvalidValue, match="index"):
        store.images.put(Index(OCI_INDEX, ()).encode(), config)
    with pytest.raises(InvalidValue, match="manifest of an image"):
        store.images.put_index(manifest.encode())
    assert store.images.list() == []


def test_compressed_layer_is_known_by_its_diff_id_once_an_image_says_so(store: Store) -> None:
    blob = store.blobs.put_bytes(b"compressed")
    diff_id = Digest.of(b"plain")
    config = ImageConfig("amd64", "linux", diff_ids=(diff_id,)).encode()
    manifest = Manifest(
        OCI_MANIFEST,
        Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
        (Descriptor(OCI_LAYER_GZIP, blob, 10),),
    )
    assert store.images.put(manifest.encode(), config).size == 10
    assert store.blobs.by_diff_id(diff_id) == [blob]


# Names


def test_name_moves_to_the_image_tagged_last(store: Store) -> None:
    first, second = put_image(store, author="1"), put_image(store, author="2")
    tag(store, "app", first)
    tag(store, "app:1.0", first)
    tag(store, "app", second)
    assert names(store, first) == ["app:1.0"]
    assert names(store, second) == ["app:latest"]
    assert store.images.dangling() == []
    store.images.untag(Reference.parse("app"))
    assert store.images.dangling() == [second]
    with pytest.raises(NotFound, match="app:latest"):
        store.images.untag(Reference.parse("app"))


def test_name_needs_an_image(store: Store) -> None:
    with pytest.raises(NotFound):
        store.images.tag(Reference.parse("app"), Digest.of(b"absent"))


def test_names_and_repo_digests_are_told_apart(store: Store) -> None:
    image = put_image(store)
    tag(store, "app", image)
    tag(store, f"app@{image.manifest}", image)
    assert names(store, image) == ["app:latest"]
    assert [str(each) for each in store.images.repo_digests(image)] == [
        f"docker.io/library/app@{image.manifest}"
    ]
    everything = store.images.all_names()
    assert len(everything[image.config]) == 2


# Looking up


@pytest.mark.parametrize("text", ["app", "app:latest", "library/app", "docker.io/library/app"])
def test_image_is_found_by_any_form_of_its_name(store: Store, text: str) -> None:
    image = put_image(store)
    tag(store, "app", image)
    assert store.images.resolve(text) == image


def test_image_is_found_by_id_and_digest(store: Store) -> None:
    image = put_image(store)
    tag(store, f"app@{image.manifest}", image)
    for text in (
        image.id.hex,
        image.id.hex[:12],
        image.id.hex[:1],
        str(image.id),
        f"sha256:{image.id.hex[:5]}",
        str(image.manifest),
        f"app@{image.manifest}",
        f"app:whatever@{image.manifest}",
    ):
        assert store.images.resolve(text).manifest == image.manifest, text


def test_name_goes_before_id(store: Store) -> None:
    first, second = put_image(store, author="1"), put_image(store, author="2")
    tag(store, first.id.hex[:8], second)
    assert store.images.resolve(first.id.hex[:8]) == second


def test_what_is_absent_is_not_found(store: Store) -> None:
    put_image(store)
    for text in ("app", "App", "", "sha256:", "sha256:" + "0" * 64, "0" * 64, "app:1@bad", "a b"):
        with pytest.raises(NotFound):
            store.images.resolve(text)


def test_beginning_of_several_ids_is_refused(store: Store) -> None:
    # Of 17 images two begin with the same digit.
    images = [put_image(store, author=str(number)) for number in range(17)]
    first = [image.id.hex[0] for image in images]
    twice = next(digit for digit in first if first.count(digit) > 1)
    with pytest.raises(InvalidValue, match="several image IDs"):
        store.images.resolve(twice)


def test_list_is_newest_first_and_one_per_id(store: Store) -> None:
    old = put_image(store, author="old", created="2020-01-01T00:00:00Z")
    new = put_image(store, author="new", created="2021-01-01T00:00:00Z")
    # The same config under another manifest, as a registry may have it.
    raw = store.blobs.read(new.config)
    manifest = store.images.manifest(new).replace(annotations=(("a", "b"),))
    again = store.images.put(manifest.encode(), raw)
    tag(store, "app", new)
    assert [image.config for image in store.images.list()] == [new.config, old.config]
    assert names(store, again) == ["app:latest"]


def test_index_resolves_to_the_platform_that_suits(store: Store) -> None:
    amd64 = put_image(store)
    arm64 = put_image(store, architecture="arm64")
    index = put_index(store, arm64, amd64)
    store.images.tag(Reference.parse("app:latest"), index)
    host = store.images.resolve("app", Platform("linux", "amd64"))
    assert (host.manifest, host.index) == (amd64.manifest, index)
    other = store.images.resolve("app", Platform("linux", "arm64", "v8"))
    assert other.manifest == arm64.manifest
    with pytest.raises(NotFound):
        store.images.resolve("app", Platform("linux", "s390x"))
    assert store.images.resolve(str(index)).index == index
    assert names(store, amd64) == names(store, arm64) == ["app:latest"]
    assert store.images.target(Reference.parse("app")) == index


def test_children_share_all_layers_and_have_more(store: Store) -> None:
    one, two = (put_layer(store, {name: b"x"}).diff_id for name in ("one", "two"))
    base = put_image(store, [one])
    child = put_image(store, [one, two])
    put_image(store, [two, one])
    put_image(store, [one], author="sibling")
    assert store.images.children(base) == [child]
    assert store.images.children(child) == []


# Removing


def test_removing_one_of_several_names_only_untags(store: Store) -> None:
    image = put_image(store)
    one, two = tag(store, "one", image), tag(store, "two", image)
    removed = store.images.remove("one")
    assert (removed.untagged, removed.deleted) == ((one,), ())
    removed = store.images.remove("two")
    assert (removed.untagged, removed.deleted) == ((two,), (image.config,))
    assert store.images.list() == []


def test_last_tag_takes_the_repo_digest_along(store: Store) -> None:
    image = put_image(store)
    tag(store, "app", image)
    tag(store, f"app@{image.manifest}", image)
    removed = store.images.remove("app")
    assert len(removed.untagged) == 2
    assert removed.deleted == (image.config,)


def test_removing_by_id_takes_the_only_tag_along(store: Store) -> None:
    image = put_image(store)
    one = tag(store, "app:1", image)
    removed = store.images.remove(image.id.hex[:12])
    assert (removed.untagged, removed.deleted) == ((one,), (image.config,))


def test_removing_by_id_with_several_tags_needs_force(store: Store) -> None:
    image = put_image(store)
    tag(store, "one", image)
    tag(store, "two", image)
    with pytest.raises(Conflict, match="must be forced"):
        store.images.remove(image.id.hex[:12])
    assert len(store.images.remove(image.id.hex[:12], force=True).untagged) == 2


def test_image_of_a_stopped_container_needs_force(store: Store) -> None:
    image = put_image(store)
    tag(store, "app", image)
    store.containers.add("c" * 64, "box", image=str(image.config), snapshot=None, state="{}")
    for text in ("app", image.id.hex):
        with pytest.raises(Conflict, match="used by stopped container cccccccccccc"):
            store.images.remove(text)
    assert store.images.resolve("app") == image
    tag(store, "other", image)
    assert store.images.remove("other").deleted == ()
    assert store.images.remove("app", force=True).deleted == (image.config,)


def test_image_of_a_running_container_cannot_be_removed(store: Store) -> None:
    image = put_image(store)
    tag(store, "app", image)
    store.containers.add("c" * 64, "box", image=str(image.config), snapshot=None, state="{}")
    store.containers.set_state("c" * 64, "{}", running=True)
    with pytest.raises(Conflict, match="cannot be forced"):
        store.images.remove("app", force=True)
    assert store.images.resolve("app") == image


def test_removing_what_is_absent_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.images.remove("app")


def test_name_of_an_index_goes_with_all_its_images(store: Store) -> None:
    amd64, arm64 = put_image(store), put_image(store, architecture="arm64")
    index = put_index(store, amd64, arm64)
    store.images.tag(Reference.parse("app:latest"), index)
    removed = store.images.remove("app")
    assert set(removed.deleted) == {amd64.config, arm64.config}
    assert store.images.list() == []
    assert store.database.all("SELECT * FROM image_indexes") == []


def test_image_of_a_removed_index_that_has_another_name_stays(store: Store) -> None:
    amd64, arm64 = put_image(store), put_image(store, architecture="arm64")
    store.images.tag(Reference.parse("all:latest"), put_index(store, amd64, arm64))
    tag(store, "mine", amd64)
    removed = store.images.remove("all")
    assert removed.deleted == (arm64.config,)
    assert names(store, amd64) == ["mine:latest"]


def test_name_of_an_index_without_images_can_be_removed(store: Store) -> None:
    image = put_image(store)
    index = put_index(store, image)
    store.images.tag(Reference.parse("app:latest"), index)
    store.database.execute("DELETE FROM images")
    with pytest.raises(NotFound):
        store.images.resolve("app")
    assert [name.familiar for name in store.images.remove("app").untagged] == ["app:latest"]
    assert store.database.all("SELECT * FROM image_indexes") == []
