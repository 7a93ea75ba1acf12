import gzip
import io
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from backports import zstd

from support.archives import (
    INDEX_TYPE,
    ImageParts,
    Members,
    blob_name,
    descriptor,
    docker_archive,
    docker_item,
    encoded,
    index_of,
    layer,
    layout,
    names,
    oci_archive,
    old_docker_archive,
    sha256,
    tar,
    write_directory,
)
from tierce.archive.load import Loaded, load
from tierce.archive.staging import Progress
from tierce.errors import ArchiveError
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.store import Store

BIG = 300_000  # bytes above which a member of a stream is not kept in memory


def tags(loaded: list[Loaded]) -> list[str]:
    return [name.familiar for each in loaded for name in each.names]


def as_file(members: Members, path: Path) -> Path:
    path.write_bytes(tar(members))
    return path


def as_pipe(data: bytes) -> BinaryIO:
    """The reading end of a pipe that somebody writes the data to."""
    reading, writing = os.pipe()

    def write() -> None:
        try:
            with open(writing, "wb") as file:
                file.write(data)
        except BrokenPipeError:
            pass

    threading.Thread(target=write, daemon=True).start()
    return open(reading, "rb")


def test_docker_archive_gives_image_and_names(store: Store, tmp_path: Path) -> None:
    parts = ImageParts(layer(), layer({"usr/bin/app": b"#!"}))
    archive = as_file(docker_archive(parts, "app:1", "app:latest"), tmp_path / "a.tar")
    (loaded,) = load(store, archive)
    assert tags([loaded]) == ["app:1", "app:latest"]
    assert str(loaded.image.id) == parts.id
    assert store.images.resolve("app:1").id == loaded.image.id
    assert store.blobs.read(loaded.image.manifest) == parts.manifest
    assert layers_of(store, "app") == list(parts.layers)


def test_old_docker_archive_gives_the_same_image_id(store: Store, tmp_path: Path) -> None:
    shared = layer()
    parts = ImageParts(shared, layer({"a": b"1"}), shared)
    members, links = old_docker_archive(parts, "app:1")
    (tmp_path / "a.tar").write_bytes(tar(members, links))
    (loaded,) = load(store, tmp_path / "a.tar")
    assert str(loaded.image.id) == parts.id
    assert tags([loaded]) == ["app:1"]
    assert layers_of(store, "app:1") == list(parts.layers)


def test_archive_of_docker_before_1_10_becomes_an_image(store: Store, tmp_path: Path) -> None:
    lower, upper = "1" * 64, "2" * 64
    base = {"id": lower, "created": "2014-06-03T00:00:00Z", "container_config": {"Cmd": ["a"]}}
    top = {
        "id": upper,
        "parent": lower,
        "created": "2014-06-04T00:00:00Z",
        "container_config": {"Cmd": ["/bin/sh", "-c", "make"]},
        "config": {"Cmd": ["run"], "Env": ["A=1"]},
        "architecture": "amd64",
        "os": "linux",
        "author": "me",
        "docker_version": "1.8.3",
    }
    members = {
        f"{lower}/json": encoded(base),
        f"{lower}/layer.tar": layer(),
        f"{upper}/json": encoded(top),
        f"{upper}/layer.tar": layer({"b": b"2"}),
        "repositories": encoded({"app": {"1.0": upper}, "team/app": {"x": upper}}),
    }
    (loaded,) = load(store, as_file(members, tmp_path / "a.tar"))
    assert tags([loaded]) == ["app:1.0", "team/app:x"]
    config = store.images.config(loaded.image)
    assert config.config.cmd == ("run",)
    assert config.author == "me"
    assert [entry.created_by for entry in config.history] == ["a", "/bin/sh -c make"]
    assert config.created == "2014-06-04T00:00:00Z"
    assert layers_of(store, "app:1.0") == [layer(), layer({"b": b"2"})]


def test_layout_is_read_from_a_directory(store: Store, tmp_path: Path) -> None:
    parts = ImageParts()
    path = write_directory(tmp_path / "layout", oci_archive(parts, "docker.io/library/app:1"))
    (loaded,) = load(store, path)
    assert tags([loaded]) == ["app:1"]
    assert str(loaded.image.id) == parts.id


