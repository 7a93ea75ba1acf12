"""All registries of one piece of work: which host a name means, how it is reached, who logs in."""

from __future__ import annotations

import threading

from tierce.distribution import certificates
from tierce.distribution.connection import Connections
from tierce.distribution.credentials import NOBODY, CredentialFile
from tierce.distribution.places import Places
from tierce.distribution.proxies import is_loopback
from tierce.distribution.registry import Registry
from tierce.distribution.repository import Repository
from tierce.distribution.settings import OFFLINE, Settings
from tierce.distribution.transport import Transport, Url
from tierce.errors import RegistryError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence
    from threading import Event
    from typing import Self

    from tierce.distribution.credentials import Credential
    from tierce.distribution.places import Place
    from tierce.distribution.transport import Answer
    from tierce.oci.reference import Reference

HUB_HOST = "registry-1.docker.io"
"""Where the images of docker.io are."""

_WATCH_SECONDS = 0.05


class Remote:
    """Reaches registries. Use as a context manager, from any number of threads.

    `credentials` says where those of registries are; by default nobody logs in. When `cancelled`
    is set, by whichever thread, all ends with Cancelled.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: CredentialFile | None = None,
        cancelled: Event | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        # An event of its own: that one transfer ends the others cancels nothing else.
        self._connections = Connections(settings.environment, self._tls, threading.Event())
        self._transport = Transport(settings, self._connections)
        self._lock = threading.Lock()
        self._watched = cancelled
        self._done = threading.Event()
        self._registries: dict[tuple[str, Credential], Registry] = {}
        self._places = Places(settings.registries_conf)
        self._marked: set[str] = set()
        self._contexts: dict[str, ssl.SSLContext] = {}

    @property
    def cancelled(self) -> Event:
        return self._connections.cancelled

    @property
    def is_offline(self) -> bool:
        """Whether no registry may be reached."""
        return self._settings.offline

    def interrupt(self) -> None:
        """End all that is going on, from another thread, with Cancelled."""
        self._connections.interrupt()

    def check(self) -> None:
        """Raises Cancelled if all was ended."""
        self._connections.check()

    def wait(self, attempt: int) -> None:
        """Wait before another attempt. Raises Cancelled."""
        self._transport.wait(attempt)

    def open_url(self, url: str, offset: int = 0) -> Answer:
        """The content of an address that a manifest names, from `offset` on if that is possible.

        Without credentials. Raises RegistryError for an answer that is none.
        """
        self._check_online(url)
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._transport.follow("GET", Url.parse(url), headers)
        if answer.status not in {200, 206}:
            with answer:
                raise RegistryError(
                    f"get {answer.url}: {answer.status} {answer.reason}", status=answer.status
                )
        return answer

    def resume(self) -> None:
        """Go on after `interrupt`, when all that it ended has ended. Raises Cancelled if the
        caller has cancelled everything.
        """
        if self._watched is None or not self._watched.is_set():
            self._connections.cancelled.clear()
        self.check()

    def repository(self, reference: Reference) -> Repository:
        """The repository that a name belongs to. Raises CredentialsError, RegistryError when
        offline or blocked.
        """
        return self._repository(self._placed(reference, pulling=False)[-1])

    def sources(self, reference: Reference) -> Iterator[Repository]:
        """Where to pull from: mirrors in their order, and at last where the name belongs.

        Raises as `repository`.
        """
        for place in self._placed(reference, pulling=True):
            yield self._repository(place)

    def registry(
        self, domain: str, credential: Credential = NOBODY, *, patient: bool = True
    ) -> Registry:
        """The registry of a domain, as names have it; one that is not `patient` is given up soon.

        Raises RegistryError when offline.
        """
        self._check_online(domain)
        with self._lock:
            found = self._registries.get((domain, credential))
            if found is None:
                host = HUB_HOST if domain == "docker.io" else domain
                schemes = self._schemes(host)
                found = self._registries[domain, credential] = Registry(
                    *(self._transport, host, schemes, credential), shown=domain, patient=patient
                )
            return found

    def _placed(self, reference: Reference, *, pulling: bool) -> Sequence[Place]:
        self._check_online(reference.familiar)
        places = self._places.of(reference, pulling=pulling)
        self._marked.update(each.host for each in places if each.insecure)
        return places

    def _repository(self, place: Place) -> Repository:
        credential = NOBODY
        if self._credentials is not None:
            credential = self._credentials.find_for(place.host, place.path)
        registry = self.registry(place.host, credential, patient=not place.is_mirror)
        return Repository(registry, place.path)

    def __enter__(self) -> Self:
        if self._watched is not None:
            threading.Thread(
                target=self._watch, args=(self._watched,), name="transfer-cancel", daemon=True
            ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._connections.close()

    def _watch(self, cancelled: Event) -> None:
        while not self._done.wait(_WATCH_SECONDS):
            if cancelled.is_set():
                self._connections.interrupt()
                return

    def _check_online(self, place: str) -> None:
        if self._settings.offline:
            raise RegistryError(
                f"reach {place}: offline", hint=f"{OFFLINE} or --offline forbids all network"
            )

    def _schemes(self, host: str) -> tuple[str, ...]:
        """What to try: as docker, TLS unless a registry is marked, or on this machine.

        What is here and has no certificates is most often without TLS, and then to try that first
        would take longer than what is asked. Nothing that is secret is said before one is chosen.
        """
        if not self._insecure(host):
            return ("https",)
        if is_loopback(_name(host)) and not self._has_certificates(host):
            return ("http", "https")
        return ("https", "http")

    def _insecure(self, host: str) -> bool:
        return is_loopback(_name(host)) or host in self._marked or self._places.is_insecure(host)

    def _has_certificates(self, host: str) -> bool:
        return certificates.has_directory(self._settings.certificates, host)

    def _tls(self, authority: str) -> ssl.SSLContext:
        with self._lock:
            context = self._contexts.get(authority)
        if context is None:
            verify = not self._insecure(authority) or self._has_certificates(authority)
            context = certificates.tls_context(
                self._settings.certificates, authority, verify=verify
            )
            with self._lock:
                self._contexts[authority] = context
        return context


def _name(host: str) -> str:
    """The name of "name:port"."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
