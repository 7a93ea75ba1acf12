"""Requests: where they go, what goes along, and what is refused."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from support.registries import PASSWORD, USER, Authority, running_registry
from support.servers import File, FileServer, file_server
from tierce.distribution.connection import Connection, Connections, Origin
from tierce.distribution.credentials import Credential, CredentialFile
from tierce.distribution.failures import Unreachable
from tierce.distribution.registry import Registry
from tierce.distribution.remote import Remote
from tierce.distribution.settings import Settings
from tierce.errors import AccessDenied, Cancelled, NotFound, RegistryError
from tierce.oci.digest import Digest
from tierce.oci.reference import Reference

PERSON = Credential("person", "secret")
BASIC = "Basic " + base64.b64encode(b"person:secret").decode()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as served:
        yield served


@pytest.fixture
def elsewhere() -> Iterator[FileServer]:
    with file_server() as served:
        yield served


@pytest.fixture
def remote() -> Iterator[Remote]:
    with Remote(Settings({}, retry_seconds=0.0)) as opened:
        yield opened


def host_of(server: FileServer) -> str:
    return server.url.partition("://")[2]


def registry_at(remote: Remote, server: FileServer) -> Registry:
    return remote.registry(host_of(server), PERSON)


def demand(server: FileServer, path: str, challenge: str, wanted: str, content: bytes) -> None:
    """Serve content to those who are authorized as wanted; a challenge to others."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        allowed = handler.headers.get("Authorization") == wanted
        handler.send_response(200 if allowed else 401)
        if not allowed:
            handler.send_header("WWW-Authenticate", challenge)
        body = content if allowed else b""
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    server.put_answer(path, answer)


def redirect(server: FileServer, path: str, location: str) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.put_answer(path, answer)


def sent_to(server: FileServer, path: str) -> list[dict[str, str]]:
    return [
        headers
        for request, headers in zip(server.requests, server.headers)
        if request.partition(" ")[2].partition("?")[0] == path
    ]


def test_redirect_to_another_host_carries_no_credentials(
    remote: Remote, server: FileServer, elsewhere: FileServer
) -> None:
    blob = b"content"
    digest = Digest.of(blob)
    demand(server, "/v2/", 'Basic realm="x"', BASIC, b"{}")
    redirect(server, f"/v2/a/b/blobs/{digest}", elsewhere.put("/there", blob))
    repository = remote.repository(Reference.parse(f"{host_of(server)}/a/b"))
    assert repository.read_blob(digest, len(blob), 100) == blob
    registry = registry_at(remote, server)
    with registry.ask("GET", f"/v2/a/b/blobs/{digest}", ()) as answer:
        assert answer.read(100) == blob
    assert sent_to(server, f"/v2/a/b/blobs/{digest}")[-1]["Authorization"] == BASIC
    assert all("Authorization" not in headers for headers in elsewhere.headers)


def test_redirect_on_the_same_host_keeps_credentials(remote: Remote, server: FileServer) -> None:
    demand(server, "/v2/", 'Basic realm="x"', BASIC, b"{}")
    redirect(server, "/from", "/to")
    server.put("/to", b"x")
    with registry_at(remote, server).ask("GET", "/from", ()) as answer:
        assert answer.read(10) == b"x"
    assert sent_to(server, "/to")[0]["Authorization"] == BASIC


def test_redirects_in_a_circle_end(remote: Remote, server: FileServer) -> None:
    server.put("/v2/", b"{}")
    redirect(server, "/round", "/round")
    with pytest.raises(RegistryError, match="10 redirects"):
        registry_at(remote, server).ask("GET", "/round", ())


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/", "//", "http://[/"])
def test_redirect_to_what_is_no_url_is_refused(
    remote: Remote, server: FileServer, location: str
) -> None:
    server.put("/v2/", b"{}")
    redirect(server, "/away", location)
    with pytest.raises(RegistryError):
        registry_at(remote, server).ask("GET", "/away", ())


# Tokens


