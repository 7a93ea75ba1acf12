"""One layer of a repository, fetched into the store: once, from where it broke off, verified."""

from __future__ import annotations

import os

from tierce.distribution.failures import Unreachable
from tierce.distribution.intake import Arrival, Intake, Spoiled
from tierce.distribution.progress import Step
from tierce.distribution.transport import ATTEMPTS
from tierce.errors import Cancelled, DigestMismatch, LayerError, NotFound, RegistryError
from tierce.oci.digest import Digest, new_hash
from tierce.oci.media_types import is_layer
from tierce.store.failures import reported, store_error

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.distribution.progress import Report
    from tierce.distribution.remote import Remote
    from tierce.distribution.repository import Repository
    from tierce.distribution.transport import Answer
    from tierce.oci.descriptor import Descriptor
    from tierce.store import Store

_BUFFER = 1 << 20
_TRIES = 2
"""How often content is fetched that turns out to be another: a line may have spoiled it."""


class _Unread:
    """In the place of an intake, where nobody reads what comes."""

    def __init__(self, size: int) -> None:
        self.arrival = Arrival(size)

    def check(self) -> None:
        pass


class Downloader:
    """Fetches layers of one repository. Usable from all threads."""

    def __init__(
        self, store: Store, remote: Remote, repository: Repository, report: Report
    ) -> None:
        self._store = store
        self._remote = remote
        self._repository = repository
        self._report = report

    def fetch(self, layer: Descriptor, diff_id: Digest) -> None:
        """Have a layer in the store, as its tar and as the blob that the registry has.

        Raises NotFound, DigestMismatch, LayerError, AccessDenied, RegistryError, StoreError,
        Cancelled.
        """
        if not is_layer(layer.media_type):
            raise RegistryError(
                f"get layer {layer.digest}: unsupported media type {layer.media_type[:100]!a}"
            )
        name = layer.digest.short
        if self.is_here(layer, diff_id):
            self._report(Step("Already exists", name))
            return
        self._report(Step("Pulling fs layer", name))
        with self._store.transfers.incoming(layer.digest, self._remote.cancelled) as path:
            if self.is_here(layer, diff_id):  # somebody else has fetched it meanwhile
                self._report(Step("Already exists", name))
                return
            for attempt in range(_TRIES):
                try:
                    self._fetch(path, layer, diff_id)
                    break
                except (DigestMismatch, LayerError) as error:
                    self._store.transfers.discard(layer.digest)
                    if attempt == _TRIES - 1 or not isinstance(error, Spoiled):
                        raise
        self._report(Step("Pull complete", name))

    def fetch_blob(self, blob: Descriptor) -> None:
        """Have a blob in the store as it is, verified, whatever is in it.

        Raises as `fetch`. Kept by the current lease alone.
        """
        with self._store.transfers.incoming(blob.digest, self._remote.cancelled) as path:
            if self._store.blobs.has(blob.digest):
                return
            for attempt in range(_TRIES):
                try:
                    self._fetch_blob(path, blob)
                    return
                except DigestMismatch:
                    self._store.transfers.discard(blob.digest)
                    if attempt == _TRIES - 1:
                        raise

    def _fetch_blob(self, path: str, blob: Descriptor) -> None:
        with reported(f"keep download of {blob.digest}"):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._receive(file, blob, _Unread(blob.size))
            digester = new_hash(blob.digest.algorithm)
            at = 0
            while chunk := os.pread(file, _BUFFER, at):
                digester.update(chunk)
                at += len(chunk)
        finally:
            os.close(file)
        actual = Digest.from_hash(digester)
        if actual != blob.digest:
            raise Spoiled(
                f"blob {blob.digest.short}", expected=str(blob.digest), actual=str(actual)
            )
        self._store.blobs.adopt_file(path, blob.digest, blob.size, blob.media_type)

    def is_here(self, layer: Descriptor, diff_id: Digest) -> bool:
        """Whether the content of a layer is in the store, in whichever form."""
        blobs = self._store.blobs
        if blobs.find_layer(diff_id) is not None:
            return True
        return bool(self._store.layers.has(diff_id))

    def _fetch(self, path: str, layer: Descriptor, diff_id: Digest) -> None:
        name = layer.digest.short
        with reported(f"keep download of {layer.digest}"):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            intake = Intake(self._store, file, layer, diff_id)
            intake.start()
            try:
                self._receive(file, layer, intake)
                self._report(Step("Download complete", name))
                intake.finish()
            except BaseException:
                intake.abandon()
                raise
        finally:
            os.close(file)
        self._store.blobs.adopt_file(path, layer.digest, layer.size, layer.media_type)
        if layer.digest != diff_id:
            self._store.blobs.set_diff_id(layer.digest, diff_id)

    def _receive(self, file: int, layer: Descriptor, intake: Intake | _Unread) -> None:
        """Append to the file what it lacks."""
        there = os.fstat(file).st_size
        if there > layer.size:
            os.ftruncate(file, 0)
            there = 0
        intake.arrival.reached(there)
        attempt = 0
        while there < layer.size:
            before = there
            try:
                with self._open(layer, there) as answer:
                    for reached in self._appended(file, layer, answer, there):
                        there = reached
                        intake.check()
                        intake.arrival.reached(there)
                        self._report(Step("Downloading", layer.digest.short, there, layer.size))
                if there < layer.size:
                    raise Unreachable(
                        f"get layer {layer.digest}: the answer ended after {there} of"
                        f" {layer.size} bytes"
                    )
            except Unreachable as error:
                if error.final:
                    raise
                there = os.fstat(file).st_size
                intake.arrival.reached(there)
                attempt = attempt + 1 if there == before else 1
                if attempt >= ATTEMPTS:
                    raise
                self._remote.wait(attempt - 1)

    def _appended(self, file: int, layer: Descriptor, answer: Answer, offset: int) -> Iterator[int]:
        """Write what is received; yields how many bytes are in the file."""
        skip = self._to_skip(layer, answer, offset)
        buffer = memoryview(bytearray(_BUFFER))
        there = offset
        while got := answer.readinto(buffer):
            data = buffer[:got]
            if skip:
                skipped = min(skip, got)
                skip -= skipped
                data = data[skipped:]
                if not data:
                    continue
            if there + len(data) > layer.size:
                raise Spoiled(
                    f"layer {layer.digest.short}",
                    expected=f"{layer.digest} of {layer.size} bytes",
                    actual="more than that",
                )
            try:
                while data:
                    written = os.pwrite(file, data, there)
                    data = data[written:]
                    there += written
            except OSError as error:
                raise store_error(f"keep download of {layer.digest}", error) from error
            yield there

    def _to_skip(self, layer: Descriptor, answer: Answer, offset: int) -> int:
        """How many bytes of an answer are here already. Raises DigestMismatch for a wrong size."""
        if answer.status == 206:
            # "bytes 100-199/200" (RFC 9110, 14.4)
            span = answer.header("Content-Range").removeprefix("bytes").strip()
            first = span.partition("-")[0]
            if first == str(offset):
                return 0
            raise Unreachable(f"get layer {layer.digest}: asked from {offset}, got {span[:60]!a}")
        if answer.length is not None and answer.length != layer.size:
            raise Spoiled(
                f"layer {layer.digest.short}",
                expected=f"{layer.digest} of {layer.size} bytes",
                actual=f"{answer.length} bytes",
            )
        return offset

    def _open(self, layer: Descriptor, offset: int) -> Answer:
        try:
            return self._repository.open_blob(layer.digest, offset)
        except NotFound:
            # What registries do not want to have says itself where it is.
            for url in layer.urls:
                try:
                    return self._remote.open_url(url, offset)
                except Cancelled:
                    raise
                except RegistryError as error:
                    last = error
            if layer.urls:
                raise last from None
            raise
