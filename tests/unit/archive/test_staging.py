import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.archive.extent import Extent
from tierce.archive.staging import Staging, run_all
from tierce.errors import ArchiveError, DigestMismatch
from tierce.oci.digest import Digest
from tierce.store import Store


@pytest.fixture
def staging(store: Store) -> Iterator[Staging]:
    with Staging(store) as opened:
        yield opened


class Contents:
    """A file with contents one after another."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")

    def add(self, data: bytes) -> Extent:
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        self._file.flush()
        return Extent(self._file.fileno(), offset, len(data), "content")

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def contents(tmp_path: Path) -> Iterator[Contents]:
    made = Contents(tmp_path / "contents")
    yield made
    made.close()


def files(store: Store) -> list[str]:
    return sorted(name for name in os.listdir(store.paths.blobs / "sha256") if name[0] != ".")


def test_contents_are_stored_when_published(
    store: Store, staging: Staging, contents: Contents
) -> None:
    data = [b"", b"one", bytes(5_000_000), b"x" * (1 << 18)]
    digests = staging.take_in([(contents.add(each), None) for each in data])
    assert digests == [Digest.of(each) for each in data]
    assert not any(store.blobs.has(digest) for digest in digests)
    assert all(staging.has(digest) for digest in digests)
    assert [bytes(staging.read(digest).content(1 << 30)) for digest in digests] == data
    staging.publish()
    assert [store.blobs.read(digest) for digest in digests] == data
    assert [bytes(staging.read(digest).content(1 << 30)) for digest in digests] == data


def test_what_is_not_published_leaves_nothing(store: Store, contents: Contents) -> None:
    with Staging(store) as staging:
        staging.take_in([(contents.add(b"one"), None)])
    assert os.listdir(store.paths.blobs / "sha256") == []
    assert store.leases.living() == []


def test_equal_contents_are_stored_once(store: Store, staging: Staging, contents: Contents) -> None:
    staging.take_in([(contents.add(b"same"), None) for _ in range(3)])
    staging.take_in([(contents.add(b"same"), None)])
    staging.publish()
    assert files(store) == [Digest.of(b"same").hex]


def test_more_contents_than_a_process_may_have_open(
    store: Store, staging: Staging, contents: Contents
) -> None:
    data = [str(number).encode() for number in range(1500)]
    digests = staging.take_in([(contents.add(each), None) for each in data])
    assert [staging.read(digest).content(10) for digest in digests[:3]] == data[:3]
    staging.publish()
    assert [store.blobs.read(digest) for digest in digests] == data


def test_unexpected_content_is_a_mismatch_and_stops_the_rest(
    store: Store, staging: Staging, contents: Contents
) -> None:
    good = contents.add(b"good")
    with pytest.raises(DigestMismatch, match="expected sha256:"):
        staging.take_in([(contents.add(b"bad"), Digest.of(b"other")), (good, None)])
    staging.publish()
    assert not store.blobs.has(Digest.of(b"bad"))


def test_content_with_another_algorithm_is_verified_by_it(
    store: Store, staging: Staging, contents: Contents
) -> None:
    expected = Digest.of(b"content", "sha512")
    assert staging.take_in([(contents.add(b"content"), expected)]) == [expected]
    staging.publish()
    assert store.blobs.read(expected) == b"content"


def test_known_digest_that_is_not_the_expected_one_is_a_mismatch(
    staging: Staging, contents: Contents
) -> None:
    (digest,) = staging.take_in([(contents.add(b"known"), None)])
    with pytest.raises(DigestMismatch):
        staging.take_in([(staging.read(digest), Digest.of(b"other"))])
    assert staging.take_in([(staging.read(digest), digest)]) == [digest]


def test_content_that_is_cut_short_is_an_archive_error(
    staging: Staging, contents: Contents
) -> None:
    extent = contents.add(b"short")
    with pytest.raises(ArchiveError, match="cut short"):
        staging.take_in([(Extent(extent.descriptor, 0, 500, "content"), None)])


def test_extent_reads_as_a_file(contents: Contents) -> None:
    contents.add(b"before")
    extent = contents.add(b"0123456789")
    contents.add(b"after")
    assert extent.read() == b"0123456789"
    assert extent.read(1) == b""
    extent.seek(-4, os.SEEK_END)
    assert extent.tell() == 6
    assert extent.read(2) == b"67"
    extent.seek(-1, os.SEEK_CUR)
    assert extent.read(100) == b"789"
    assert b"".join(bytes(chunk) for chunk in extent.chunks()) == b"0123456789"
    with pytest.raises(ArchiveError, match="content has 10 bytes, more than 9"):
        extent.content(9)


def test_all_tasks_run_although_there_are_more_than_processors() -> None:
    done: list[int] = []
    run_all([lambda _stop, number=number: done.append(number) for number in range(100)])  # type: ignore[misc]
    assert sorted(done) == list(range(100))


def test_error_of_a_task_stops_the_others() -> None:
    def fail(_stop: threading.Event) -> None:
        raise ArchiveError("it failed")

    def wait(stop: threading.Event) -> None:
        assert stop.wait(60)

    with pytest.raises(ArchiveError, match="it failed"):
        run_all([wait, fail])


def test_no_tasks_need_no_threads() -> None:
    run_all([])
