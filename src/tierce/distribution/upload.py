"""One blob on its way to a registry: sent in one piece, and from where it broke off."""

from __future__ import annotations

from tierce.distribution.failures import Unreachable
from tierce.distribution.transport import ATTEMPTS, FileBody, Url
from tierce.errors import RegistryError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.distribution.repository import Repository
    from tierce.oci.digest import Digest
    from tierce.store import Store

_SMALL = 1 << 20
"""Bytes of a blob that goes in one request, and again from the start if that fails."""

_AGAIN = frozenset({0, 404, 408, 416, 429, 500, 502, 503, 504})
"""Statuses after which to look where the upload is, and go on. 0: there was no answer; 416: it is
elsewhere than was thought; 404: it is gone, so that a new one is begun."""

_SPOILED = frozenset({"DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_INVALID"})


class Uploader:
    """Uploads blobs to one repository. Usable from all threads."""

    def __init__(self, store: Store, repository: Repository) -> None:
        self._store = store
        self._repository = repository

    def send(
        self,
        digest: Digest,
        size: int,
        descriptor: int,
        sent: Callable[[int], object],
        begun: Url | None = None,
    ) -> None:
        """Upload a file as the blob that it is. `sent` is told how many bytes are there, in all.

        `begun` is an upload that was begun already. What another process has uploaded in part is
        gone on with. Raises AccessDenied, RateLimited, RegistryError, Cancelled.
        """
        upload = _Upload(self._store, self._repository, digest, size, descriptor, sent)
        if size <= _SMALL:
            upload.send_at_once(begun)
        else:
            upload.send_resumably(begun)


class _Upload:
    def __init__(
        self,
        store: Store,
        repository: Repository,
        digest: Digest,
        size: int,
        descriptor: int,
        sent: Callable[[int], object],
    ) -> None:
        self._store = store
        self._repository = repository
        self._digest = digest
        self._size = size
        self._descriptor = descriptor
        self._sent = sent
        self._key = f"{repository.registry.url.origin} {repository.path} {digest}"
        self._there = 0

    def send_at_once(self, location: Url | None) -> None:
        for attempt in range(ATTEMPTS):
            self._there = 0
            try:
                location = location or self._begin()
                self._repository.finish_upload(location, self._digest, self._body())
                return
            except RegistryError as error:
                self._wait(attempt, error)
                if self._arrived(error):
                    return
                location = None

    def send_resumably(self, location: Url | None) -> None:
        state = self._noted()
        if state is not None:
            location, self._there = state
            self._sent(self._there)
        attempt = 0
        while True:
            before = self._there
            try:
                location = location or self._begin()
                self._store.transfers.note(self._key, f"{location.origin}{location.target}")
                if self._there < self._size:
                    location = self._repository.send_piece(location, self._body(), self._there)
                self._repository.finish_upload(location, self._digest)
                self._store.transfers.forget(self._key)
                return
            except RegistryError as error:
                self._wait(attempt, error)
                location = self._place(location, error)
                if location is None and self._arrived(error):
                    return
            # Whoever comes closer may go on for ever.
            attempt = attempt + 1 if self._there <= before else 0

    def _place(self, location: Url | None, error: RegistryError) -> Url | None:
        """Where to go on after an error; None to begin anew."""
        state = None
        if location is not None and error.code not in _SPOILED:
            state = self._state(location)
        if state is None:
            self._store.transfers.forget(self._key)
            self._there = 0
            self._sent(0)
            return None
        place, self._there = state
        self._sent(self._there)
        return place

    def _arrived(self, error: RegistryError) -> bool:
        """Whether all is well, and only the answer that said so was lost."""
        if error.status not in {0, 404}:
            return False
        try:
            return self._repository.has_blob(self._digest, self._size)
        except Unreachable:
            return False

    def _noted(self) -> tuple[Url, int] | None:
        """How far another process has come."""
        noted = self._store.transfers.noted(self._key)
        try:
            return self._state(Url.parse(noted)) if noted else None
        except RegistryError:
            return None  # it has expired, or was written in part

    def _state(self, location: Url) -> tuple[Url, int] | None:
        try:
            state = self._repository.upload_state(location)
        except Unreachable:
            return None
        return None if state is None or state[1] > self._size else state

    def _begin(self) -> Url:
        self._there = 0
        location = self._repository.start_upload().location
        assert location is not None
        return location

    def _body(self) -> FileBody:
        there = self._there

        def sent(size: int) -> None:
            nonlocal there
            there += size
            self._sent(there)

        return FileBody(self._descriptor, self._there, self._size - self._there, sent)

    def _wait(self, attempt: int, error: RegistryError) -> None:
        """Wait before the next attempt; raises the error where there is to be none."""
        may_help = error.status in _AGAIN or error.code in _SPOILED
        if isinstance(error, Unreachable) and error.final:
            raise error
        if attempt >= ATTEMPTS - 1 or not may_help:
            raise error
        self._repository.registry.wait(attempt)
