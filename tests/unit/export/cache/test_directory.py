"""A directory with caches: what is written appears whole, and what is read is verified."""

import json
import os
from pathlib import Path

import pytest

from tierce.archive.staging import Staging
from tierce.errors import ArchiveError, BuildError, DigestMismatch, InvalidValue, NotFound
from tierce.export.cache.directory import CacheWriter, read_cache
from tierce.export.cache.document import CACHE_CONFIG, CachedLayer, CacheDocument
from tierce.export.cache.options import CacheDirectory
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from tierce.store import Store

BLOB = b"content of a blob"
LAYER = Descriptor(OCI_LAYER_GZIP, Digest.of(BLOB), len(BLOB))


def write(path: Path, tag: str = "latest", document: CacheDocument | None = None) -> Digest:
    """A cache with one layer; the digest of its manifest."""
    if document is None:
        document = CacheDocument((CachedLayer(LAYER.digest, -1, 0),))
    raw = document.encode()
    config = Descriptor(CACHE_CONFIG, Digest.of(raw), len(raw))
    manifest = Manifest(OCI_MANIFEST, config, (LAYER,)).encode()
    descriptor = Descriptor(OCI_MANIFEST, Digest.of(manifest), len(manifest))
    with CacheWriter(str(path)) as writer:
        writer.write_bytes(LAYER, BLOB)
        writer.write_bytes(config, raw)
        writer.write_bytes(descriptor, manifest)
        writer.tag(tag, descriptor)
    return descriptor.digest


def read(store: Store, path: Path, **named: str) -> Digest:
    with Staging(store) as staging:
        return read_cache(CacheDirectory(str(path), **named), staging).digest


def blob(path: Path, digest: Digest) -> Path:
    return path / "blobs/sha256" / digest.hex


def tags(path: Path) -> list[str]:
    index = json.loads((path / "index.json").read_text())
    return [each["annotations"]["org.opencontainers.image.ref.name"] for each in index["manifests"]]


# Writing


def test_it_is_an_oci_layout(tmp_path: Path) -> None:
    write(tmp_path)
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "blobs", "index.json", "index.json.lock", "oci-layout", "writers.lock"}  # fmt: skip


def test_tag_is_moved_and_others_stay(store: Store, tmp_path: Path) -> None:
    first = write(tmp_path, "one")
    second = write(tmp_path, "two", CacheDocument())
    assert write(tmp_path, "one", CacheDocument()) == second
    assert tags(tmp_path) == ["two", "one"]
    assert read(store, tmp_path, tag="one") == second
    assert read(store, tmp_path, digest=str(first)) == first


def test_index_that_cannot_be_read_is_replaced(store: Store, tmp_path: Path) -> None:
    tmp_path.joinpath("index.json").write_text("{")
    digest = write(tmp_path)
    assert read(store, tmp_path) == digest


def test_content_that_is_not_what_it_should_be_does_not_appear(tmp_path: Path) -> None:
    writer = CacheWriter(str(tmp_path))
    with pytest.raises(DigestMismatch):
        writer.write(LAYER, lambda sink: sink(b"else"))
    assert list((tmp_path / "blobs/sha256").iterdir()) == []


def test_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    writer = CacheWriter(str(tmp_path))

    def fail(_sink: object) -> None:
        raise ArchiveError("cut short")

    with pytest.raises(ArchiveError):
        writer.write(LAYER, fail)
    assert list((tmp_path / "blobs/sha256").iterdir()) == []


def test_what_is_there_is_known_by_its_size_or_by_its_digest(tmp_path: Path) -> None:
    writer = CacheWriter(str(tmp_path))
    assert not writer.has(LAYER)
    writer.write_bytes(LAYER, BLOB)
    assert writer.has(LAYER)
    assert writer.has(LAYER, verify=True)
    path = blob(tmp_path, LAYER.digest)
    path.write_bytes(b"x" * len(BLOB))
    assert writer.has(LAYER)
    assert not writer.has(LAYER, verify=True)
    path.write_bytes(BLOB[:-1])
    assert not writer.has(LAYER)
    path.unlink()
    os.mkfifo(path)
    assert not writer.has(LAYER)