def test_blobs_of_a_directory_may_be_symbolic_links(store: Store, tmp_path: Path) -> None:
    parts = ImageParts()
    path = write_directory(tmp_path / "layout", oci_archive(parts))
    blob = path / blob_name(parts.layers[0])
    blob.rename(tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    assert str(load(store, path)[0].image.id) == parts.id


def test_several_images_come_from_one_archive(store: Store, tmp_path: Path) -> None:
    first, second = ImageParts(layer()), ImageParts(layer(), layer({"x": b""}))
    members = docker_archive(first, "first:1") | second.members()
    items = [docker_item(first, "first:1"), docker_item(second, "second:1", "second:2")]
    del members["index.json"]
    loaded = load(store, as_file(members | {"manifest.json": encoded(items)}, tmp_path / "a"))
    assert tags(loaded) == ["first:1", "second:1", "second:2"]
    assert [str(each.image.id) for each in loaded] == [first.id, second.id]


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        ({"org.opencontainers.image.ref.name": "host.example/app:1"}, "host.example/app:1"),
        ({"org.opencontainers.image.ref.name": "app:1"}, "app:1"),
        ({"org.opencontainers.image.ref.name": "latest"}, None),
        ({"io.containerd.image.name": "docker.io/library/app:2"}, "app:2"),
        ({"io.containerd.image.name": "app"}, "app:latest"),
        ({}, None),
    ],
)
def test_annotations_of_a_layout_name_its_images(
    annotation: dict[str, str], name: str | None, store: Store, tmp_path: Path
) -> None:
    parts = ImageParts()
    target = descriptor(parts.manifest, "application/vnd.oci.image.manifest.v1+json")
    members = parts.members() | layout(target | {"annotations": annotation})
    loaded = load(store, as_file(members, tmp_path / "a.tar"))
    assert tags(loaded) == ([] if name is None else [name])
    assert store.images.find(parts.id) is not None


def test_names_come_from_manifest_json_where_the_layout_has_none(
    store: Store, tmp_path: Path
) -> None:
    parts = ImageParts()
    members = oci_archive(parts) | {"manifest.json": encoded([docker_item(parts, "app:1")])}
    assert tags(load(store, as_file(members, tmp_path / "a.tar"))) == ["app:1"]


def platforms_archive(*parts: ImageParts, index: bytes) -> Members:
    target = descriptor(index, INDEX_TYPE) | names("docker.io/library/app:1")[0]
    members = {blob_name(index): index} | layout(target)
    for each in parts:
        members |= each.members()
    return members


def test_all_platforms_of_an_index_are_loaded(store: Store, tmp_path: Path) -> None:
    amd64, arm64 = ImageParts(), ImageParts(layer({"arm": b""}), architecture="arm64")
    index = index_of(amd64, arm64)
    (loaded,) = load(
        store, as_file(platforms_archive(amd64, arm64, index=index), tmp_path / "a.tar")
    )
    assert loaded.image.index == Digest.of(index)
    assert store.blobs.read(Digest.of(index)) == index
    assert str(store.images.resolve("app:1", Platform.parse("linux/amd64")).id) == amd64.id
    assert str(store.images.resolve("app:1", Platform.parse("linux/arm64")).id) == arm64.id


def test_platforms_that_are_not_in_the_archive_are_passed_over(
    store: Store, tmp_path: Path
) -> None:
    amd64, arm64 = ImageParts(), ImageParts(layer({"arm": b""}), architecture="arm64")
    index = index_of(amd64, arm64)
    load(store, as_file(platforms_archive(arm64, index=index), tmp_path / "a.tar"))
    assert str(store.images.resolve("app:1").id) == arm64.id
    assert store.images.find(amd64.id) is None


def test_attestations_of_an_index_are_no_images(store: Store, tmp_path: Path) -> None:
    image = ImageParts()
    attestation = ImageParts(b'{"predicate": {}}', architecture="unknown")
    attestation.platform = {"os": "unknown", "architecture": "unknown"}
    index = index_of(image, attestation)
    load(store, as_file(platforms_archive(image, attestation, index=index), tmp_path / "a.tar"))
    assert [str(each.id) for each in store.images.list()] == [image.id]


def test_only_the_wanted_platform_is_loaded(store: Store, tmp_path: Path) -> None:
    amd64, arm64 = ImageParts(), ImageParts(layer({"arm": b""}), architecture="arm64")
    archive = platforms_archive(amd64, arm64, index=index_of(amd64, arm64))
    load(store, as_file(archive, tmp_path / "a.tar"), platforms=[Platform.parse("linux/arm64/v8")])
    assert [str(each.id) for each in store.images.list()] == [arm64.id]


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_archive_without_the_wanted_platform_is_refused(
    make: Callable[..., Members], store: Store, tmp_path: Path
) -> None:
    archive = as_file(make(ImageParts(), "app:1"), tmp_path / "a.tar")
    with pytest.raises(ArchiveError, match="no image for linux/s390x"):
        load(store, archive, platforms=[Platform.parse("linux/s390x")])
    assert store.images.list() == []