def token_server(server: FileServer, token: str = "good", **more: object) -> None:
    """Gives a token to whoever asks, and notes how."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = json.dumps({"token": token, **more}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    server.files = _AnyQuery(server.files)
    server.put_answer("/token", answer)


class _AnyQuery(dict[str, File]):
    """Files by path, whatever is asked of /token."""

    def get(self, path: str, default: Any = None) -> Any:
        return super().get(path.partition("?")[0] if path.startswith("/token") else path, default)


def test_token_is_fetched_for_the_scope_and_used_again(remote: Remote, server: FileServer) -> None:
    challenge = f'Bearer realm="{server.url}/token",service="svc"'
    demand(server, "/v2/", challenge, "Bearer good", b"{}")
    demand(server, "/v2/a/b/tags/list", challenge, "Bearer good", b'{"tags": ["x"]}')
    token_server(server)
    registry = registry_at(remote, server)
    scopes = ("repository:a/b:pull",)
    for _ in range(2):
        with registry.ask("GET", "/v2/a/b/tags/list", scopes) as answer:
            assert b"x" in answer.read(100)
    asked = [each for each in server.requests if each.startswith("GET /token")]
    assert len(asked) == 1
    assert "service=svc" in asked[0]
    assert "scope=repository%3Aa%2Fb%3Apull" in asked[0]
    assert sent_to(server, "/token")[0]["Authorization"] == BASIC


def test_nobody_gets_a_token_without_credentials(remote: Remote, server: FileServer) -> None:
    challenge = f'Bearer realm="{server.url}/token",service="svc"'
    demand(server, "/v2/", challenge, "Bearer good", b"{}")
    demand(server, "/v2/a/b/tags/list", challenge, "Bearer good", b'{"tags": ["x"]}')
    token_server(server)
    repository = remote.repository(Reference.parse(f"{host_of(server)}/a/b"))
    assert list(repository.tags()) == ["x"]
    assert "Authorization" not in sent_to(server, "/token")[0]


def test_token_that_is_not_taken_is_renewed_once(remote: Remote, server: FileServer) -> None:
    challenge = f'Bearer realm="{server.url}/token",service="svc"'
    demand(server, "/v2/", challenge, "Bearer other", b"{}")
    demand(server, "/x", challenge, "Bearer other", b"")
    token_server(server)
    with pytest.raises(AccessDenied):
        registry_at(remote, server).ask("GET", "/x", ("repository:a:pull",))
    assert sum(each.startswith("GET /token") for each in server.requests) <= 2


def test_login_asks_for_an_identity_token(remote: Remote, server: FileServer) -> None:
    challenge = f'Bearer realm="{server.url}/token",service="svc"'
    demand(server, "/v2/", challenge, "Bearer good", b"{}")
    token_server(server, refresh_token="identity")
    assert registry_at(remote, server).log_in() == "identity"
    assert any("offline_token=true" in each for each in server.requests)


def test_basic_is_used_where_several_ways_are_offered(remote: Remote, server: FileServer) -> None:
    demand(server, "/v2/", 'Negotiate, Basic realm="x"', BASIC, b"{}")
    assert registry_at(remote, server).log_in() == ""


def test_way_to_log_in_that_is_not_known_is_named(remote: Remote, server: FileServer) -> None:
    demand(server, "/v2/", "Negotiate", BASIC, b"{}")
    with pytest.raises(AccessDenied, match="it offers negotiate"):
        registry_at(remote, server).log_in()


def test_registry_with_tls_cannot_have_passwords_sent_in_the_clear(
    server: FileServer, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    certificate = tmp_path / "both.pem"
    certificate.write_bytes(b"".join(path.read_bytes() for path in authority.issue("registry")))
    with file_server(certificate) as secure:
        certificates = tmp_path / "certs" / host_of(secure)
        certificates.mkdir(parents=True)
        (certificates / "ca.crt").write_bytes(authority.certificate.read_bytes())
        demand(secure, "/v2/", f'Bearer realm="{server.url}/token"', "Bearer good", b"{}")
        settings = Settings({}, (str(tmp_path / "certs"),), retry_seconds=0.0)
        with Remote(settings) as remote, pytest.raises(AccessDenied, match="has no TLS"):
            remote.registry(host_of(secure), PERSON).log_in()
    assert server.requests == []


def test_token_server_in_a_private_network_is_refused_to_a_public_registry(
    remote: Remote, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tierce.distribution.auth._is_private", lambda url: url.target == "/token")
    with file_server() as inner:
        demand(server, "/v2/", f'Bearer realm="{inner.url}/token"', "Bearer good", b"{}")
        with pytest.raises(AccessDenied, match="private network"):
            registry_at(remote, server).log_in()
        assert inner.requests == []


# Answers


def test_web_page_in_place_of_a_manifest_is_said(remote: Remote, server: FileServer) -> None:
    server.put("/v2/", b"<html>", Content_Type="text/html")
    server.put("/v2/a/manifests/latest", b"<html>hello</html>", Content_Type="text/html")
    repository = remote.repository(Reference.parse(f"{host_of(server)}/a"))
    with pytest.raises(RegistryError, match="web page"):
        repository.get_manifest("latest")


def test_manifest_that_is_too_large_is_refused(remote: Remote, server: FileServer) -> None:
    server.put("/v2/", b"{}")
    server.put("/v2/a/manifests/latest", bytes((4 << 20) + 1))
    repository = remote.repository(Reference.parse(f"{host_of(server)}/a"))
    with pytest.raises(RegistryError, match="too large"):
        repository.get_manifest("latest")


def test_blob_of_another_size_is_refused(remote: Remote, server: FileServer) -> None:
    digest = Digest.of(b"abc")
    server.put("/v2/", b"{}")
    server.put(f"/v2/a/blobs/{digest}", b"abcd")
    repository = remote.repository(Reference.parse(f"{host_of(server)}/a"))
    with pytest.raises(RegistryError, match="more than 2"):
        repository.read_blob(digest, 3, 2)
    with pytest.raises(Exception, match="verify"):
        repository.read_blob(digest, 3, 10)


def test_tags_come_in_pages(remote: Remote, server: FileServer) -> None:
    server.put("/v2/", b"{}")
    link = '</v2/a/tags/list?last=y>; rel="next"'
    server.put("/v2/a/tags/list", b'{"tags": ["x", "y"]}', Link=link)
    server.put("/v2/a/tags/list?last=y", b'{"tags": ["z"]}')
    repository = remote.repository(Reference.parse(f"{host_of(server)}/a"))
    assert list(repository.tags()) == ["x", "y", "z"]


def test_pages_in_a_circle_end(remote: Remote, server: FileServer) -> None:
    server.put("/v2/", b"{}")
    link = '</v2/a/tags/list?last=y>; rel="next"'
    server.put("/v2/a/tags/list", b'{"tags": ["x"]}', Link=link)
    server.put("/v2/a/tags/list?last=y", b'{"tags": ["y"]}', Link=link)
    repository = remote.repository(Reference.parse(f"{host_of(server)}/a"))
    assert list(repository.tags()) == ["x", "y"]


def test_missing_manifest_has_its_name(remote: Remote, server: FileServer) -> None:
    server.put("/v2/", b"{}")
    repository = remote.repository(Reference.parse(f"{host_of(server)}/a"))
    with pytest.raises(NotFound, match=f"manifest for {host_of(server)}/a:x not found"):
        repository.head_manifest("x")


# Ways


def test_host_that_does_not_exist_is_not_tried_again() -> None:
    with (
        Remote(Settings({}, retry_seconds=60)) as remote,
        pytest.raises(Unreachable, match="no such host"),
    ):
        remote.registry("nowhere.invalid").log_in()


def test_proxy_is_asked_for_what_is_not_here(server: FileServer) -> None:
    """By whole URLs for HTTP, with the proxy's own credentials and nothing else."""
    proxy = server.url.replace("//", "//me:pass@")
    server.put("http://registry.example:5000/v2/", b"{}")
    with Remote(Settings({"HTTP_PROXY": proxy})) as remote:
        registry = Registry(remote._transport, "registry.example:5000", ("http",))
        registry.log_in()
    assert server.requests[0] == "GET http://registry.example:5000/v2/"
    sent = server.headers[0]
    assert sent["Proxy-Authorization"] == "Basic " + base64.b64encode(b"me:pass").decode()
    assert sent["Host"] == "registry.example:5000"


