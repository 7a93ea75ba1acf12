"""Files by HTTP: what is taken from a server, what is refused, and by which way it is asked."""

import gzip
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from support.servers import FileServer, file_server
from tierce.distribution.proxies import proxy_for
from tierce.errors import BuildError, Cancelled
from tierce.worker import http
from tierce.worker.http import Answer, HttpClient, http_time


@pytest.fixture
def server() -> Any:
    with file_server() as served:
        yield served


class Fetch:
    """One client, and what it wrote."""

    def __init__(self, **options: Any) -> None:
        self.content = b""
        self.cancelled = threading.Event()
        self.client = HttpClient(options.pop("environment", {}), **options)

    def __call__(self, url: str) -> Answer:
        self.content = b""

        def write(chunk: bytes) -> None:
            self.content += chunk

        return self.client.fetch(url, write, self.cancelled)


def failure(url: str, **options: Any) -> str:
    with pytest.raises(BuildError) as raised:
        Fetch(**options)(url)
    assert "\n" not in raised.value.message
    return raised.value.message


def test_content_and_validators_are_what_the_server_sends(server: FileServer) -> None:
    url = server.put("/a", b"text", ETag='W/"1"', Last_Modified="Wed, 01 Jan 2020 00:00:00 GMT")
    fetch = Fetch()
    assert fetch(url) == Answer('"1"', "Wed, 01 Jan 2020 00:00:00 GMT", dated=True)
    assert fetch.content == b"text"


def test_file_that_was_changed_a_moment_ago_is_not_known_by_its_time(server: FileServer) -> None:
    now = "Wed, 01 Jan 2020 00:00:00 GMT"

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(200)
        handler.send_header("Date", now)
        handler.send_header("Last-Modified", now)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    url = server.put_answer("/a", answer)
    assert Fetch()(url) == Answer("", now, dated=False)


def test_compressed_transfer_is_undone(server: FileServer) -> None:
    url = server.put("/a", gzip.compress(b"text" * 1000), Content_Encoding="gzip")
    fetch = Fetch()
    fetch(url)
    assert fetch.content == b"text" * 1000


def test_compressed_file_stays_as_it_is(server: FileServer) -> None:
    packed = gzip.compress(b"text")
    url = server.put("/a.tar.gz", packed, Content_Type="application/gzip")
    fetch = Fetch()
    fetch(url)
    assert fetch.content == packed


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 500, 503])
def test_status_that_is_no_success_is_refused(server: FileServer, status: int) -> None:
    url = server.put_answer("/a", lambda handler: handler.send_error(status))
    assert failure(url) == f"fetch {url}: invalid response status {status}"


def test_server_that_is_down_is_told() -> None:
    with file_server() as gone:
        url = gone.url
    assert failure(f"{url}/a") == f"fetch {url}/a: connection refused"


def test_redirect_is_followed_without_the_credentials_of_the_first_host(
    server: FileServer,
) -> None:
    with file_server() as other:
        target = other.put("/there", b"moved")
        url = server.put_answer("/here", lambda handler: _redirect(handler, target))
        fetch = Fetch(headers=lambda host: {"Authorization": f"Bearer for-{host}"})
        fetch(url)
        assert fetch.content == b"moved"
        assert server.headers[0]["Authorization"] == "Bearer for-127.0.0.1"
        # Another port is another server.
        assert "Authorization" not in other.headers[0]


def test_redirects_in_a_circle_end(server: FileServer) -> None:
    url = server.url + "/a"
    server.put_answer("/a", lambda handler: _redirect(handler, url))
    assert failure(url) == f"fetch {url}: stopped after 10 redirects"
    assert len(server.requests) == 11


def test_redirect_to_a_file_of_this_machine_is_refused(server: FileServer) -> None:
    url = server.put_answer("/a", lambda handler: _redirect(handler, "file:///etc/passwd"))
    assert failure(url).startswith(f"fetch {url}: ")


