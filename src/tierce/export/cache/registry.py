"""Caches in registries: the manifest of a cache under a tag, or the cache inside an image."""

from __future__ import annotations

import os
import threading

from tierce.distribution.credentials import CredentialFile
from tierce.distribution.download import Downloader
from tierce.distribution.progress import untold
from tierce.distribution.pull import find_image
from tierce.distribution.remote import Remote
from tierce.distribution.settings import Settings
from tierce.distribution.upload import Uploader
from tierce.errors import BuildError, CredentialsError, InvalidValue, NotFound, RegistryError
from tierce.export.cache.document import CACHE_CONFIG, SIZE_LIMIT, CacheDocument
from tierce.export.cache.imports import ImportedCache
from tierce.export.cache.inline import decode_inline, of_image
from tierce.oci.manifest import Manifest, parse
from tierce.oci.media_types import is_manifest
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from threading import Event

    from tierce.distribution.repository import Repository
    from tierce.export.cache.directory import CacheWriter, Fill
    from tierce.export.cache.document import CachedLayer
    from tierce.oci.descriptor import Descriptor
    from tierce.oci.digest import Digest
    from tierce.oci.platform import Platform
    from tierce.solver.types import Step
    from tierce.store import Store


class CacheRegistries:
    """The registries of one build's caches; closed when the build is over."""

    def __init__(
        self, store: Store, environment: Mapping[str, str], cancelled: Event | None = None
    ) -> None:
        self._store = store
        environment = environment or os.environ
        self._remote = Remote(Settings.of(environment), CredentialFile.of(environment), cancelled)
        self._remote.__enter__()

    def close(self) -> None:
        self._remote.__exit__()

    def read(self, text: str, platform: Platform) -> ImportedCache:
        """The cache that a name means: its own manifest, or that of an image with a cache in it.

        Raises NotFound, InvalidValue, DigestMismatch, RegistryError, CredentialsError.
        """
        reference = Reference.parse(text).with_default_tag()
        repository = self._remote.repository(reference)
        found = repository.get_manifest(reference.digest or reference.tag or "")
        document = parse(found.raw, found.media_type)
        if isinstance(document, Manifest) and document.config.media_type == CACHE_CONFIG:
            config = document.config
            raw = repository.read_blob(config.digest, config.size, SIZE_LIMIT)
            cache = CacheDocument.parse(raw)
            for layer in cache.layers:
                if layer.blob >= len(document.layers):
                    raise InvalidValue(
                        f"parse cache: layer {layer.diff_id} has no blob {layer.blob}"
                    )
            blobs = {
                layer.diff_id: document.layers[layer.blob]
                for layer in cache.layers
                if layer.blob >= 0
            }
            return RemoteCache(text, cache, blobs, self._remote, repository)
        return self._in_image(text, reference, repository, platform)

    def _in_image(
        self, text: str, reference: Reference, repository: Repository, platform: Platform
    ) -> ImportedCache:
        image = find_image(repository, reference, platform)
        if not image.config.build_cache:
            raise NotFound(
                "cache",
                text,
                "the image has no cache in it",
                hint="one that is built with --cache-to type=inline has",
            )
        diff_ids = image.config.diff_ids
        cache = of_image(decode_inline(image.config.build_cache), diff_ids)
        blobs = dict(zip(diff_ids, image.document.layers))
        return RemoteCache(text, cache, blobs, self._remote, repository)

    def writer(self, text: str) -> RegistryWriter:
        """What writes a cache under a name. Raises RegistryError, CredentialsError."""
        reference = Reference.parse(text).with_default_tag()
        repository = self._remote.repository(reference)
        repository.pushes = True
        return RegistryWriter(self._store, repository)


class RemoteCache(ImportedCache):
    """A cache whose layers are fetched from a repository, when a result needs them."""

    def __init__(
        self,
        name: str,
        document: CacheDocument,
        blobs: Mapping[Digest, Descriptor],
        remote: Remote,
        repository: Repository,
    ) -> None:
        super().__init__(name, document)
        self._blobs = blobs
        self._remote = remote
        self._repository = repository

    def descriptor(self, layer: CachedLayer) -> Descriptor | None:
        return self._blobs.get(layer.diff_id)

    def take(self, store: Store, chain: Sequence[CachedLayer], step: Step) -> dict[Digest, int]:
        """See `ImportedCache`."""
        downloader = Downloader(store, self._remote, self._repository, untold)
        with store.leases.ensure("import cache"):
            for layer in chain:
                if store.layers.has(layer.diff_id):
                    continue
                blob = self.descriptor(layer)
                if blob is None:
                    raise NotFound("layer", str(layer.diff_id))
                step.status(str(blob.digest), 0, blob.size)
                downloader.fetch(blob, layer.diff_id)
                step.status(str(blob.digest), blob.size, blob.size, finished=True)
        return {}

    def copy(self, store: Store, blob: Descriptor, writer: CacheWriter | RegistryWriter) -> None:
        """See `ImportedCache`."""
        Downloader(store, self._remote, self._repository, untold).fetch_blob(blob)
        with store.blobs.open(blob.digest) as file:

            def fill(sink: object) -> None:
                while chunk := file.read(1 << 20):
                    sink(chunk)  # type: ignore[operator]

            writer.write(blob, fill)


class RegistryWriter:
    """Writes a cache into a repository, as `CacheWriter` does into a directory."""

    def __init__(self, store: Store, repository: Repository) -> None:
        self._store = store
        self._repository = repository
        self._uploader = Uploader(store, repository)
        self._manifests: dict[Digest, tuple[bytes, str]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> RegistryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def has(self, descriptor: Descriptor, *, verify: bool = False) -> bool:
        """Whether the registry has a blob; it has verified what it has."""
        try:
            return self._repository.has_blob(descriptor.digest, descriptor.size)
        except RegistryError as error:
            raise self._failed(error) from error

    def write(self, descriptor: Descriptor, fill: Fill) -> None:
        """Upload a blob. Raises BuildError, DigestMismatch."""
        blobs = self._store.blobs
        with self._store.leases.ensure("export cache"):
            if not blobs.has(descriptor.digest):
                with blobs.writer(expected=descriptor.digest) as writer:
                    fill(writer.write)
                    writer.commit()
            with blobs.open(descriptor.digest) as file:
                try:
                    self._uploader.send(
                        descriptor.digest, descriptor.size, file.fileno(), lambda sent: None
                    )
                except RegistryError as error:
                    raise self._failed(error) from error

    def write_bytes(self, descriptor: Descriptor, content: bytes) -> None:
        """Upload a small blob, unless it is there; a manifest waits for its tag."""
        if is_manifest(descriptor.media_type):
            self._manifests[descriptor.digest] = content, descriptor.media_type
        elif not self.has(descriptor):
            self.write(descriptor, lambda sink: sink(content))

    def tag(self, tag: str, manifest: Descriptor) -> None:
        """Let a tag name a manifest."""
        try:
            self._repository.put_manifest(tag, *self._manifests[manifest.digest])
        except RegistryError as error:
            raise self._failed(error) from error

    def _failed(self, error: RegistryError | CredentialsError) -> BuildError:
        return BuildError(
            f"export cache to {self._repository.name}: {error.message}", hint=error.hint
        )
