"""What is pushed: images and indexes, as they are or compressed, and what names mean afterwards."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.registries import RunningRegistry, running_registry
from tierce.distribution.pull import pull_image
from tierce.distribution.push import Pushed, push_image
from tierce.distribution.remote import Remote
from tierce.distribution.settings import Settings
from tierce.errors import NotFound
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference
from tierce.store import Store

ARM, AMD = Platform("linux", "arm64"), Platform("linux", "amd64")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "other", tmp_path / "other-run") as opened:
        yield opened


def add_image(store: Store, platform: Platform) -> Descriptor:
    """An image of one plain layer, which says what it is for."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("platform")
        content = str(platform).encode()
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    layer = buffer.getvalue()
    diff_id = store.blobs.put_bytes(layer, OCI_LAYER)
    config = json.dumps(
        {
            "architecture": platform.architecture,
            "os": platform.os,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]},
        }
    ).encode()
    raw = Manifest(
        OCI_MANIFEST,
        Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
        (Descriptor(OCI_LAYER, diff_id, len(layer)),),
    ).encode()
    store.images.put(raw, config)
    return Descriptor(OCI_MANIFEST, Digest.of(raw), len(raw), platform)


def add_index(store: Store, name: Reference, *descriptors: Descriptor) -> Digest:
    with store.leases.take("test"):
        digest = store.images.put_index(Index(OCI_INDEX, descriptors).encode())
        store.images.tag(name, digest)
    return digest


def push(store: Store, name: Reference, platform: Platform | None = None) -> Pushed:
    with Remote(Settings({}, retry_seconds=0.0)) as remote:
        return push_image(store, remote, name, platform=platform)


def pulled_platform(store: Store, name: Reference, platform: Platform) -> str:
    with Remote(Settings({}, retry_seconds=0.0)) as remote:
        image = pull_image(store, remote, name, platform=platform).image
    [diff_id] = store.images.config(image).diff_ids
    with store.layers.open_tar(diff_id) as stream, tarfile.open(fileobj=stream) as tar:
        member = tar.extractfile("platform")
        assert member is not None
        return member.read().decode()


def test_index_is_pushed_with_compressed_images_of_all_platforms(
    store: Store, other: Store, registry: RunningRegistry
) -> None:
    name = Reference.parse(f"{registry.host}/several:x")
    before = add_index(store, name, add_image(store, ARM), add_image(store, AMD))
    pushed = push(store, name)
    assert pushed.digest != before
    assert pushed.instead is None
    assert store.images.target(name) == pushed.digest
    for platform in (ARM, AMD):
        assert pulled_platform(other, name, platform) == str(platform)
    assert push(store, name).digest == pushed.digest


def test_pulled_index_of_which_one_platform_is_here_is_pushed_where_the_rest_is(
    store: Store, other: Store, registry: RunningRegistry
) -> None:
    name = Reference.parse(f"{registry.host}/partly:x")
    add_index(store, name, add_image(store, ARM), add_image(store, AMD))
    digest = push(store, name).digest
    pulled_platform(other, name, ARM)
    again = name.with_tag("y")
    other.images.tag(again, other.images.target(name))
    assert push(other, again).digest == digest


def test_index_that_is_not_all_here_gives_way_to_the_image_that_is(
    store: Store, other: Store, registry: RunningRegistry
) -> None:
    name = Reference.parse(f"{registry.host}/whole:x")
    add_index(store, name, add_image(store, ARM), add_image(store, AMD))
    digest = push(store, name).digest
    pulled_platform(other, name, ARM)
    elsewhere = Reference.parse(f"{registry.host}/part:x")
    other.images.tag(elsewhere, digest)
    pushed = push(other, elsewhere)
    assert pushed.instead == digest
    image = other.images.find(str(name), ARM)
    assert image is not None
    assert pushed.digest == image.manifest
    assert other.images.target(elsewhere) == digest, "what is here stays an index"


def test_one_platform_is_pushed_as_an_image_of_its_own(
    store: Store, other: Store, registry: RunningRegistry
) -> None:
    name = Reference.parse(f"{registry.host}/single:x")
    add_index(store, name, add_image(store, ARM), add_image(store, AMD))
    push(store, name, ARM)
    with pytest.raises(NotFound, match="does not match the specified platform") as caught:
        pulled_platform(other, name, AMD)
    assert "linux/arm64" in caught.value.hint
    assert pulled_platform(other, name, ARM) == str(ARM)


def test_platform_that_is_not_listed_says_what_is(
    store: Store, other: Store, registry: RunningRegistry
) -> None:
    name = Reference.parse(f"{registry.host}/listed:x")
    add_index(store, name, add_image(store, ARM), add_image(store, AMD))
    push(store, name)
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x") as caught:
        pulled_platform(other, name, Platform("linux", "s390x"))
    assert caught.value.hint == "it is there for: linux/amd64, linux/arm64"


def test_platform_that_is_not_here_cannot_be_pushed(
    store: Store, registry: RunningRegistry
) -> None:
    name = Reference.parse(f"{registry.host}/lacking:x")
    add_index(store, name, add_image(store, ARM))
    with pytest.raises(NotFound, match="not here for platform linux/s390x"):
        push(store, name, Platform("linux", "s390x"))
