"""One registry: reached, logged in to, and asked (OCI distribution-spec)."""

from __future__ import annotations

import threading

from tierce.distribution.auth import Authenticator
from tierce.distribution.codes import described, parse_errors
from tierce.distribution.connection import Origin
from tierce.distribution.credentials import NOBODY
from tierce.distribution.failures import Unreachable
from tierce.distribution.transport import (
    ATTEMPTS,
    FileBody,
    Url,
    error_body,
    is_transient,
    retry_after,
)
from tierce.errors import AccessDenied, RateLimited, RegistryError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tierce.distribution.credentials import Credential
    from tierce.distribution.transport import Answer, Transport

_UNAUTHORIZED = 401
_SAFE = frozenset({"GET", "HEAD"})
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods that may go out twice (RFC 9110, 9.2.2)."""


class Registry:
    """A registry by its host ("ghcr.io", "localhost:5000"). Usable from all threads.

    `schemes` are tried in their order until one is understood; when that includes "http", it may
    be talked to in the clear. One that is not `patient` does not wait for a host that is down.
    """

    def __init__(
        self,
        transport: Transport,
        host: str,
        schemes: Sequence[str],
        credential: Credential = NOBODY,
        *,
        shown: str = "",
        patient: bool = True,
    ) -> None:
        self._transport = transport
        self.host = host
        self.shown = shown or host
        self._schemes = tuple(schemes)
        self._patient = patient
        self._credential = credential
        self._lock = threading.Lock()
        self._base: Url | None = None
        self._auth: Authenticator | None = None

    @property
    def url(self) -> Url:
        """Where it is, once it was reached. Raises RegistryError, Cancelled."""
        return self._reached()[0]

    @property
    def credential(self) -> Credential:
        return self._credential

    def log_in(self) -> str:
        """Find out whether the credentials are right; the identity token, if one is given.

        Raises AccessDenied for wrong ones, RegistryError.
        """
        _, auth = self._reached()
        token = auth.log_in()
        with self.ask("GET", "/v2/", ()):
            return token

    def ask(
        self,
        method: str,
        target: str | Url,
        scopes: Sequence[str],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | FileBody | None = None,
        expected: Collection[int] = (200,),
        attempts: int = ATTEMPTS,
    ) -> Answer:
        """Send a request, again where that may help, and get an answer with an expected status.

        `target` is a path, or a URL that the registry has named: if that is on another host, it
        is asked without credentials. Raises AccessDenied, RateLimited, RegistryError (with the
        status and the code of the answer), Unreachable, Cancelled.
        """
        base, auth = self._reached()
        url = Url(base.origin, target) if isinstance(target, str) else target
        own = url.origin.key == base.origin.key
        renewed = False
        attempt = 0
        while True:
            sent = dict(headers or {})
            if own and (authorization := auth.header(scopes)):
                sent["Authorization"] = authorization
            try:
                answer = self._send(method, url, sent, body)
            except Unreachable as error:
                attempt += 1
                if error.final or method not in _REPEATABLE or attempt >= attempts:
                    raise
                self._transport.wait(attempt - 1)
                continue
            if answer.status in expected:
                return answer
            with answer:
                if answer.status == _UNAUTHORIZED and own and not renewed:
                    renewed = True
                    auth.forget(scopes)
                    auth.challenged(answer)
                    again = auth.header(scopes)
                    if not again:
                        raise self._denied(method, url, answer)
                    if again != sent.get("Authorization"):
                        continue
                attempt += 1
                if is_transient(answer) and attempt < attempts and method != "PATCH":
                    answer.close()
                    if self._transport.wait(attempt - 1, answer):
                        continue
                raise self._refused(method, url, answer)

    def wait(self, attempt: int) -> None:
        """Wait before another attempt at something of several requests. Raises Cancelled."""
        self._transport.wait(attempt)

    def _send(
        self, method: str, url: Url, headers: Mapping[str, str], body: bytes | FileBody | None
    ) -> Answer:
        if method in _SAFE:
            return self._transport.follow(method, url, headers)
        return self._transport.send(method, url, headers, body)

    def _reached(self) -> tuple[Url, Authenticator]:
        with self._lock:
            if self._base is None or self._auth is None:
                self._base, self._auth = self._reach()
            return self._base, self._auth

    def _reach(self) -> tuple[Url, Authenticator]:
        failure: RegistryError | None = None
        for scheme in self._schemes:
            host, port = _split(self.host)
            url = Url(Origin(scheme, host, port), "/v2/")
            try:
                answer = self._ping(url)
            except Unreachable as error:
                # What was refused for good reason is not asked again in the clear.
                failure = failure or error
                if error.untrusted:
                    break
                continue
            with answer:
                if scheme == "http" and _wants_tls(answer):
                    failure = RegistryError(
                        f"connect to {url.origin}: client sent an HTTP request to an HTTPS server"
                    )
                    continue
                auth = Authenticator(
                    self._transport, url, self._credential, "http" in self._schemes
                )
                if answer.status == _UNAUTHORIZED:
                    auth.challenged(answer)
                return url, auth
        assert failure is not None
        raise failure

    def _ping(self, url: Url) -> Answer:
        last = ATTEMPTS if len(self._schemes) == 1 else 2
        if not self._patient:
            last = 1
        for attempt in range(last):
            try:
                answer = self._transport.send("GET", url, {})
            except Unreachable as error:
                if error.final or attempt == last - 1 or len(self._schemes) > 1:
                    raise
                self._transport.wait(attempt)
                continue
            if not is_transient(answer) or attempt == last - 1:
                return answer
            answer.close()
            if not self._transport.wait(attempt, answer):
                raise self._refused("GET", url, answer)
        raise AssertionError("unreachable")

    def _denied(self, method: str, url: Url, answer: Answer) -> AccessDenied:
        said = described(
            answer.status, answer.reason, answer.header("Content-Type"), error_body(answer)
        )
        hint = f"log in with: tierce login {self.shown}".removesuffix(" docker.io")
        if method == "HEAD" or not said:
            said = f"{answer.status} {answer.reason}"
        return AccessDenied(
            f"{method.lower()} {url}: no basic auth credentials: {said}",
            status=answer.status,
            code="UNAUTHORIZED",
            hint=hint,
        )

    def _refused(self, method: str, url: Url, answer: Answer) -> RegistryError:
        """The error to raise for an answer that is none of the expected ones."""
        # A HEAD has no body to tell a registry's answer from that of something else.
        body = b"" if method == "HEAD" else error_body(answer)
        kind = "" if method == "HEAD" else answer.header("Content-Type")
        said = described(answer.status, answer.reason, kind, body)
        errors = parse_errors(body)
        code = errors[0].code if errors else ""
        message = f"{method.lower()} {url}: {said}"
        if answer.status == 429 or code == "TOOMANYREQUESTS":
            seconds = retry_after(answer) or 0.0
            wait = f"; it wants to be asked again in {seconds:.0f} seconds" if seconds else ""
            return RateLimited(
                message + wait,
                retry_seconds=seconds,
                hint="registries often allow more to those who log in",
            )
        if answer.status == _UNAUTHORIZED:
            hint = f"log in with: tierce login {self.shown}".removesuffix(" docker.io")
            if self._credential:
                message += ": incorrect username or password, or not enough rights"
            return AccessDenied(message, status=401, code=code or "UNAUTHORIZED", hint=hint)
        if answer.status == 403:
            return AccessDenied(message, status=403, code=code or "DENIED")
        return RegistryError(message, status=answer.status, code=code)


def _split(host: str) -> tuple[str, int | None]:
    """Name and port of "name:port"; an IPv6 address is in brackets there."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    return name, int(port) if port.isdecimal() else None


def _wants_tls(answer: Answer) -> bool:
    """What servers say who hear HTTP where they expect TLS: Go's, nginx."""
    return answer.status == 400
