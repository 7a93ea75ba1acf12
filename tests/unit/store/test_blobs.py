import os
import threading
from pathlib import Path

import pytest

from tierce.errors import DigestMismatch, NotFound, StoreError
from tierce.oci.digest import Digest
from tierce.store import Store
from tierce.store.durability import SYNC_LIMIT


def files(store: Store) -> list[str]:
    return sorted(os.listdir(store.paths.blobs / "sha256"))


def test_blob_comes_back_by_its_digest(store: Store) -> None:
    digest = store.blobs.put_bytes(b"content", "text/plain")
    assert digest == Digest.of(b"content")
    assert store.blobs.read(digest) == b"content"
    assert store.blobs.size(digest) == 7
    assert store.blobs.get(digest).media_type == "text/plain"
    assert store.blobs.path(digest).stat().st_mode & 0o777 == 0o600


def test_sha512_blob_has_a_place_of_its_own(store: Store) -> None:
    digest = store.blobs.put_bytes(b"content", algorithm="sha512")
    assert str(digest).startswith("sha512:")
    assert store.blobs.path(digest).parent.name == "sha512"


def test_putting_twice_changes_nothing(store: Store) -> None:
    digest = store.blobs.put_bytes(b"content")
    inode = store.blobs.path(digest).stat().st_ino
    with store.blobs.writer() as writer:
        writer.write(b"content")
        assert writer.commit() == digest
    assert store.blobs.path(digest).stat().st_ino == inode
    assert files(store) == [digest.hex]


def test_media_type_is_learned_later_but_not_forgotten(store: Store) -> None:
    digest = store.blobs.put_bytes(b"content")
    store.blobs.put_bytes(b"content", "text/plain")
    store.blobs.put_bytes(b"content")
    assert store.blobs.get(digest).media_type == "text/plain"


def test_writer_without_commit_leaves_nothing(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"half")
    with pytest.raises(KeyError), store.blobs.writer() as writer:
        writer.write(b"half")
        raise KeyError
    assert files(store) == []
    assert store.leases.living() == []


def test_unexpected_digest_is_refused(store: Store) -> None:
    with (
        pytest.raises(DigestMismatch) as refused,
        store.blobs.writer(expected=Digest.of(b"right")) as writer,
    ):
        writer.write(b"wrong")
        writer.commit()
    assert refused.value.actual == str(Digest.of(b"wrong"))
    assert files(store) == []


def test_adopted_size_must_be_what_was_written(store: Store) -> None:
    with pytest.raises(DigestMismatch), store.blobs.writer() as writer:
        writer.write_unhashed(b"content")
        writer.adopt(Digest.of(b"content"), 8)
    assert files(store) == []


def test_file_is_copied_or_moved_in(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    digest = store.blobs.add_file(source)
    assert source.exists()
    store.blobs.add_file(source, move=True, expected=digest)
    assert not source.exists()
    assert store.blobs.size(digest) == 3_000_000
    with pytest.raises(NotFound):
        store.blobs.add_file(source)


def test_absent_blob_is_not_found(store: Store) -> None:
    digest = Digest.of(b"absent")
    assert not store.blobs.has(digest)
    for ask in (store.blobs.open, store.blobs.path, store.blobs.size, store.blobs.read):
        with pytest.raises(NotFound):
            ask(digest)
    with pytest.raises(NotFound):
        store.blobs.set_diff_id(digest, digest)
    assert not store.blobs.remove(digest)


def test_blob_whose_file_is_gone_or_short_is_absent_and_can_be_put_again(store: Store) -> None:
    digest = store.blobs.put_bytes(b"content")
    path = store.blobs.path(digest)
    path.write_bytes(b"cont")
    assert not store.blobs.has(digest)
    path.unlink()
    assert not store.blobs.has(digest)
    store.blobs.put_bytes(b"content")
    assert store.blobs.read(digest) == b"content"


def test_layers_are_found_by_diff_id_the_plain_tar_first(store: Store) -> None:
    plain = store.blobs.put_bytes(b"the plain tar, longest of all")
    gzip = store.blobs.put_bytes(b"compressed, well")
    zstd = store.blobs.put_bytes(b"compressed")
    store.blobs.set_diff_id(gzip, plain)
    store.blobs.set_diff_id(zstd, plain)
    assert store.blobs.by_diff_id(plain) == [plain, zstd, gzip]
    assert store.blobs.get(gzip).diff_id == plain
    assert [blob.digest for blob in store.blobs.all()] == sorted([plain, gzip, zstd], key=str)


def test_blob_of_another_boot_is_verified_once(store: Store) -> None:
    good, bad = bytes(SYNC_LIMIT), b"x" * SYNC_LIMIT
    survivor, victim = store.blobs.put_bytes(good), store.blobs.put_bytes(bad)
    store.database.execute("UPDATE blobs SET boot = 'an earlier one' WHERE boot IS NOT NULL")
    with open(store.paths.blob(victim), "r+b") as file:
        file.write(b"\0\0\0\0")  # as a disk may have it that lost power
    assert store.blobs.has(survivor)
    assert not store.blobs.has(victim)
    assert not store.paths.blob(victim).exists()
    rows = store.database.all("SELECT digest, boot FROM blobs")
    assert rows == [(str(survivor), None)]


def test_small_blobs_are_on_disk_at_once_and_large_ones_after_settling(store: Store) -> None:
    store.blobs.put_bytes(b"small")
    store.blobs.put_bytes(bytes(SYNC_LIMIT))
    boots = "SELECT count(*) FROM blobs WHERE boot IS NOT NULL"
    assert store.database.one(boots) == (1,)
    assert store.durability.settle() == 1
    assert store.database.one(boots) == (0,)
    assert store.durability.settle() == 0


def test_threads_that_put_the_same_blob_make_one(store: Store) -> None:
    barrier = threading.Barrier(8)
    digests: list[Digest] = []

    def put() -> None:
        barrier.wait()
        digests.extend(store.blobs.put_bytes(b"%d" % number) for number in range(20))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 160
    assert files(store) == sorted({digest.hex for digest in digests})
    assert store.leases.living() == []


def test_writing_to_a_store_that_was_removed_is_a_store_error(store: Store) -> None:
    os.rmdir(store.paths.blobs / "sha256")
    with pytest.raises(StoreError, match="store blob"):
        store.blobs.put_bytes(b"content")