def test_proxy_that_opens_no_tunnel_is_named(server: FileServer) -> None:
    with (
        Remote(Settings({"HTTPS_PROXY": server.url}, retry_seconds=0.0)) as remote,
        pytest.raises(Unreachable, match="by proxy: the proxy answers"),
    ):
        remote.registry("registry.example").log_in()


def test_no_proxy_and_this_machine_are_reached_directly(server: FileServer) -> None:
    server.put("/v2/", b"{}")
    with Remote(Settings({"HTTP_PROXY": "http://127.0.0.1:1"})) as remote:
        remote.registry(host_of(server)).log_in()


def test_offline_reaches_nothing(server: FileServer) -> None:
    with Remote(Settings({}, offline=True)) as remote:
        with pytest.raises(RegistryError, match="offline"):
            remote.registry(host_of(server))
        with pytest.raises(RegistryError, match="offline"):
            remote.open_url(server.url + "/x")
    assert server.requests == []


def test_connections_are_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    connect = Connections._connect

    def counted(self: Connections, origin: Origin) -> Connection:
        made.append(origin)
        return connect(self, origin)

    monkeypatch.setattr(Connections, "_connect", counted)
    with (
        running_registry(tmp_path / "registry", password=PASSWORD) as registry,
        Remote(Settings({})) as remote,
    ):
        found = remote.registry(registry.host, Credential(USER, PASSWORD))
        for _ in range(5):
            found.log_in()
    assert len(made) == 1


def test_server_that_says_nothing_is_left_when_all_is_cancelled(server: FileServer) -> None:
    asked, done = threading.Event(), threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        done.wait()

    server.put_answer("/v2/", silent)
    cancelled = threading.Event()

    def cancel() -> None:
        asked.wait()
        cancelled.set()

    threading.Thread(target=cancel, daemon=True).start()
    with Remote(Settings({}), cancelled=cancelled) as remote, pytest.raises(Cancelled):
        remote.registry(host_of(server)).log_in()
    done.set()


def test_credentials_are_looked_up_for_a_repository(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    file = CredentialFile.of({"DOCKER_CONFIG": str(tmp_path)})
    file.store(host_of(server), PERSON)
    demand(server, "/v2/", 'Basic realm="x"', BASIC, b"{}")
    demand(server, "/v2/a/tags/list", 'Basic realm="x"', BASIC, b'{"tags": []}')
    with Remote(Settings({}), file) as remote:
        assert list(remote.repository(Reference.parse(f"{host_of(server)}/a")).tags()) == []