def test_content_that_ends_early_is_refused(server: FileServer) -> None:
    url = server.put("/a", b"half", Content_Length="8")
    assert failure(url) == f"fetch {url}: the content ended early, after 4 bytes"


def test_chunked_content_that_ends_early_is_refused(server: FileServer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"4\r\nhalf\r\n")
        handler.close_connection = True

    url = server.put_answer("/a", answer)
    assert failure(url).startswith(f"fetch {url}: ")


def test_content_that_says_it_is_too_large_is_refused_unread(server: FileServer) -> None:
    url = server.put("/a", b"x", Content_Length="1000")
    assert failure(url, max_bytes=999) == f"fetch {url}: larger than 999 bytes"


def test_content_that_turns_out_too_large_is_refused(server: FileServer) -> None:
    bomb = gzip.compress(bytes(10 << 20))
    url = server.put("/a", bomb, Content_Encoding="gzip")
    assert failure(url, max_bytes=1 << 20) == f"fetch {url}: larger than 1048576 bytes"


def test_cancelling_ends_a_request_to_a_server_that_never_answers(server: FileServer) -> None:
    fetch = Fetch()
    never = threading.Event()

    def answer(_handler: BaseHTTPRequestHandler) -> None:
        fetch.cancelled.set()
        never.wait(60)

    url = server.put_answer("/a", answer)
    try:
        with pytest.raises(Cancelled):
            fetch(url)
    finally:
        never.set()


def test_cancelling_ends_a_request_to_a_server_that_begins_no_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "CONNECT_SECONDS", 3600)
    fetch = Fetch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fetch.cancelled.set()
        with pytest.raises(Cancelled):
            fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/a")


def test_server_that_stays_silent_is_given_up(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SILENCE_SECONDS", 0.01)
    never = threading.Event()
    url = server.put_answer("/a", lambda _handler: _wait(never))
    try:
        assert failure(url) == f"fetch {url}: no answer within 0.01 seconds"
    finally:
        never.set()


def test_unchanged_file_is_recognised_by_its_etag(server: FileServer) -> None:
    url = server.put("/a", b"text", ETag='"1"')
    client, cancelled = HttpClient({}), threading.Event()
    assert client.is_unchanged(url, Answer('"1"'), cancelled)
    assert not client.is_unchanged(url, Answer('"2"'), cancelled)
    assert server.requests == ["HEAD /a", "HEAD /a"]


def test_server_that_disregards_if_none_match_is_still_believed(server: FileServer) -> None:
    url = server.put_answer("/a", lambda handler: _send(handler, {"ETag": 'W/"1"'}))
    assert HttpClient({}).is_unchanged(url, Answer('"1"'), threading.Event())


def test_server_that_has_lost_its_etags_is_not(server: FileServer) -> None:
    url = server.put_answer("/a", lambda handler: _send(handler, {}))
    assert not HttpClient({}).is_unchanged(url, Answer('"1"'), threading.Event())


def test_credentials_in_a_url_are_sent_and_never_shown(server: FileServer) -> None:
    host = server.url.removeprefix("http://")
    message = failure(f"http://user:s%40cret@{host}/absent")
    assert message == f"fetch http://xxxxx:xxxxx@{host}/absent: invalid response status 404"
    assert server.headers[0]["Authorization"] == "Basic dXNlcjpzQGNyZXQ="


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://[::1/x", "invalid IPv6 URL"),
        ("http://127.0.0.1:99999/x", "port out of range 0-65535"),
        ("http://127.0.0.1:no/x", "port could not be cast to integer value as 'no'"),
        ("http:///x", "no host in the URL"),
        ("http://127.0.0.1/%zz", "invalid URL escape"),
        ("http://name.invalid/x", "host not found"),
        ("http://nämé.invalid/x", "host not found"),
    ],
)
def test_url_that_makes_no_sense_is_refused(url: str, cause: str) -> None:
    assert failure(url) == f"fetch {url}: {cause}"


