"""Archives that must not be loaded, and what they leave behind: nothing."""

import gzip
import io
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.archives import (
    INDEX_TYPE,
    MANIFEST_TYPE,
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
    oci_archive,
    old_docker_archive,
    sha256,
    tar,
    write_directory,
)
from tierce.archive.load import load
from tierce.errors import ArchiveError, DigestMismatch, TierceError
from tierce.store import Store
from unit.oci import values

PARTS = ImageParts(layer(), layer(padding=300_000))
FIRST, SECOND = (blob_name(data) for data in PARTS.layers)


def everything_in(store: Store) -> Any:
    """All that a load could change: rows, and files, also temporary ones."""
    return (
        list(store.blobs.all()),
        store.images.list(),
        store.images.all_names(),
        sorted(str(path) for path in store.paths.blobs.rglob("*")),
        store.leases.living(),
    )


def without(members: Members, name: str) -> Members:
    return {key: value for key, value in members.items() if key != name}


def docker_only(**changes: Any) -> Members:
    """An archive with manifest.json alone; `changes` are made to the image's entry in it."""
    item = docker_item(PARTS, "app:1") | changes
    return PARTS.members() | {"manifest.json": encoded([item])}


def nested_indexes(depth: int) -> Members:
    raw, members = index_of(PARTS), PARTS.members()
    for _ in range(depth):
        members[blob_name(raw)] = raw
        raw = encoded({"schemaVersion": 2, "manifests": [descriptor(raw, INDEX_TYPE)]})
    return members | {blob_name(raw): raw} | layout(descriptor(raw, INDEX_TYPE))


def with_manifest(manifest: Any) -> Members:
    raw = encoded(manifest)
    return PARTS.members() | {blob_name(raw): raw} | layout(descriptor(raw, MANIFEST_TYPE))


def changed_manifest(**changes: Any) -> Members:
    return with_manifest(json.loads(PARTS.manifest) | changes)


OTHER_DIFF_IDS = ImageParts(
    *PARTS.layers, rootfs={"type": "layers", "diff_ids": [sha256(b"a"), sha256(b"b")]}
)
COMPRESSED_LIE = ImageParts(
    layer(), compressed=True, rootfs={"type": "layers", "diff_ids": [sha256(b"other")]}
)
BAD_GZIP = ImageParts(layer(padding=5000), compressed=True)
BAD_GZIP.blobs = [BAD_GZIP.blobs[0][:-9]]

XZ_LAYER = ImageParts(layer())
XZ_LAYER = ImageParts(
    lzma.compress(layer()), rootfs={"type": "layers", "diff_ids": XZ_LAYER.diff_ids}
)

