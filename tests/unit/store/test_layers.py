import io
import tarfile
import threading
from pathlib import Path

import pytest

from support.layers import MTIME_NS, add_snapshot, put_layer
from tierce.errors import DigestMismatch, LayerError, NotFound
from tierce.layer.compression import compress
from tierce.layer.entry import Entry
from tierce.oci.digest import Digest
from tierce.store import Store
from tierce.store.snapshots import Snapshot


def compressed(store: Store, diff_id: Digest, kind: str = "gzip") -> Digest:
    """A compressed blob in place of the plain one."""
    with store.blobs.open(diff_id) as tar, store.blobs.writer() as writer:
        compress(tar, writer.write, kind)
        digest = writer.commit()
    store.blobs.set_diff_id(digest, diff_id)
    store.blobs.remove(diff_id)
    return digest


def run_step(store: Store, content: bytes = b"content") -> Digest:
    active = store.snapshots.prepare(None)
    (store.snapshots.directories(active).upper / "file").write_bytes(content)
    made = store.snapshots.commit(active)
    store.snapshots.finish([made.id])
    diff_id = store.snapshots.get(made.id).diff_id
    assert diff_id is not None
    return diff_id


def read(store: Store, diff_id: Digest) -> bytes:
    with store.layers.open_tar(diff_id) as tar:
        return tar.read()


# Tars


@pytest.mark.parametrize("origin", ["plain", "gzip", "zstd", "directory"])
def test_tar_has_the_same_bytes_wherever_it_comes_from(store: Store, origin: str) -> None:
    if origin == "directory":
        diff_id = run_step(store, bytes(3_000_000))
    else:
        diff_id = put_layer(store, {"a": bytes(3_000_000), "b/c": b"1"}).diff_id
        if origin != "plain":
            compressed(store, diff_id, origin)
    assert store.layers.has(diff_id)
    data = read(store, diff_id)
    assert Digest.of(data) == diff_id
    assert store.layers.tar_size(diff_id) == len(data)
    pieces: list[bytes] = []
    assert store.layers.write_tar(diff_id, lambda piece: pieces.append(bytes(piece))) == len(data)
    assert b"".join(pieces) == data
    path = store.layers.ensure_tar(diff_id)
    assert path.read_bytes() == data
    assert store.layers.ensure_tar(diff_id) == path


def test_absent_layer_is_not_found(store: Store) -> None:
    absent = Digest.of(b"absent")
    assert not store.layers.has(absent)
    for ask in (
        store.layers.open_tar,
        store.layers.index,
        store.layers.ensure_tar,
        store.layers.tar_size,
    ):
        with pytest.raises(NotFound):
            ask(absent)


def test_compressed_blob_of_another_layer_is_noticed_at_its_end(store: Store) -> None:
    diff_id = put_layer(store, {"a": b"1"}).diff_id
    other = put_layer(store, {"a": b"2"}).diff_id
    blob = compressed(store, diff_id)
    store.blobs.remove(other)
    store.blobs.set_diff_id(blob, other)
    with pytest.raises(DigestMismatch):
        read(store, other)
    with pytest.raises(DigestMismatch):
        store.layers.ensure_tar(other)
    assert not store.blobs.has(other)


def test_broken_compressed_blob_is_a_layer_error(store: Store) -> None:
    diff_id = put_layer(store, {"a": bytes(100_000)}).diff_id
    blob = compressed(store, diff_id)
    path = store.paths.blob(blob)
    data = path.read_bytes()
    path.write_bytes(data[:50] + b"garbage" + data[57:])
    with pytest.raises((LayerError, DigestMismatch)):
        read(store, diff_id)


def test_changed_directory_does_not_pass_for_the_layer(store: Store) -> None:
    diff_id = run_step(store)
    [snapshot] = store.snapshots.list()
    (store.snapshots.directories(snapshot.id).upper / "file").write_bytes(b"changed")
    with pytest.raises(DigestMismatch):
        read(store, diff_id)
    with pytest.raises(DigestMismatch):
        store.layers.write_tar(diff_id, len)
    with pytest.raises(DigestMismatch):
        store.layers.ensure_tar(diff_id)
    assert not store.blobs.has(diff_id)


def test_closing_a_stream_early_ends_its_writer(store: Store) -> None:
    diff_id = run_step(store, bytes(10_000_000))
    before = threading.active_count()
    with store.layers.open_tar(diff_id) as tar:
        assert len(tar.read(100)) == 100
    assert threading.active_count() == before


def test_directory_unpacked_from_a_foreign_tar_is_not_its_source(store: Store) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("a")
        info.uname = "somebody"
        tar.addfile(info)
    diff_id = store.blobs.put_bytes(buffer.getvalue())
    snapshot = store.snapshots.for_layers([diff_id])
    assert snapshot is not None
    store.snapshots.unpack(snapshot.id)
    compressed(store, diff_id)
    assert read(store, diff_id) == buffer.getvalue()


