import io
import json
import os
import stat
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from support.archives import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    ImageParts,
    blob_name,
    descriptor,
    docker_archive,
    index_of,
    layer,
    layout,
    names,
    oci_archive,
    sha256,
    tar,
)
from tierce.archive.load import load
from tierce.archive.save import save
from tierce.errors import ArchiveError, NotFound
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference
from tierce.store import Store

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")


def put(store: Store, parts: ImageParts, *tags: str) -> None:
    load(store, io.BytesIO(tar(docker_archive(parts, *tags))))


def saved(store: Store, *references: str, **options: Any) -> dict[str, bytes]:
    """The members of an archive with these images, in their order."""
    buffer = io.BytesIO()
    save(store, references, buffer, **options)
    buffer.seek(0)
    members = {}
    with tarfile.open(fileobj=buffer) as archive:
        for member in archive:
            assert member.mtime == 0
            assert member.uid == member.gid == 0
            file = archive.extractfile(member)
            name = f"{member.name}/" if member.isdir() else member.name
            assert name not in members
            members[name] = b"" if file is None else file.read()
    return members


def test_saved_archive_has_the_form_of_docker(store: Store) -> None:
    parts = ImageParts(layer(), layer({"b": b""}))
    put(store, parts, "app:1", "app:2")
    members = saved(store, "app:1", "app:2")
    blobs = sorted(blob_name(data) for data in [*parts.layers, parts.config, parts.manifest])
    assert list(members) == [
        "blobs/", "blobs/sha256/", *blobs, "index.json", "manifest.json", "oci-layout",
        "repositories",
    ]  # fmt: skip
    assert members[blob_name(parts.manifest)] == parts.manifest
    assert json.loads(members["manifest.json"]) == [
        {
            "Config": blob_name(parts.config),
            "RepoTags": ["app:1", "app:2"],
            "Layers": [blob_name(data) for data in parts.layers],
            "LayerSources": {
                sha256(data): {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": sha256(data),
                    "size": len(data),
                }
                for data in parts.layers
            },
        }
    ]
    assert json.loads(members["index.json"]) == {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            descriptor(parts.manifest, MANIFEST_TYPE) | extra
            for extra in names("docker.io/library/app:1", "docker.io/library/app:2")
        ],
    }
    top = parts.diff_ids[-1].removeprefix("sha256:")
    assert json.loads(members["repositories"]) == {"app": {"1": top, "2": top}}
    assert members["oci-layout"] == b'{"imageLayoutVersion": "1.0.0"}'