BAD: dict[str, tuple[Members, type[TierceError], str]] = {
    "no members": ({}, ArchiveError, "neither a docker archive nor an OCI layout"),
    "no documents": (PARTS.members(), ArchiveError, "neither a docker archive nor"),
    "layer absent": (without(docker_archive(PARTS, "app:1"), SECOND), ArchiveError, "not in it"),
    "layer absent, docker only": (without(docker_only(), SECOND), ArchiveError, "is not in it"),
    "config absent": (without(docker_only(), blob_name(PARTS.config)), ArchiveError, "not in it"),
    "manifest absent": (
        without(oci_archive(PARTS), blob_name(PARTS.manifest)), ArchiveError, "is not in it",
    ),
    "layer with other bytes": (
        docker_archive(PARTS, "app:1") | {SECOND: bytes(len(PARTS.layers[1]))},
        DigestMismatch, "expected sha256:",
    ),
    "layer with other bytes, docker only": (
        docker_only() | {FIRST: layer({"evil": b""})}, DigestMismatch, "expected sha256:",
    ),
    "layer with another size": (
        oci_archive(PARTS) | {FIRST: PARTS.layers[0] + bytes(512)}, ArchiveError, "instead of",
    ),
    "config with other bytes": (
        docker_only() | {blob_name(PARTS.config): PARTS.config + b" "}, DigestMismatch, "expected",
    ),
    "manifest with other bytes": (
        oci_archive(PARTS) | {blob_name(PARTS.manifest): PARTS.manifest + b" "},
        DigestMismatch, "expected",
    ),
    "config of other layers": (docker_archive(OTHER_DIFF_IDS, "app:1"), DigestMismatch, "expected"),
    "compressed layer of another diff id": (
        docker_archive(COMPRESSED_LIE, "app:1"), DigestMismatch, "diff id",
    ),
    "compressed layer that is cut short": (
        BAD_GZIP.members() | {"manifest.json": encoded([docker_item(BAD_GZIP, "app:1")])},
        ArchiveError, "read archive",
    ),
    "layer compressed by xz": (docker_archive(XZ_LAYER, "app:1"), DigestMismatch, "diff id"),
    "fewer layers than the config": (docker_only(Layers=[FIRST]), ArchiveError, "has 1 layers"),
    "layers missing in the entry": (docker_only(Layers=None), ArchiveError, "has 0 layers"),
    "manifest.json of another type": (
        PARTS.members() | {"manifest.json": b"{}"}, ArchiveError, "not a list of images",
    ),
    "manifest.json with null": (
        PARTS.members() | {"manifest.json": b"[null]"}, ArchiveError, "expected an object",
    ),
    "manifest.json that is no JSON": (
        PARTS.members() | {"manifest.json": b"[" * 100_000}, ArchiveError, "nested too deeply",
    ),
    "empty manifest.json": (PARTS.members() | {"manifest.json": b"[]"}, ArchiveError, "no images"),
    "no config in the entry": (docker_only(Config=""), ArchiveError, "names no config"),
    "number as config": (docker_only(Config=1), ArchiveError, "Config: expected a string"),
    "path of the config outside": (
        docker_only(Config="../../etc/passwd"), ArchiveError, "leads outside the archive",
    ),
    "absolute path of the config": (
        docker_only(Config="/etc/passwd"), ArchiveError, "leads outside the archive",
    ),
    "path of a layer outside": (
        docker_only(Layers=[FIRST, "blobs/../../x"]), ArchiveError, "leads outside the archive",
    ),
    "bad name": (docker_only(RepoTags=["App:1"]), ArchiveError, "must be lowercase"),
    "name without a tag": (docker_only(RepoTags=["app"]), ArchiveError, "app has no tag"),
    "bad name in an annotation": (
        oci_archive(PARTS, "docker.io/library/App:1"), ArchiveError, "must be lowercase",
    ),
    "config that is no config": (
        docker_only(Config="x.json") | {"x.json": b'{"rootfs": []}'}, ArchiveError, "rootfs",
    ),
    "index.json of another type": (
        layout() | {"index.json": b"[]"}, ArchiveError, "expected an object",
    ),
    "empty index.json": (layout(), ArchiveError, "it has no images"),
    "index.json that is a manifest": (
        layout() | {"index.json": PARTS.manifest}, ArchiveError, "was promised",
    ),
    "manifest that is an index too": (
        changed_manifest(manifests=[]), ArchiveError, "must not have manifests",
    ),
    "media type that was not promised": (
        changed_manifest(mediaType=INDEX_TYPE), ArchiveError, "was promised",
    ),
    "more layers than the config": (
        changed_manifest(layers=json.loads(PARTS.manifest)["layers"] * 2), ArchiveError, "has 4 l",
    ),
    "layer of an unknown kind": (
        changed_manifest(layers=[descriptor(PARTS.layers[0], "text/html")] * 2),
        ArchiveError, "unsupported media type",
    ),
    "indexes nested too deeply": (nested_indexes(5), ArchiveError, "nested too deeply"),
    "member outside": (docker_archive(PARTS) | {"../x": b""}, ArchiveError, '".." in its path'),
}  # fmt: skip


@pytest.fixture
def before(store: Store) -> Any:
    """What is in a store that has an image already."""
    other = ImageParts(layer({"other": b""}))
    load(store, io.BytesIO(tar(docker_archive(other, "app:1", "other:1"))))
    return everything_in(store)


@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("name", BAD)
def test_bad_archive_is_refused_and_leaves_nothing(
    name: str, kind: str, store: Store, tmp_path: Path, before: Any
) -> None:
    members, expected, cause = BAD[name]
    data = tar(members)
    (tmp_path / "a.tar").write_bytes(data)
    source = tmp_path / "a.tar" if kind == "file" else io.BytesIO(data)
    with pytest.raises(expected) as caught:
        load(store, source)
    assert cause in caught.value.message
    assert "\n" not in caught.value.message
    assert everything_in(store) == before


@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.97])
def test_archive_cut_short_is_refused_and_leaves_nothing(
    part: float, kind: str, store: Store, tmp_path: Path, before: Any
) -> None:
    data = tar(docker_archive(PARTS, "app:1"))
    data = data[: int(len(data.rstrip(b"\0")) * part)]
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(ArchiveError):
        load(store, tmp_path / "a.tar" if kind == "file" else io.BytesIO(data))
    assert everything_in(store) == before


@pytest.mark.parametrize("kind", ["gzip", "text", "zeros"])
def test_what_is_no_tar_is_refused(kind: str, store: Store, tmp_path: Path, before: Any) -> None:
    data = {"gzip": gzip.compress(b"text"), "text": b"text\n" * 500, "zeros": bytes(5000)}[kind]
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(ArchiveError):
        load(store, tmp_path / "a.tar")
    assert everything_in(store) == before


