"""Fetches files by HTTP: proxies as the environment says, certificates always verified.

What comes from a server is bounded: redirects, the time of its silence, and bytes.
"""

from __future__ import annotations

import http.client
import re
import ssl
from contextlib import contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import urllib3

import tierce
from tierce.distribution.proxies import proxy_for
from tierce.errors import BuildError, Cancelled
from tierce.values import Value
from tierce.worker.connections import Connections
from tierce.worker.urls import redacted

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from threading import Event

MAX_BYTES = 32 << 30
"""Of one file; more is refused."""

MAX_REDIRECTS = 10  # as Go's client, which BuildKit has
CONNECT_SECONDS = 30
SILENCE_SECONDS = 60
_CHUNK = 1 << 18
_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")
_STRONG_SECONDS = 60
"""How much older than the answer a Last-Modified has to be to tell versions apart: a file that is
written twice in a second has it twice (RFC 9110, 8.8.2.2)."""


class Answer(Value):
    """What a server said of the content that it sent: the validators for the next request.

    `modified` is Last-Modified as it was sent; `dated` says that it tells versions apart.
    """

    etag: str = ""
    modified: str = ""
    dated: bool = False


class HttpClient:
    """Gets files; one for each build. May be used from several threads.

    `headers` gives further headers for requests to a host, as Authorization.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        headers: Callable[[str], Mapping[str, str]] = lambda host: {},
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._environment = environment
        self._headers = headers
        self._max_bytes = max_bytes

    def is_unchanged(self, url: str, known: Answer, cancelled: Event) -> bool:
        """Whether a server has nothing but what it has sent before; no if it does not say so."""
        # As BuildKit: some servers send ETags but disregard If-None-Match, so that the header is
        # compared here; and some send another ETag when they may not compress.
        try:
            with self._open("HEAD", url, known, cancelled) as response:
                if response.status == 304:
                    return True
                if response.status != 200:
                    return False
                etag = _etag(response)
                if known.etag or etag:
                    return bool(etag) and etag == known.etag
                modified = response.headers.get("Last-Modified", "")
                return known.dated and modified == known.modified
        except BuildError:
            return False  # what is wrong is found again by asking for the content

    def fetch(
        self,
        url: str,
        write: Callable[[bytes], object],
        cancelled: Event,
        progress: Callable[[int, int], None] = lambda current, total: None,
    ) -> Answer:
        """Write all of a file. Raises BuildError for what is not a whole file, Cancelled.

        `progress` is told the bytes that are here and those that there will be, 0 if unknown.
        """
        shown = redacted(url)
        with self._open("GET", url, None, cancelled) as response:
            if not 200 <= response.status < 300:
                raise BuildError(
                    f"fetch {shown}: invalid response status {response.status}",
                    hint=_STATUS_HINTS.get(response.status, ""),
                )
            total = _length(response)
            is_packed = response.headers.get("Content-Encoding", "").lower() == "gzip"
            self._check_size(shown, 0 if is_packed else total)
            size = 0
            for chunk in response.stream(_CHUNK, decode_content=is_packed):
                size += len(chunk)
                self._check_size(shown, size)
                write(chunk)
                progress(size, 0 if is_packed else total)
            return _answer(response)

    def _check_size(self, shown: str, size: int) -> None:
        if size > self._max_bytes:
            raise BuildError(f"fetch {shown}: larger than {self._max_bytes} bytes")

    @contextmanager
    def _open(
        self, method: str, url: str, known: Answer | None, cancelled: Event
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """A response whose body was not read yet; what fails in the block is a BuildError."""
        shown = redacted(url)
        headers = {"User-Agent": f"tierce/{tierce.__version__}", "Accept-Encoding": "gzip"}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        elif known is not None and known.dated:
            headers["If-Modified-Since"] = known.modified
        parts = _parsed(url)
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers |= urllib3.make_headers(basic_auth=user)
        headers |= self._headers(parts.hostname or "")
        host = _ascii(parts.netloc.rpartition("@")[2])
        target = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
        response: urllib3.BaseHTTPResponse | None = None
        with Connections(cancelled) as connections:
            try:
                manager = self._manager(parts.scheme, parts.hostname or "", parts.port)
                connections.watch(manager)
                response = manager.request(
                    method,
                    target,
                    headers=headers,
                    preload_content=False,
                    timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
                    retries=urllib3.Retry(
                        total=None,
                        connect=0,
                        read=0,
                        status=0,
                        other=0,
                        redirect=MAX_REDIRECTS,
                        respect_retry_after_header=False,
                    ),
                )
                yield response
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                if cancelled.is_set():
                    raise Cancelled(f"fetch {shown}: cancelled") from error
                raise _failed(shown, error) from error
            finally:
                if response is not None:
                    response.close()

    def _manager(self, scheme: str, host: str, port: int | None) -> urllib3.PoolManager:
        proxy = proxy_for(scheme, host, port, self._environment)
        if not proxy:
            return urllib3.PoolManager()
        parts = urlsplit(proxy)
        headers = {}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=user)
        return urllib3.ProxyManager(proxy, proxy_headers=headers)


def _parsed(url: str) -> SplitResult:
    """The parts of a URL. Raises BuildError for one that is none, as Go sees it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        cause = str(error)
    else:
        if parts.hostname and not _BAD_ESCAPE.search(url):
            return parts
        cause = "invalid URL escape" if parts.hostname else "no host in the URL"
    raise BuildError(f"fetch {redacted(url)}: {cause[:1].lower()}{cause[1:]}")