def test_saved_archive_gives_the_same_image_elsewhere(store: Store, tmp_path: Path) -> None:
    put(store, ImageParts(layer(), layer({"b": b""})), "app:1")
    save(store, ["app:1"], tmp_path / "a.tar")
    with Store.open(tmp_path / "other", tmp_path / "other-run") as other:
        (loaded,) = load(other, tmp_path / "a.tar")
        assert [name.familiar for name in loaded.names] == ["app:1"]
        assert loaded.image.manifest == store.images.resolve("app:1").manifest
        save(other, ["app:1"], tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_layers_that_images_share_are_saved_once(store: Store) -> None:
    base = layer()
    put(store, ImageParts(base), "first:1")
    put(store, ImageParts(base, layer({"more": b""})), "second:1")
    members = saved(store, "first:1", "second:1")
    assert [item["RepoTags"] for item in json.loads(members["manifest.json"])] == [
        ["first:1"],
        ["second:1"],
    ]
    assert sum(name.startswith("blobs/sha256/") and name[-1] != "/" for name in members) == 6


def test_repository_stands_for_all_its_tags(store: Store) -> None:
    put(store, ImageParts(layer()), "app:1", "app:2")
    put(store, ImageParts(layer({"x": b""})), "app:3", "other:1")
    items = json.loads(saved(store, "app")["manifest.json"])
    assert [item["RepoTags"] for item in items] == [["app:1", "app:2"], ["app:3"]]


def test_image_saved_by_its_id_has_no_name(store: Store) -> None:
    parts = ImageParts()
    put(store, parts, "app:1")
    for text in (parts.id, parts.id.removeprefix("sha256:")[:12]):
        members = saved(store, text)
        assert json.loads(members["manifest.json"])[0]["RepoTags"] is None
        assert "repositories" not in members
        assert "annotations" not in json.loads(members["index.json"])["manifests"][0]


def test_layout_has_no_documents_of_docker(store: Store) -> None:
    put(store, ImageParts(), "app:1")
    assert not {"manifest.json", "repositories"} & saved(store, "app:1", format="oci").keys()


def test_directory_becomes_a_layout(store: Store, tmp_path: Path) -> None:
    put(store, ImageParts(), "app:1")
    (tmp_path / "layout").mkdir()
    save(store, ["app:1"], tmp_path / "layout", format="oci")
    save(store, ["app:1"], tmp_path / "layout", format="oci")
    assert not list(tmp_path.rglob("*partial*"))
    with Store.open(tmp_path / "other", tmp_path / "other-run") as other:
        (loaded,) = load(other, tmp_path / "layout")
        assert loaded.image.manifest == store.images.resolve("app:1").manifest


def test_directory_is_refused_for_an_archive_of_docker(store: Store, tmp_path: Path) -> None:
    put(store, ImageParts(), "app:1")
    with pytest.raises(ArchiveError, match="is a directory"):
        save(store, ["app:1"], tmp_path)


def put_platforms(store: Store) -> tuple[ImageParts, ImageParts, bytes]:
    amd64, arm64 = ImageParts(), ImageParts(layer({"arm": b""}), architecture="arm64")
    index = index_of(amd64, arm64, annotations={"kept": "as it is"})
    target = descriptor(index, INDEX_TYPE) | names("docker.io/library/app:1")[0]
    members = amd64.members() | arm64.members() | {blob_name(index): index} | layout(target)
    load(store, io.BytesIO(tar(members)))
    return amd64, arm64, index


def test_all_platforms_are_saved_with_their_index(store: Store) -> None:
    amd64, arm64, index = put_platforms(store)
    members = saved(store, "app:1")
    assert members[blob_name(index)] == index
    assert amd64.members().items() <= members.items()
    assert arm64.members().items() <= members.items()
    assert json.loads(members["index.json"])["manifests"][0]["digest"] == sha256(index)
    (item,) = json.loads(members["manifest.json"])
    assert item["Config"] == blob_name(amd64.config)


def test_one_platform_is_saved_without_the_index(store: Store) -> None:
    amd64, arm64, index = put_platforms(store)
    members = saved(store, "app:1", platforms=[ARM64])
    assert blob_name(index) not in members
    assert blob_name(amd64.manifest) not in members
    assert json.loads(members["index.json"])["manifests"][0]["digest"] == sha256(arm64.manifest)
    assert blob_name(index) in saved(store, "app:1", platforms=[AMD64, ARM64])


def test_platform_that_is_not_here_is_not_found(store: Store) -> None:
    put_platforms(store)
    put(store, ImageParts(layer({"x": b""})), "other:1")
    for name in ("app:1", "other:1"):
        with pytest.raises(NotFound, match="not here for platform linux/s390x"):
            saved(store, name, platforms=[Platform.parse("linux/s390x")])


def test_image_that_is_not_here_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="no such image: absent"):
        saved(store, "absent")


def test_compressed_layers_are_saved_as_they_are(store: Store) -> None:
    parts = ImageParts(layer(), compressed=True)
    put(store, parts, "app:1")
    assert parts.members().items() <= saved(store, "app:1").items()


def test_layer_that_is_a_directory_only_is_written_again(store: Store) -> None:
    diff_id = directory_layer(store)
    parts = ImageParts(tar_of(store, diff_id))
    name(store, parts)
    assert not store.blobs.has(diff_id)
    assert saved(store, "app:1")[blob_name(parts.layers[0])] == parts.layers[0]


def test_compressed_layer_that_is_lost_is_saved_uncompressed(store: Store) -> None:
    diff_id = directory_layer(store)
    parts = ImageParts(tar_of(store, diff_id), compressed=True)
    name(store, parts)
    members = saved(store, "app:1")
    (item,) = json.loads(members["manifest.json"])
    assert item["Config"] == blob_name(parts.config)
    assert [members[path] for path in item["Layers"]] == list(parts.layers)