def test_archive_that_is_not_there_is_an_archive_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such file or directory"):
        load(store, tmp_path / "absent.tar")


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("layer.tar", "leads to itself"),
        ("../../../../etc/shadow", "leads outside the archive"),
        ("/etc/shadow", "leads outside the archive"),
        ("absent", "is not in it"),
    ],
)
def test_link_in_an_archive_leads_nowhere_else(
    target: str, cause: str, store: Store, tmp_path: Path, before: Any
) -> None:
    members, _ = old_docker_archive(ImageParts(layer()), "app:1")
    name = f"{0:064x}/layer.tar"
    (tmp_path / "a.tar").write_bytes(tar(without(members, name), {name: target}))
    with pytest.raises(ArchiveError, match=cause):
        load(store, tmp_path / "a.tar")
    assert everything_in(store) == before


@pytest.mark.parametrize(
    ("repositories", "cause"),
    [
        ({"app": {"1": "../../etc"}}, "is not the id of a layer"),
        ({"app": {"1": ""}}, "names an empty layer id"),
        ({"app": {"1": "9" * 64}}, "is not in it"),
        ({"app": {"1": "1" * 64}}, "more than 1024 layers"),
        ({"App": {"1": "2" * 64}}, "must be lowercase"),
        ({"app": []}, "expected an object"),
        ([], "expected an object"),
    ],
)
def test_bad_archive_of_docker_before_1_10_is_refused(
    repositories: Any, cause: str, store: Store, tmp_path: Path, before: Any
) -> None:
    members = {
        "repositories": encoded(repositories),
        f"{'1' * 64}/json": encoded({"parent": "1" * 64}),
        f"{'1' * 64}/layer.tar": layer(),
        f"{'2' * 64}/json": encoded({}),
        f"{'2' * 64}/layer.tar": layer(),
    }
    (tmp_path / "a.tar").write_bytes(tar(members))
    with pytest.raises(ArchiveError, match=cause):
        load(store, tmp_path / "a.tar")
    assert everything_in(store) == before


def test_fifo_in_a_layout_directory_does_not_hang(store: Store, tmp_path: Path) -> None:
    path = write_directory(tmp_path / "layout", oci_archive(PARTS))
    (path / SECOND).unlink()
    os.mkfifo(path / SECOND)
    with pytest.raises(ArchiveError, match="is not a file"):
        load(store, path)


def test_layer_that_cannot_be_stored_leaves_nothing(
    store: Store, tmp_path: Path, before: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tar").write_bytes(tar(docker_archive(PARTS, "app:1")))

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.sendfile", fail)
    with pytest.raises(TierceError, match="no space left"):
        load(store, tmp_path / "a.tar")
    assert everything_in(store) == before


def test_interrupt_leaves_nothing(store: Store, tmp_path: Path, before: Any) -> None:
    (tmp_path / "a.tar").write_bytes(tar(docker_archive(PARTS, "app:1")))

    def interrupt(_progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(store, tmp_path / "a.tar", on_progress=interrupt)
    assert everything_in(store) == before


WHOLE = tar(docker_archive(PARTS, "app:1"))


@given(place=st.integers(0, len(WHOLE) - 1), change=st.integers(1, 255), stream=st.booleans())
def test_archive_with_one_other_byte_is_loaded_or_refused(
    place: int, change: int, stream: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("changed")
    data = bytearray(WHOLE)
    data[place] ^= change
    (path / "a.tar").write_bytes(data)
    with Store.open(path / "store", path / "run") as store:
        empty = everything_in(store)
        try:
            loaded = load(store, io.BytesIO(bytes(data)) if stream else path / "a.tar")
        except TierceError:
            assert everything_in(store) == empty
            return
        for each in loaded:
            for blob in store.images.manifest(each.image).layers:
                assert store.blobs.verify(blob.digest)


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
@given(name=st.text(max_size=30))
def test_any_name_is_a_name_or_refused(
    make: Callable[..., Members], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("named")
    parts = ImageParts(layer())
    members = docker_only(RepoTags=[name]) if make is docker_archive else oci_archive(parts, name)
    with Store.open(path / "store", path / "run") as store:
        try:
            load(store, io.BytesIO(tar(members)))
        except ArchiveError:
            assert not store.images.all_names()


members_of_items = st.fixed_dictionaries(
    {},
    optional={
        "Config": st.just(blob_name(PARTS.config)) | values.json_documents,
        "Layers": st.just([FIRST, SECOND]) | values.json_documents,
        "RepoTags": st.just(["app:1"]) | values.json_documents,
    },
)


@pytest.mark.parametrize("name", ["manifest.json", "index.json"])
@given(document=values.json_documents | st.lists(members_of_items, max_size=2))
def test_any_document_is_loaded_or_refused(
    name: str, document: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("documents")
    members = PARTS.members() | {"oci-layout": b"{}"} | {name: encoded(document)}
    with Store.open(path / "store", path / "run") as store:
        empty = everything_in(store)
        try:
            load(store, io.BytesIO(tar(members)))
        except (ArchiveError, DigestMismatch):
            assert everything_in(store) == empty
