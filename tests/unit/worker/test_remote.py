"""Files as sources: known by their content, asked for again only as much as is needed."""

from collections.abc import Iterator
from threading import Event

import pytest

from support.servers import FileServer, file_server
from tierce.errors import BuildError
from tierce.graph.ops import BlobSource, HttpSource
from tierce.graph.vertex import Vertex
from tierce.oci.digest import Digest
from tierce.solver.step import RunningStep
from tierce.store import Store
from tierce.worker import http
from tierce.worker.components import decode_components
from tierce.worker.credentials import Credentials, SecretSource
from tierce.worker.files import tree_of
from tierce.worker.remote import RemoteSources
from tierce.worker.urls import redacted
from unit.worker.remotes import Remotes

OLD = "Wed, 01 Jan 2020 00:00:00 GMT"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as served:
        yield served


@pytest.fixture
def remotes(store: Store) -> Remotes:
    return Remotes(store)


def digest_of(text: bytes, algorithm: str = "sha256") -> str:
    return str(Digest.of(text, algorithm))


def test_file_is_alone_with_its_mode_and_its_time(
    remotes: Remotes, server: FileServer, store: Store
) -> None:
    url = server.put("/a", b"text", Last_Modified=OLD)
    [entry] = tree_of(store, remotes.solve(HttpSource(url, "name"))).walk()
    assert (entry.path, entry.mode, entry.size) == ("name", 0o600, 4)
    assert entry.mtime_ns == 1577836800 * 10**9


def test_file_without_a_time_is_as_old_as_can_be(
    remotes: Remotes, server: FileServer, store: Store
) -> None:
    url = server.put("/a", b"text")
    [entry] = tree_of(store, remotes.solve(HttpSource(url, "a"))).walk()
    assert entry.mtime_ns == 0


def test_unchanged_file_is_not_fetched_again(remotes: Remotes, server: FileServer) -> None:
    url = server.put("/a", b"text", ETag='"1"')
    first = remotes.solve(HttpSource(url, "a"))
    assert remotes.solve(HttpSource(url, "a")) == first
    assert server.requests == ["GET /a", "HEAD /a"]


def test_old_file_without_an_etag_is_known_by_its_time(
    remotes: Remotes, server: FileServer
) -> None:
    url = server.put("/a", b"text", Last_Modified=OLD)
    first = remotes.solve(HttpSource(url, "a"))
    assert remotes.solve(HttpSource(url, "a")) == first
    assert server.requests == ["GET /a", "HEAD /a"]


def test_changed_file_is_fetched(remotes: Remotes, server: FileServer) -> None:
    url = server.put("/a", b"one", ETag='"1"')
    remotes.solve(HttpSource(url, "a"))
    server.put("/a", b"two", ETag='"2"')
    assert remotes.files(HttpSource(url, "a")) == {"a": "600 two"}
    assert remotes.files(HttpSource(url, "a")) == {"a": "600 two"}
    assert server.requests == ["GET /a", "HEAD /a", "GET /a", "HEAD /a"]


def test_same_content_sent_again_is_the_same_result(
    remotes: Remotes, server: FileServer, store: Store
) -> None:
    url = server.put("/a", b"text")
    first = remotes.solve(HttpSource(url, "a"))
    assert remotes.solve(HttpSource(url, "a")) == first
    assert server.requests == ["GET /a", "GET /a"]
    assert len(store.records.list()) == 1


def test_same_content_with_another_etag_is_known_by_that(
    remotes: Remotes, server: FileServer
) -> None:
    for etag in ('"1"', '"2"'):
        url = server.put("/a", b"text", ETag=etag)
        remotes.solve(HttpSource(url, "a"))
    remotes.solve(HttpSource(url, "a"))
    assert server.requests == ["GET /a", "HEAD /a", "GET /a", "HEAD /a"]


def test_same_content_under_two_addresses_is_one_result(
    remotes: Remotes, server: FileServer
) -> None:
    first = remotes.solve(HttpSource(server.put("/a", b"text"), "name"))
    assert remotes.solve(HttpSource(server.put("/b", b"text"), "name")) == first


