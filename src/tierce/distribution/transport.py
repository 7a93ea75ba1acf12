"""Requests to registries: sent, redirected, and sent again when that may help.

Nothing here knows the registry API, nor who logs in: headers come from the caller, and go to no
other host than the one they are for.
"""

from __future__ import annotations

import http.client
import os

import tierce
from tierce.distribution.codes import BODY_LIMIT
from tierce.distribution.connection import Connections, Origin, send_file
from tierce.distribution.failures import Unreachable, broken
from tierce.distribution.throttle import Throttle
from tierce.errors import RegistryError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from tierce.distribution.connection import Connection
    from tierce.distribution.settings import Settings

ATTEMPTS = 6
"""How often a request is sent at most, before its last answer counts."""

WAIT_AT_MOST_SECONDS = 60
"""A registry that wants to be left alone for longer is not waited for."""

MAX_REDIRECTS = 10
_BACKOFF_SECONDS = 15
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SENT_AT_ONCE = 4 << 20
_DRAIN_LIMIT = 256 << 10


class Url(Value):
    """A parsed URL: where to connect, and what to ask for there."""

    origin: Origin
    target: str

    def __str__(self) -> str:
        return f"{self.origin}{self.target.partition('?')[0]}"

    @classmethod
    def parse(cls, text: str, base: Url | None = None) -> Self:
        """An absolute URL or, with a base, a relative one. Raises RegistryError."""
        from urllib.parse import urljoin, urlsplit  # 8 ms, where a server names a place

        try:
            parts = urlsplit(urljoin(f"{base.origin}{base.target}", text) if base else text)
            port = parts.port
        except ValueError as error:
            raise RegistryError(f"follow {text[:200]!a}: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname or not text.isprintable():
            raise RegistryError(f"follow {text[:200]!a}: no URL of a registry")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(Origin(parts.scheme, parts.hostname, port), target.replace(" ", "%20"))


class FileBody(Value):
    """A piece of a file as the body of a request; `sent` is told how many bytes went out."""

    descriptor: int
    offset: int
    size: int
    sent: Callable[[int], object]


class Answer:
    """A response. Read it or not, but close it; as a context manager it closes itself."""

    def __init__(
        self,
        url: Url,
        response: http.client.HTTPResponse,
        connections: Connections,
        connection: Connection,
        throttle: Throttle,
    ) -> None:
        self.url = url
        self.status = response.status
        self.reason = response.reason
        self._response = response
        self._connections = connections
        self._connection: Connection | None = connection
        self._throttle = throttle

    def header(self, name: str, default: str = "") -> str:
        return self._response.headers.get(name) or default

    def headers(self, name: str) -> list[str]:
        """All headers of a name."""
        return self._response.headers.get_all(name) or []

    @property
    def length(self) -> int | None:
        """Bytes of the body, None where the server does not say."""
        text = self.header("Content-Length")
        return int(text) if text.isdecimal() and len(text) < 20 else None

    def readinto(self, buffer: memoryview) -> int:
        """Some more of the body; 0 at its end. Raises Unreachable for one that is cut short."""
        try:
            got = self._response.readinto(buffer[: self._throttle.piece(len(buffer))])
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connections.check()
            raise broken(self.url.origin, error) from error
        # http.client takes the end of the connection for the end of the body.
        if not got and self._response.length:
            self._connections.check()
            raise broken(self.url.origin, http.client.IncompleteRead(b""))
        self._throttle.moved(got)
        return got

    def read(self, limit: int) -> bytes:
        """All of a body, or the first `limit + 1` bytes of one that is longer."""
        data = bytearray()
        buffer = memoryview(bytearray(min(limit + 1, 1 << 16)))
        while len(data) <= limit and (got := self.readinto(buffer)):
            data += buffer[:got]
        return bytes(data[: limit + 1])

    def close(self) -> None:
        """Let go of the connection, which carries the next request if all was read."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._response.will_close or not self._drained():
            self._connections.drop(connection)
        else:
            self._response.close()
            self._connections.give_back(connection)

    def _drained(self) -> bool:
        """Reads a short rest."""
        if self._response.isclosed():
            return True
        left = self._response.length
        if left is None or left > _DRAIN_LIMIT:
            return False
        try:
            self._response.read()
        except (OSError, http.client.HTTPException):
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Transport:
    """Sends requests. Usable from all threads."""

    def __init__(self, settings: Settings, connections: Connections) -> None:
        self._settings = settings
        self.connections = connections
        self._throttle = Throttle(settings.bandwidth, connections.cancelled)

    def send(
        self,
        method: str,
        url: Url,
        headers: Mapping[str, str],
        body: bytes | FileBody | None = None,
    ) -> Answer:
        """Send one request and get whatever is answered. Raises Unreachable, Cancelled.

        One that meets a connection which the server has closed in the meantime goes out again.
        """
        connection = self.connections.take(url.origin)
        if connection.used:
            try:
                return self._exchange(connection, method, url, headers, body)
            except _Stale:
                connection = self.connections.take(url.origin, fresh=True)
        return self._exchange(connection, method, url, headers, body)

    def follow(self, method: str, url: Url, headers: Mapping[str, str]) -> Answer:
        """Send a request that changes nothing, and follow where it is redirected to.

        To another host go no headers but those that say what is wanted.
        """
        first = url.origin.key
        sent = dict(headers)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self.send(method, url, sent)
            location = answer.header("Location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            answer.close()
            url = Url.parse(location, url)
            if url.origin.key != first:
                sent = {name: headers[name] for name in ("Accept", "Range") if name in headers}
            else:
                sent = dict(headers)
        raise RegistryError(f"ask {url}: stopped after {MAX_REDIRECTS} redirects")

    def wait(self, attempt: int, answer: Answer | None = None) -> bool:
        """Wait before another attempt, as long as the server asks for; False if that is too long.

        Raises Cancelled.
        """
        asked = None if answer is None else retry_after(answer)
        if asked is not None and asked > WAIT_AT_MOST_SECONDS:
            return False
        longest = min(self._settings.retry_seconds * 2**attempt, _BACKOFF_SECONDS)
        # Not all at once: whoever was refused together would come again together.
        delay = longest * (0.5 + os.urandom(1)[0] / 510)
        self.connections.cancelled.wait(max(delay, asked or 0))
        self.connections.check()
        return True

    def _exchange(
        self,
        connection: Connection,
        method: str,
        url: Url,
        headers: Mapping[str, str],
        body: bytes | FileBody | None,
    ) -> Answer:
        client = connection.client
        started = False
        try:
            target = f"{url.origin}{url.target}" if connection.through_proxy else url.target
            client.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            client.putheader("Host", url.origin.authority)
            client.putheader("User-Agent", f"tierce/{tierce.__version__}")
            # Bytes are wanted as they are: what is hashed is what was sent.
            client.putheader("Accept-Encoding", "identity")
            for name, value in (*headers.items(), *connection.proxy_headers.items()):
                client.putheader(name, value)
            if body is not None:
                size = len(body) if isinstance(body, bytes) else body.size
                client.putheader("Content-Length", str(size))
            elif method in {"POST", "PUT", "PATCH"}:
                client.putheader("Content-Length", "0")
            client.endheaders()
            try:
                if isinstance(body, bytes):
                    client.send(body)
                elif body is not None:
                    started = True
                    self._send_file(connection, body)
            except (BrokenPipeError, ConnectionResetError):
                # The server may have answered before it took all of it, and hung up.
                response = self._early_answer(client)
            else:
                response = client.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.connections.drop(connection)
            self.connections.check()
            gone = isinstance(error, ConnectionError | http.client.BadStatusLine)
            if connection.used and gone and not started:
                raise _Stale from error
            raise broken(url.origin, error) from error
        except BaseException:
            self.connections.drop(connection)
            raise
        return Answer(url, response, self.connections, connection, self._throttle)

    def _early_answer(self, client: http.client.HTTPConnection) -> http.client.HTTPResponse:
        response = client.getresponse()
        if response.status < 400:
            raise ConnectionResetError("connection reset by peer")
        return response

    def _send_file(self, connection: Connection, body: FileBody) -> None:
        offset, left = body.offset, body.size
        while left:
            piece = self._throttle.piece(min(left, _SENT_AT_ONCE))
            sent = send_file(connection, body.descriptor, offset, piece)
            if not sent:
                raise ValueError("the file to send is shorter than it was")
            self._throttle.moved(sent)
            body.sent(sent)
            offset += sent
            left -= sent
            self.connections.check()


def is_transient(answer: Answer) -> bool:
    """Whether the same request may be answered otherwise in a moment."""
    return answer.status in _AGAIN


def retry_after(answer: Answer) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3), None without one."""
    text = answer.header("Retry-After").strip()
    if not text:
        return None
    if text.isdecimal():
        return float(min(int(text[:10]), 1 << 31))
    import time  # for what few servers send
    from email.utils import parsedate_to_datetime  # as above

    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def error_body(answer: Answer) -> bytes:
    """What an answer says went wrong, as far as it can be read."""
    try:
        return answer.read(BODY_LIMIT - 1)
    except Unreachable:
        return b""


class _Stale(Exception):
    """A connection that was kept, and that the server has closed."""