def directory_layer(store: Store) -> Digest:
    """A layer as a RUN step leaves it: files in a snapshot, and no tar."""
    active = store.snapshots.prepare(None)
    upper = store.snapshots.directories(active).upper
    (upper / "etc").mkdir()
    (upper / "etc/motd").write_bytes(b"hello\n" * 50_000)
    snapshot = store.snapshots.commit(active)
    store.snapshots.finish([snapshot.id])
    diff_id = store.snapshots.get(snapshot.id).diff_id
    assert diff_id is not None
    return diff_id


def tar_of(store: Store, diff_id: Digest) -> bytes:
    with store.layers.open_tar(diff_id) as tar_file:
        return tar_file.read()


def name(store: Store, parts: ImageParts) -> None:
    """Put an image into the store without the blobs of its layers."""
    image = store.images.put(parts.manifest, parts.config)
    store.images.tag(Reference.parse("app:1"), image.manifest)


@pytest.mark.parametrize("kind", ["file", "pipe", "memory"])
def test_bytes_do_not_depend_on_where_they_go(kind: str, store: Store, tmp_path: Path) -> None:
    put(store, ImageParts(layer(padding=2 << 20)), "app:1")
    save(store, ["app:1"], tmp_path / "a.tar")
    if kind == "file":
        with (tmp_path / "b.tar").open("wb") as file:
            save(store, ["app:1"], file)
        written = (tmp_path / "b.tar").read_bytes()
    elif kind == "pipe":
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
            assert cat.stdin is not None
            assert cat.stdout is not None
            written = _through(store, cat)
    else:
        buffer = io.BytesIO()
        save(store, ["app:1"], buffer)
        written = buffer.getvalue()
    assert written == (tmp_path / "a.tar").read_bytes()


def _through(store: Store, cat: "subprocess.Popen[bytes]") -> bytes:
    assert cat.stdin is not None
    assert cat.stdout is not None
    pieces: list[bytes] = []
    reader = threading.Thread(target=lambda: pieces.append(cat.stdout.read()))  # type: ignore[union-attr]
    reader.start()
    save(store, ["app:1"], cat.stdin)
    cat.stdin.close()
    reader.join()
    return pieces[0]


def test_file_appears_when_it_is_complete(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, ImageParts(), "app:1")
    path = tmp_path / "a.tar"
    path.write_bytes(b"what was there")

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "sendfile", fail)
        with pytest.raises(ArchiveError, match="no space left on device"):
            save(store, ["app:1"], path)
    assert path.read_bytes() == b"what was there"
    assert not list(tmp_path.rglob("*partial*"))
    save(store, ["app:1"], path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_file_behind_a_symbolic_link_is_replaced(store: Store, tmp_path: Path) -> None:
    put(store, ImageParts(), "app:1")
    (tmp_path / "real.tar").write_bytes(b"old")
    (tmp_path / "link.tar").symlink_to("real.tar")
    save(store, ["app:1"], tmp_path / "link.tar")
    assert (tmp_path / "link.tar").is_symlink()
    assert tarfile.is_tarfile(tmp_path / "real.tar")


def test_device_is_written_to_and_not_replaced(store: Store) -> None:
    put(store, ImageParts(), "app:1")
    save(store, ["app:1"], "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(ArchiveError, match="no space left on device"):
        save(store, ["app:1"], "/dev/full")


def test_path_that_cannot_be_written_is_an_archive_error(store: Store, tmp_path: Path) -> None:
    put(store, ImageParts(), "app:1")
    with pytest.raises(ArchiveError, match="no such file or directory"):
        save(store, ["app:1"], tmp_path / "absent" / "a.tar")


def test_reader_that_goes_away_is_a_broken_pipe(store: Store) -> None:
    put(store, ImageParts(layer(padding=1 << 20)), "app:1")
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as file, pytest.raises(BrokenPipeError):
        save(store, ["app:1"], file)


def test_unknown_format_is_refused(store: Store) -> None:
    with pytest.raises(ArchiveError, match="unknown format 'zip'"):
        saved(store, "app", format="zip")


def test_layout_of_others_is_saved_with_its_own_bytes(store: Store) -> None:
    parts = ImageParts()
    load(store, io.BytesIO(tar(oci_archive(parts, "host.example/app:1"))))
    members = saved(store, "host.example/app:1")
    assert members[blob_name(parts.manifest)] == parts.manifest
    assert json.loads(members["manifest.json"])[0]["RepoTags"] == ["host.example/app:1"]
