import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from support.archives import layer, sha256, tar
from tierce.archive.filesystem import export_filesystem, import_filesystem
from tierce.errors import ArchiveError
from tierce.oci.config import ContainerConfig, History
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference
from tierce.store import Store

CREATED = "2024-05-01T00:00:00Z"
ROOT = layer({"etc/os-release": b"ID=test\n", "bin/sh": b"#!"})


def same(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize(
    "compress", [same, gzip.compress, zstd.compress, bz2.compress, lzma.compress]
)
@pytest.mark.parametrize("form", ["path", "stream"])
def test_tar_becomes_an_image(
    form: str, compress: Callable[[bytes], bytes], store: Store, tmp_path: Path
) -> None:
    data = compress(ROOT)
    (tmp_path / "root.tar").write_bytes(data)
    source: Any = tmp_path / "root.tar" if form == "path" else io.BytesIO(data)
    image = import_filesystem(
        store,
        source,
        created=CREATED,
        name=Reference.parse("base:1"),
        config=ContainerConfig(cmd=("/bin/sh",)),
        message="by hand",
        platform=Platform.parse("linux/arm64"),
    )
    assert store.images.resolve("base:1").id == image.id
    config = store.images.config(image)
    assert str(config.platform) == "linux/arm64"
    assert config.config.cmd == ("/bin/sh",)
    assert config.created == CREATED
    assert config.history == (History(CREATED, comment="by hand"),)
    assert [str(diff_id) for diff_id in config.diff_ids] == [sha256(ROOT)]
    assert image.size == len(b"ID=test\n#!")
    with store.layers.open_tar(config.diff_ids[0]) as stored:
        assert stored.read() == ROOT
    assert store.layers.indexed(config.diff_ids[0])
    (blob,) = store.images.manifest(image).layers
    assert (blob.digest == config.diff_ids[0]) == blob.media_type.endswith(".tar")


def test_gzip_and_zstd_stay_as_they_are(store: Store) -> None:
    for data in (gzip.compress(ROOT), zstd.compress(ROOT)):
        image = import_filesystem(store, io.BytesIO(data), created=CREATED)
        (blob,) = store.images.manifest(image).layers
        assert store.blobs.read(blob.digest) == data
        assert store.blobs.get(blob.digest).diff_id == Digest.of(ROOT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n" * 1000,
        ROOT[:700],
        gzip.compress(ROOT)[:-10],
        gzip.compress(b"text" * 1000),
        lzma.compress(ROOT)[:-10],
        tar({"../outside": b""}),
    ],
)
def test_what_is_no_file_system_is_refused_and_leaves_nothing(data: bytes, store: Store) -> None:
    with pytest.raises(ArchiveError, match="read archive: "):
        import_filesystem(store, io.BytesIO(data), created=CREATED)
    assert store.images.list() == []
    assert list(store.blobs.all()) == []


def test_file_that_is_not_there_is_an_archive_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such file or directory"):
        import_filesystem(store, tmp_path / "absent", created=CREATED)


def test_exported_tree_imports_to_an_equal_one(store: Store) -> None:
    image = import_filesystem(store, io.BytesIO(ROOT), created=CREATED)
    snapshot = store.snapshots.for_layers(store.images.config(image).diff_ids)
    assert snapshot is not None
    first, second = io.BytesIO(), io.BytesIO()
    export_filesystem(store.snapshots.view(snapshot.id), first)
    with tarfile.open(fileobj=io.BytesIO(first.getvalue())) as exported:
        content = exported.extractfile("etc/os-release")
        assert content is not None
        assert content.read() == b"ID=test\n"
    again = import_filesystem(store, io.BytesIO(first.getvalue()), created=CREATED)
    snapshot = store.snapshots.for_layers(store.images.config(again).diff_ids)
    assert snapshot is not None
    export_filesystem(store.snapshots.view(snapshot.id), second)
    assert first.getvalue() == second.getvalue()


def test_export_to_a_full_device_is_an_archive_error(store: Store) -> None:
    image = import_filesystem(store, io.BytesIO(ROOT), created=CREATED)
    snapshot = store.snapshots.for_layers(store.images.config(image).diff_ids)
    assert snapshot is not None
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(ArchiveError, match="no space left on device"),
    ):
        export_filesystem(store.snapshots.view(snapshot.id), full)