def test_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=r"export cache to .*file: not a directory"):
        CacheWriter(str(tmp_path / "file"))


def test_reset_removes_what_no_cache_needs(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "one")
    write(tmp_path, "two", CacheDocument())
    kept = set((tmp_path / "blobs/sha256").iterdir())
    (tmp_path / "blobs/sha256" / ("0" * 64)).write_text("old")
    (tmp_path / "blobs/sha256/.host-1-1.partial").write_text("of one that was killed")
    with CacheWriter(str(tmp_path)) as writer, Staging(store) as staging:
        assert writer.reset(staging)
    assert set((tmp_path / "blobs/sha256").iterdir()) == kept
    # Only the manifest and the config of the one that is replaced.
    write(tmp_path, "one", CacheDocument())
    with CacheWriter(str(tmp_path)) as writer, Staging(store) as staging:
        writer.reset(staging)
    assert len(list((tmp_path / "blobs/sha256").iterdir())) == 3


def test_reset_removes_nothing_while_others_write(store: Store, tmp_path: Path) -> None:
    write(tmp_path)
    old = tmp_path / "blobs/sha256" / ("0" * 64)
    old.write_text("new")
    other, own = CacheWriter(str(tmp_path)), CacheWriter(str(tmp_path))
    with other, own, Staging(store) as staging:
        assert not own.reset(staging)
    assert old.exists()


def test_reset_removes_nothing_when_it_cannot_tell(store: Store, tmp_path: Path) -> None:
    digest = write(tmp_path)
    blob(tmp_path, digest).write_text("{")
    writer = CacheWriter(str(tmp_path))
    with writer, Staging(store) as staging, pytest.raises(InvalidValue):
        writer.reset(staging)
    assert blob(tmp_path, LAYER.digest).exists()


# Reading


def test_what_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such directory"):
        read(store, tmp_path / "absent")
    with pytest.raises(NotFound, match=r"no index\.json"):
        read(store, tmp_path)
    write(tmp_path)
    with pytest.raises(NotFound, match="the tag other"):
        read(store, tmp_path, tag="other")
    with pytest.raises(ArchiveError, match="is not in it"):
        read(store, tmp_path, digest=str(Digest.of(b"other")))
    with pytest.raises(InvalidValue):
        read(store, tmp_path, digest="sha256:../../etc/passwd")


def test_manifest_and_config_are_verified(store: Store, tmp_path: Path) -> None:
    digest = write(tmp_path)
    path = blob(tmp_path, digest)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DigestMismatch):
        read(store, tmp_path)
    digest = write(tmp_path / "other")
    config = json.loads(blob(tmp_path / "other", digest).read_text())["config"]["digest"]
    blob(tmp_path / "other", Digest.parse(config)).write_text("{}")
    with pytest.raises(DigestMismatch):
        read(store, tmp_path / "other")


def test_layer_without_its_blob_is_refused(store: Store, tmp_path: Path) -> None:
    write(tmp_path, document=CacheDocument((CachedLayer(LAYER.digest, -1, 7),)))
    with pytest.raises(InvalidValue, match="no blob 7"):
        read(store, tmp_path)


def test_image_is_no_cache(store: Store, tmp_path: Path) -> None:
    writer = CacheWriter(str(tmp_path))
    config = Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2)
    writer.write_bytes(config, b"{}")
    raw = Manifest(OCI_MANIFEST, config, ()).encode()
    manifest = Descriptor(OCI_MANIFEST, Digest.of(raw), len(raw))
    writer.write_bytes(manifest, raw)
    writer.tag("latest", manifest)
    with pytest.raises(InvalidValue, match="no cache that tierce wrote"):
        read(store, tmp_path)