def _ascii(host: str) -> str:
    """A name with other letters, as the domain name system knows it."""
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


_STATUS_HINTS = {
    401: "the server wants credentials",
    403: "the server wants credentials",
    404: "is the address right?",
}


def _etag(response: urllib3.BaseHTTPResponse) -> str:
    """The ETag; what is weak about a weak one makes no difference here."""
    return response.headers.get("ETag", "").removeprefix("W/")


def _answer(response: urllib3.BaseHTTPResponse) -> Answer:
    modified = response.headers.get("Last-Modified", "")
    changed, sent = http_time(modified), http_time(response.headers.get("Date", ""))
    dated = changed is not None and sent is not None and sent - changed >= _STRONG_SECONDS
    return Answer(_etag(response), modified, dated)


def http_time(text: str) -> int | None:
    """Seconds since the epoch of a date in a header (RFC 9110, 5.6.7); None if it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError):
        return None


def _length(response: urllib3.BaseHTTPResponse) -> int:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _failed(shown: str, error: Exception) -> BuildError:
    """One line about what went wrong beneath, and what can be done about it."""
    cause: BaseException = error
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        cause = error.reason
    if isinstance(cause, urllib3.exceptions.ProtocolError) and len(cause.args) > 1:
        cause = cause.args[1]  # it says "Connection broken" of everything
    if isinstance(cause, urllib3.exceptions.ResponseError) and "redirect" in str(cause):
        return BuildError(f"fetch {shown}: stopped after {MAX_REDIRECTS} redirects")
    if isinstance(cause, urllib3.exceptions.ProxyError):
        return BuildError(
            f"fetch {shown}: proxy: {_innermost(cause.original_error)}",
            hint="see HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
        )
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return BuildError(f"fetch {shown}: host not found", hint="is the address right?")
    if isinstance(cause, urllib3.exceptions.ConnectTimeoutError) and not isinstance(
        cause, urllib3.exceptions.NewConnectionError
    ):
        return BuildError(f"fetch {shown}: no connection within {CONNECT_SECONDS} seconds")
    if isinstance(cause, urllib3.exceptions.ReadTimeoutError | TimeoutError):
        return BuildError(f"fetch {shown}: no answer within {SILENCE_SECONDS} seconds")
    if isinstance(cause, urllib3.exceptions.IncompleteRead):
        return BuildError(f"fetch {shown}: the content ended early, after {cause.partial} bytes")
    if isinstance(cause, http.client.RemoteDisconnected):
        return BuildError(f"fetch {shown}: the server hung up without an answer")
    if isinstance(cause, urllib3.exceptions.SSLError):
        inner = cause.args[0] if cause.args else cause
        if isinstance(inner, ssl.SSLCertVerificationError):
            return BuildError(
                f"fetch {shown}: certificate: {inner.verify_message}",
                hint="certificates of your own are named by SSL_CERT_FILE or SSL_CERT_DIR",
            )
        reason = getattr(inner, "reason", None) or str(inner)
        return BuildError(f"fetch {shown}: TLS: {str(reason).replace('_', ' ').lower()}")
    return BuildError(f"fetch {shown}: {_innermost(cause)}")


def _innermost(error: BaseException) -> str:
    """The system's words for what went wrong, without the wrappings of the libraries."""
    while True:
        inner = error.__cause__ or error.__context__
        if isinstance(inner, OSError | urllib3.exceptions.HTTPError):
            error = inner
            continue
        break
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return " ".join(str(error).split())