def compressed_with(data: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(data)
    return zstd.compress(data) if kind == "zstd" else data


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("form", ["file", "pipe", "memory", "redirected"])
def test_archive_may_come_in_any_way(kind: str, form: str, store: Store, tmp_path: Path) -> None:
    parts = ImageParts(layer(padding=BIG), layer())
    data = compressed_with(tar(docker_archive(parts, "app:1")), kind)
    source: Any
    if form == "file":
        source = tmp_path / "a.tar"
        source.write_bytes(data)
    elif form == "pipe":
        source = as_pipe(data)
    elif form == "memory":
        source = io.BytesIO(data)
    else:
        # As a shell's "< file" is: a file on disk, of which something was read before.
        (tmp_path / "a.tar").write_bytes(b"first line\n" + data)
        source = (tmp_path / "a.tar").open("rb")
        source.readline()
    loaded = load(store, source)
    if form != "file":
        source.close()
    assert tags(loaded) == ["app:1"]
    assert layers_of(store, "app:1") == list(parts.layers)


def test_compressed_layers_stay_compressed(store: Store, tmp_path: Path) -> None:
    parts = ImageParts(layer(), layer(padding=BIG), compressed=True)
    load(store, as_file(docker_archive(parts, "app:1"), tmp_path / "a.tar"))
    assert layers_of(store, "app:1") == list(parts.blobs)
    for blob, diff_id in zip(parts.blobs, parts.diff_ids):
        assert store.blobs.get(Digest.of(blob)).diff_id == Digest.parse(diff_id)


def test_compressed_layers_of_docker_form_get_a_manifest(store: Store, tmp_path: Path) -> None:
    parts = ImageParts(layer(), compressed=True)
    members, links = old_docker_archive(parts, "app:1")
    (tmp_path / "a.tar").write_bytes(tar(members, links))
    (loaded,) = load(store, tmp_path / "a.tar")
    (blob,) = store.images.manifest(loaded.image).layers
    assert blob.media_type.endswith("tar+gzip")
    assert layers_of(store, "app:1") == list(parts.blobs)


def test_layer_that_is_here_is_not_read_again(store: Store, tmp_path: Path) -> None:
    parts = ImageParts(layer(padding=BIG))
    members = docker_archive(parts, "app:1")
    load(store, as_file(members, tmp_path / "a.tar"))
    seen: list[Progress] = []
    load(store, tmp_path / "a.tar", on_progress=seen.append)
    assert seen == []
    members[blob_name(parts.layers[0])] = bytes(len(parts.layers[0]))
    load(store, as_file(members, tmp_path / "a.tar"))
    with as_pipe(tar(members)) as pipe:
        load(store, pipe)
    assert layers_of(store, "app:1") == list(parts.layers)


@pytest.mark.parametrize("form", ["file", "pipe"])
def test_progress_of_each_layer_reaches_its_size(form: str, store: Store, tmp_path: Path) -> None:
    parts = ImageParts(layer({"a": b""}, padding=5 << 20), layer(padding=BIG))
    seen: list[Progress] = []
    if form == "file":
        load(store, as_file(oci_archive(parts), tmp_path / "a.tar"), on_progress=seen.append)
    else:
        with as_pipe(tar(oci_archive(parts))) as pipe:
            load(store, pipe, on_progress=seen.append)
    for data in parts.layers:
        steps = [each.current for each in seen if each.name == Digest.of(data).short]
        assert steps[-1] == len(data)
        assert steps == sorted(steps)


def test_later_member_of_the_same_name_counts(store: Store, tmp_path: Path) -> None:
    parts = ImageParts()
    data = tar({"manifest.json": b"[]", "oci-layout": b"x"})[: -20 * 512]
    data = data.rstrip(b"\0")
    data += bytes(-len(data) % 512) + tar(docker_archive(parts, "app:1"))
    (tmp_path / "a.tar").write_bytes(data)
    assert tags(load(store, tmp_path / "a.tar")) == ["app:1"]
    with as_pipe(data) as pipe:
        assert tags(load(store, pipe)) == ["app:1"]


def test_name_moves_to_the_image_loaded_last(store: Store, tmp_path: Path) -> None:
    first, second = ImageParts(layer()), ImageParts(layer({"new": b""}))
    (loaded,) = load(store, as_file(docker_archive(first, "app:1"), tmp_path / "a.tar"))
    assert loaded.replaced == ()
    (loaded,) = load(store, as_file(docker_archive(second, "app:1"), tmp_path / "b.tar"))
    assert [(name.familiar, str(old)) for name, old in loaded.replaced] == [("app:1", first.id)]
    assert str(store.images.resolve("app:1").id) == second.id
    assert store.images.find(first.id) is not None


def test_image_without_layers_is_loaded(store: Store, tmp_path: Path) -> None:
    parts = ImageParts(rootfs={"type": "layers", "diff_ids": None})
    manifest = encoded(
        {
            "schemaVersion": 2,
            "config": descriptor(parts.config, "application/vnd.oci.image.config.v1+json"),
            "layers": [],
        }
    )
    target = descriptor(manifest, "application/vnd.oci.image.manifest.v1+json")
    members = {blob_name(data): data for data in (parts.config, manifest)} | layout(target)
    (loaded,) = load(store, as_file(members, tmp_path / "a.tar"))
    assert str(loaded.image.id) == sha256(parts.config)


def test_writer_of_a_pipe_is_heard_to_its_end(store: Store, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar(docker_archive(ImageParts(), "app:1")) + bytes(1 << 20))
    with subprocess.Popen(["cat", archive], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        load(store, cat.stdout)
    assert cat.returncode == 0


def layers_of(store: Store, name: str) -> list[bytes]:
    manifest = store.images.manifest(store.images.resolve(name))
    return [store.blobs.read(layer.digest) for layer in manifest.layers]