def test_file_that_is_known_by_its_checksum_needs_no_network(
    remotes: Remotes, server: FileServer
) -> None:
    source = HttpSource(server.put("/a", b"text"), "a", digest_of(b"text"))
    first = remotes.solve(source)
    assert remotes.solve(source) == first
    assert server.requests == ["GET /a"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_checksum_is_compared(remotes: Remotes, server: FileServer, algorithm: str) -> None:
    url = server.put("/a", b"text")
    right, wrong = digest_of(b"text", algorithm), digest_of(b"other", algorithm)
    assert remotes.files(HttpSource(url, "a", right)) == {"a": "600 text"}
    with pytest.raises(BuildError) as raised:
        remotes.solve(HttpSource(url, "b", wrong))
    assert raised.value.message == f"digest mismatch for {url}: {right} (expected: {wrong})"


def test_failed_fetch_leaves_nothing(remotes: Remotes, server: FileServer, store: Store) -> None:
    url = server.put("/a", b"half", Content_Length="8")
    with pytest.raises(BuildError):
        remotes.solve(HttpSource(url, "a"))
    assert store.records.list() == []
    assert not [path for path in store.paths.blobs.rglob("*") if path.is_file()]


def test_file_that_changes_between_question_and_answer_is_refused(
    remotes: Remotes, server: FileServer, store: Store
) -> None:
    url = server.put("/a", b"one", ETag='"1"')
    remotes.solve(HttpSource(url, "a"))
    [record] = store.records.list()
    assert record.snapshot is not None
    # The result is lost, so that what the server says is unchanged has to be fetched.
    text = store.records.components(record.id)
    near = [key for (key,) in store.database.all("SELECT key FROM record_keys")]
    store.records.remove(record.id)
    other = store.records.add(["elsewhere"], None, "source", text)
    store.records.add_keys(other.id, [near[0], near[1]])
    found = store.records.find([near[0]])
    assert found is not None
    store.database.execute("UPDATE record_keys SET key = 'gone' WHERE key = ?", (record.key,))
    server.put("/a", b"two", ETag='"1"')
    with pytest.raises(BuildError, match="the content changed while the build went on"):
        remotes.solve(HttpSource(url, "a"))


def test_secret_for_a_host_is_sent_to_it(remotes: Remotes, server: FileServer) -> None:
    url = server.put("/a", b"text")
    remotes.credentials = Credentials(
        [SecretSource("HTTP_AUTH_TOKEN_127.0.0.1", content=b"t0ken\n")]
    )
    remotes.solve(HttpSource(url, "a"))
    assert server.headers[0]["Authorization"] == "Bearer t0ken"


def test_secret_with_a_line_break_adds_no_header(remotes: Remotes, server: FileServer) -> None:
    url = server.put("/a", b"text")
    remotes.credentials = Credentials(
        [SecretSource("HTTP_AUTH_HEADER_127.0.0.1", content=b"x\r\nHost: other")]
    )
    with pytest.raises(BuildError, match="control characters"):
        remotes.solve(HttpSource(url, "a"))
    assert server.requests == []


def test_password_is_not_in_what_is_kept(
    remotes: Remotes, server: FileServer, store: Store
) -> None:
    url = server.put("/a", b"text").replace("http://", "http://user:secret@")
    remotes.solve(HttpSource(url, "a"))
    [record] = store.records.list()
    operation = decode_components(store.records.components(record.id)).operation
    assert operation["url"] == redacted(url)
    assert "secret" not in str(operation)


def test_secret_in_an_address_is_not_in_what_is_kept(
    remotes: Remotes, server: FileServer, store: Store
) -> None:
    url = server.put("/a?token=t0ken", b"text")
    vertex = Vertex(HttpSource(url, "a"))
    sources = RemoteSources(store, {})
    with store.leases.take("build"), RunningStep(vertex, lambda event: None, Event()) as step:
        sources.resolve(vertex, step)
    kept = decode_components(sources.components(vertex, ("t0ken",))).operation
    assert "t0ken" not in str(kept)


def test_file_beyond_the_limit_is_refused(
    remotes: Remotes, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.put("/a", b"x" * 100)
    defaults = http.HttpClient.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "max_bytes", 99)
    with pytest.raises(BuildError, match="larger than 99 bytes"):
        remotes.solve(HttpSource(url, "a"))


def test_content_of_the_store_is_a_source_too(remotes: Remotes, store: Store) -> None:
    with store.leases.take("test"):
        digest = store.blobs.put_bytes(b"text")
        assert remotes.files(BlobSource(digest, "name", 0o644)) == {"name": "text"}