def test_server_that_hangs_up_is_told(server: FileServer) -> None:
    url = server.put_answer("/a", lambda handler: handler.connection.close())
    assert failure(url) == f"fetch {url}: the server hung up without an answer"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For 127.0.0.1, signed by itself; with the key in the same file."""
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(path), "-out", str(path.with_name("cert.pem"))),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_name("cert.pem").read_text())
    return path


def test_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    with file_server(certificate) as served:
        url = served.put("/a", b"text")
        assert failure(url).startswith(f"fetch {url}: certificate: self")
        assert served.requests == []


def test_certificate_of_ones_own_is_named_by_the_environment(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with file_server(certificate) as served:
        fetch = Fetch()
        fetch(served.put("/a", b"text"))
        assert fetch.content == b"text"


def test_server_that_speaks_no_tls_is_told(server: FileServer) -> None:
    url = server.url.replace("http://", "https://")
    assert failure(f"{url}/a").startswith(f"fetch {url}/a: TLS: ")
    assert server.requests == []


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "http://host", "http://p:1"),
        ({"http_proxy": "p:1"}, "http://host", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://host", ""),
        ({"HTTPS_PROXY": "http://p:1"}, "https://host", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://localhost", ""),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.9", ""),
        ({"HTTP_PROXY": "p", "NO_PROXY": "*"}, "http://host", ""),
        ({"HTTP_PROXY": "p", "NO_PROXY": "host"}, "http://host", ""),
        ({"HTTP_PROXY": "p", "NO_PROXY": "host"}, "http://a.host", ""),
        ({"HTTP_PROXY": "p", "NO_PROXY": ".host"}, "http://host", "http://p"),
        ({"HTTP_PROXY": "p", "no_proxy": "x, .host"}, "http://a.host", ""),
        ({"HTTP_PROXY": "p", "NO_PROXY": "host"}, "http://nohost", "http://p"),
        ({"HTTP_PROXY": "p", "NO_PROXY": "host:81"}, "http://host", "http://p"),
        ({"HTTP_PROXY": "p", "NO_PROXY": "host:81"}, "http://host:81", ""),
        ({"HTTP_PROXY": "p", "NO_PROXY": "10.0.0.0/8"}, "http://10.1.2.3", ""),
        ({"HTTP_PROXY": "p", "NO_PROXY": "10.0.0.0/8"}, "http://11.1.2.3", "http://p"),
    ],
)
def test_proxy_is_chosen_as_go_does(environment: dict[str, str], url: str, proxy: str) -> None:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.partition(":")
    assert proxy_for(scheme, host, int(port) if port else None, environment) == proxy


def test_request_goes_by_the_proxy(server: FileServer) -> None:
    server.put("http://somewhere.test/a", b"by proxy")
    fetch = Fetch(environment={"http_proxy": server.url})
    fetch("http://somewhere.test/a")
    assert fetch.content == b"by proxy"


def test_proxy_that_is_down_is_told_apart() -> None:
    with file_server() as gone:
        proxy = gone.url
    message = failure("http://somewhere.test/a", environment={"http_proxy": proxy})
    assert message == "fetch http://somewhere.test/a: proxy: connection refused"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:00:10 GMT", 10),
        ("Thu, 01 Jan 1970 01:00:10 +0100", 10),
        ("", None),
        ("yesterday", None),
        ("Thu, 01 Jan 0000 99:99:99 GMT", None),
    ],
)
def test_dates_of_headers_are_read(text: str, seconds: int | None) -> None:
    assert http_time(text) == seconds


def _send(handler: BaseHTTPRequestHandler, headers: dict[str, str]) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _redirect(handler: BaseHTTPRequestHandler, target: str) -> None:
    handler.send_response(302)
    handler.send_header("Location", target)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _wait(event: threading.Event) -> None:
    event.wait(60)