def test_layer_in_parts_is_unpacked_with_the_directories_beneath(
    store: Store, tmp_path: Path
) -> None:
    """A layer may bring a file without an entry for its directory: that keeps what it is like."""
    private = Entry("d", "dir", 0o1700, 5, 6, mtime_ns=MTIME_NS)
    base = add_snapshot(store, None, {"d": private, "d/a": b"1"})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("d/b"))
    diff_id = store.blobs.put_bytes(buffer.getvalue())
    assert base.diff_id is not None
    top = store.snapshots.for_layers([base.diff_id, diff_id])
    assert top is not None
    with store.snapshots.mounted(top.id, tmp_path, read_only=True):
        status = (tmp_path / "d").stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1700, 5, 6)
        assert sorted(each.name for each in (tmp_path / "d").iterdir()) == ["a", "b"]


# Indexes


def test_index_is_made_on_first_use_and_kept(store: Store) -> None:
    layer = put_layer(store, {"a": b"1", "b/c": b"2"})
    path = store.paths.index(layer.diff_id)
    path.unlink()
    with Store.open(store.paths.root, store.paths.run) as another:
        assert not another.layers.indexed(layer.diff_id)
        entries = list(another.layers.index(layer.diff_id))
        assert [entry.path for entry in entries] == ["a", "b", "b/c"]
        assert entries == layer.entries
        assert another.layers.indexed(layer.diff_id)
    assert path.exists()


def test_torn_index_is_made_again(store: Store) -> None:
    layer = put_layer(store, {"a": b"1"})
    path = store.paths.index(layer.diff_id)
    path.write_bytes(path.read_bytes()[:-3])
    with Store.open(store.paths.root, store.paths.run) as another:
        assert [entry.path for entry in another.layers.index(layer.diff_id)] == ["a"]
        assert path.stat().st_size > 0


def test_index_of_a_directory_has_digests(store: Store) -> None:
    [entry] = store.layers.index(run_step(store))
    assert (entry.path, entry.digest.hex()) == ("file", Digest.of(b"content").hex)


def test_view_reads_a_compressed_layer(store: Store) -> None:
    layer = put_layer(store, {"a": b"content"})
    compressed(store, layer.diff_id)
    store.paths.index(layer.diff_id).unlink()
    with Store.open(store.paths.root, store.paths.run) as another:
        top = another.snapshots.for_layers([layer.diff_id])
        assert top is not None
        view = another.snapshots.view(top.id)
        entry = view.lookup("a")
        assert entry is not None
        where = view.content(entry)
        with open(where.path, "rb") as file:
            file.seek(where.offset)
            assert file.read(where.size) == b"content"


# Clamping times


def chain(store: Store, snapshot: Snapshot) -> list[Snapshot]:
    return list(store.snapshots.chain(snapshot.id))


def times(store: Store, diff_id: Digest | None) -> list[int]:
    assert diff_id is not None
    return [entry.mtime_ns // 1_000_000_000 for entry in store.layers.index(diff_id)]


def test_times_are_clamped_in_new_layers_only_and_once(store: Store) -> None:
    epoch = MTIME_NS // 1_000_000_000 - 100
    base = add_snapshot(store, None, {"a": b"1"})
    active = store.snapshots.prepare(base.id)
    (store.snapshots.directories(active).upper / "file").write_bytes(b"content")
    ran = store.snapshots.commit(active)
    old = Entry("old", "file", 0o644, mtime_ns=(epoch - 5) * 1_000_000_000)
    top = add_snapshot(store, ran, {"old": old})
    store.snapshots.finish([top.id])
    clamped = store.snapshots.clamp(chain(store, top), 1, epoch)
    assert clamped[0].id == base.id
    assert times(store, clamped[1].diff_id) == [epoch]
    assert clamped[2].diff_id == top.diff_id
    assert clamped[2].parent == clamped[1].id
    assert clamped[2].size == top.size
    assert list(store.snapshots.clamp(chain(store, top), 1, epoch)) == list(clamped)
    assert list(store.snapshots.clamp(clamped, 1, epoch)) == list(clamped)
    later = MTIME_NS  # far in the future, in seconds
    assert list(store.snapshots.clamp(chain(store, top), 0, later)) == chain(store, top)


def test_clamped_layer_of_a_tar_keeps_its_content(store: Store) -> None:
    layer = add_snapshot(store, None, {"a": b"content", "d/b": b"more"})
    [clamped] = store.snapshots.clamp([layer], 0, 1000)
    assert clamped.diff_id is not None
    assert times(store, clamped.diff_id) == [1000] * 3
    upper = store.snapshots.directories(clamped.id).upper
    assert (upper / "a").read_bytes() == b"content"
    assert (upper / "d/b").read_bytes() == b"more"
