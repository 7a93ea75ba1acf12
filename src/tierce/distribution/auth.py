"""Logging in to one registry: by password, or by tokens that a token server gives.

The registry says which (a challenge). Tokens are for scopes, "repository:NAME:pull,push"; they are
kept until they expire (distribution, "Token Authentication Specification" and "OAuth2").
"""

from __future__ import annotations

import socket
import threading
import time
from binascii import b2a_base64
from urllib.parse import quote, urlencode

from tierce.distribution.challenges import parse_challenges
from tierce.distribution.codes import described
from tierce.distribution.credentials import NOBODY
from tierce.distribution.transport import Url, error_body, is_transient
from tierce.errors import AccessDenied, InvalidValue, RegistryError
from tierce.oci.document import load_object
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.distribution.challenges import Challenge
    from tierce.distribution.credentials import Credential
    from tierce.distribution.transport import Answer, Transport

CLIENT = "tierce"
_ANSWER_LIMIT = 1 << 20
_LEAST_SECONDS = 60
"""How long a token is good for that does not say so."""

_MARGIN_SECONDS = 5
_ATTEMPTS = 4


class _Token(Value):
    text: str
    expires: float
    refresh: str = ""


class Authenticator:
    """Gives requests to one registry their Authorization. Usable from all threads."""

    def __init__(
        self, transport: Transport, origin_url: Url, credential: Credential, insecure: bool
    ) -> None:
        self._transport = transport
        self._url = origin_url
        self._credential = credential
        self._insecure = insecure
        self._lock = threading.Lock()
        self._challenges: tuple[Challenge, ...] = ()
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._trusted_realm = ""

    @property
    def credential(self) -> Credential:
        return self._credential

    def challenged(self, answer: Answer) -> None:
        """Note what a 401 says. Raises AccessDenied if it says nothing that can be done."""
        found = parse_challenges(answer.headers("WWW-Authenticate"))
        known = tuple(each for each in found if each.scheme in {"basic", "bearer"})
        if not known:
            shown = ", ".join(each.scheme for each in found[:5]) or "none"
            raise AccessDenied(
                f"log in to {self._url.origin.authority}: unauthorized: no way to log in that is"
                f" known (it offers {shown})",
                status=401,
            )
        with self._lock:
            self._challenges = known

    def header(self, scopes: Sequence[str]) -> str:
        """The Authorization for a request that needs these scopes, empty if none is wanted.

        Raises AccessDenied, RegistryError.
        """
        if self._credential.registry_token:
            return f"Bearer {self._credential.registry_token}"
        with self._lock:
            for challenge in self._challenges:
                if challenge.scheme == "bearer":
                    return f"Bearer {self._token(challenge, tuple(scopes)).text}"
            if self._challenges and self._credential.username:
                return _basic(self._credential.username, self._credential.password)
        return ""

    def forget(self, scopes: Sequence[str]) -> bool:
        """A token for these scopes is not taken any more; says whether there was one."""
        with self._lock:
            return self._tokens.pop(tuple(scopes), None) is not None

    def log_in(self) -> str:
        """Find out whether the credentials are right; the identity token, if one is given.

        Raises AccessDenied, RegistryError.
        """
        with self._lock:
            for challenge in self._challenges:
                if challenge.scheme == "bearer":
                    return self._fetch(challenge, (), offline=True).refresh
        return ""

    def _token(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Token:
        known = self._tokens.get(scopes)
        if known is None or known.expires < time.monotonic():
            known = self._tokens[scopes] = self._fetch(challenge, scopes)
        return known

    def _fetch(
        self, challenge: Challenge, scopes: tuple[str, ...], *, offline: bool = False
    ) -> _Token:
        realm = challenge.get("realm")
        url = Url.parse(realm)
        self._check_realm(url)
        service = challenge.get("service")
        asked = [("service", service)] if service else []
        wanted = scopes or tuple(filter(None, challenge.get("scope").split(" ")))
        if self._credential.identity_token:
            answer = self._refreshed(url, asked, wanted)
        else:
            asked += [("scope", each) for each in wanted]
            headers = {"Accept": "application/json"}
            if self._credential.username:
                asked += [("account", self._credential.username), ("client_id", CLIENT)]
                if offline:
                    asked.append(("offline_token", "true"))
                headers["Authorization"] = _basic(
                    self._credential.username, self._credential.password
                )
            mark = "&" if "?" in url.target else "?"
            full = Url(url.origin, url.target + mark + urlencode(asked, quote_via=quote))
            answer = self._asked("GET", full, headers)
        return self._read(answer, url)

    def _refreshed(self, url: Url, asked: list[tuple[str, str]], scopes: Sequence[str]) -> Answer:
        form = [
            ("grant_type", "refresh_token"),
            *asked,
            ("client_id", CLIENT),
            ("scope", " ".join(scopes)),
            ("refresh_token", self._credential.identity_token),
        ]
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self._asked("POST", url, headers, urlencode(form).encode())

    def _asked(
        self, method: str, url: Url, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        for attempt in range(_ATTEMPTS):
            answer = self._transport.send(method, url, headers, body)
            if not is_transient(answer) or attempt == _ATTEMPTS - 1:
                break
            answer.close()
            if not self._transport.wait(attempt, answer):
                break
        return answer

    def _read(self, answer: Answer, url: Url) -> _Token:
        with answer:
            if answer.status != 200:
                said = described(
                    answer.status,
                    answer.reason,
                    answer.header("Content-Type"),
                    error_body(answer),
                )
                if answer.status in {400, 401, 403}:
                    raise self._refused(said, answer.status)
                raise RegistryError(f"get a token from {url}: {said}", status=answer.status)
            body = answer.read(_ANSWER_LIMIT)
        try:
            fields = load_object(body, "token", size_limit=_ANSWER_LIMIT)
            text = fields.text("token") or fields.text("access_token")
            seconds = fields.integer("expires_in")
            refresh = fields.text("refresh_token")
        except InvalidValue as error:
            raise RegistryError(f"get a token from {url}: {error.message}") from error
        if not text or not text.isprintable() or not text.isascii():
            raise RegistryError(f"get a token from {url}: there is none in the answer")
        lasts = max(min(seconds, 1 << 20), _LEAST_SECONDS) - _MARGIN_SECONDS
        return _Token(text, time.monotonic() + lasts, refresh)

    def _refused(self, said: str, status: int) -> AccessDenied:
        host = self._url.origin.authority
        if self._credential == NOBODY:
            return AccessDenied(
                f"log in to {host}: {said}", status=status, hint=f"log in with: tierce login {host}"
            )
        return AccessDenied(
            f"log in to {host}: incorrect username or password: {said}", status=status
        )

    def _check_realm(self, url: Url) -> None:
        """The registry names who gets the password: not just anybody.

        Not in the clear if the registry is not, and no host of an inner network if the registry
        is none itself: it could have this machine ask where it cannot ask.
        """
        if str(url.origin) == self._trusted_realm or url.origin.key == self._url.origin.key:
            return
        host = self._url.origin.authority
        if url.origin.scheme == "http" and not (
            self._insecure and self._url.origin.scheme == "http"
        ):
            raise AccessDenied(f"log in to {host}: its token server {url.origin} has no TLS")
        if _is_private(url) and not _is_private(self._url):
            raise AccessDenied(
                f"log in to {host}: its token server {url.origin} is in a private network,"
                " and the registry is not"
            )
        self._trusted_realm = str(url.origin)


def _basic(username: str, password: str) -> str:
    return "Basic " + b2a_base64(f"{username}:{password}".encode(), newline=False).decode()


def _is_private(url: Url) -> bool:
    """Whether a host has an address that is not for the whole world."""
    import ipaddress  # for registries with a token server elsewhere

    try:
        found = socket.getaddrinfo(url.origin.host, url.origin.port, type=socket.SOCK_STREAM)
    except OSError:
        return False  # there will be no connection either
    return any(
        not ipaddress.ip_address(str(place[0]).partition("%")[0]).is_global for *_, place in found
    )
