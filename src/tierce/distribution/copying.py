"""Images from one repository to another, byte for byte, with all of their platforms."""

from __future__ import annotations

from tierce.distribution.download import Downloader
from tierce.distribution.progress import Step, untold
from tierce.distribution.tasks import run_all
from tierce.distribution.upload import Uploader
from tierce.errors import AccessDenied, InvalidValue
from tierce.oci.manifest import Index, Manifest, parse
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tierce.distribution.progress import Report
    from tierce.distribution.remote import Remote
    from tierce.distribution.repository import FoundManifest, Repository
    from tierce.oci.descriptor import Descriptor
    from tierce.oci.digest import Digest
    from tierce.store import Store

_AT_ONCE = 4
_DEPTH_LIMIT = 4


class Copied(Value):
    """What is in the target now; `size` is that of its manifest or index in bytes."""

    digest: Digest
    size: int


def copy_image(
    store: Store,
    remote: Remote,
    source: Repository,
    target: Repository,
    name: str | Digest,
    new_name: str | None = None,
    report: Report = untold,
) -> Copied:
    """Copy what has a tag or digest in one repository into another one.

    It gets the tag `new_name` there, or none. Indexes are copied with all that they list. Nothing
    is unpacked: blobs that the target has not are mounted where both are in one registry, or else
    fetched into the store, where nothing keeps them once they are sent.
    Raises NotFound, AccessDenied, RegistryError, DigestMismatch, StoreError, Cancelled; copying
    again goes on where it broke off.
    """
    with store.leases.take("copy image"):
        target.pushes = True
        copy = _Copy(store, remote, source, target, report)
        found = source.get_manifest(name)
        copy.copy(found, new_name or str(found.digest))
        return Copied(found.digest, len(found.raw))


class _Copy:
    def __init__(
        self,
        store: Store,
        remote: Remote,
        source: Repository,
        target: Repository,
        report: Report,
    ) -> None:
        self._store = store
        self._remote = remote
        self._source = source
        self._target = target
        self._report = report
        self._downloader = Downloader(store, remote, source, untold)
        self._uploader = Uploader(store, target)

    def copy(self, found: FoundManifest, name: str, depth: int = 0) -> None:
        document = parse(found.raw, found.media_type)
        if isinstance(document, Index):
            if depth == _DEPTH_LIMIT:
                raise InvalidValue(f"copy {found.digest}: indexes are nested too deeply")
            for each in document.manifests:
                self.copy(self._source.get_manifest(each.digest), str(each.digest), depth + 1)
        else:
            self._copy_blobs(document)
        self._target.put_manifest(name, found.raw, document.media_type)

    def _copy_blobs(self, manifest: Manifest) -> None:
        run_all([self._task(each) for each in _blobs(manifest)], _AT_ONCE, self._remote.interrupt)

    def _task(self, blob: Descriptor) -> Callable[[], None]:
        return lambda: self._copy_blob(blob)

    def _copy_blob(self, blob: Descriptor) -> None:
        name = blob.digest.short
        if self._target.has_blob(blob.digest, blob.size):
            self._report(Step("Layer already exists", name))
            return
        if self._is_mounted(blob):
            self._report(Step(f"Mounted from {self._source.path}", name))
            return
        self._downloader.fetch_blob(blob)
        with self._store.blobs.open(blob.digest) as file:
            self._uploader.send(
                blob.digest,
                blob.size,
                file.fileno(),
                lambda sent: self._report(Step("Copying", name, sent, blob.size)),
            )
        self._report(Step("Copied", name))

    def _is_mounted(self, blob: Descriptor) -> bool:
        source, target = self._source.registry, self._target.registry
        if source.url.origin.key != target.url.origin.key:
            return False
        try:
            return self._target.start_upload(blob.digest, self._source.path).there
        except AccessDenied:
            return False


def _blobs(manifest: Manifest) -> Iterator[Descriptor]:
    """What a manifest refers to, each once; layers that registries do not want stay away."""
    seen = set()
    for blob in (*manifest.layers, manifest.config):
        if blob.digest not in seen and not blob.urls:
            seen.add(blob.digest)
            yield blob
