"""Pull images: manifests first, layers several at once, names last."""

from __future__ import annotations

from tierce.distribution.download import Downloader
from tierce.distribution.packing import shown_platforms
from tierce.distribution.progress import Step, untold
from tierce.distribution.tasks import run_all
from tierce.errors import (
    AccessDenied,
    DigestMismatch,
    InvalidValue,
    NotFound,
    RegistryError,
    TierceError,
)
from tierce.oci.config import SIZE_LIMIT as CONFIG_LIMIT
from tierce.oci.config import ImageConfig
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, Manifest, parse
from tierce.oci.platform import Platform, best_match
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.distribution.progress import Report
    from tierce.distribution.remote import Remote
    from tierce.distribution.repository import FoundManifest, Repository
    from tierce.oci.descriptor import Descriptor
    from tierce.oci.reference import Reference
    from tierce.store import Store
    from tierce.store.images import Image

DOWNLOADS = 3
"""Layers at once, as docker."""

_DEPTH_LIMIT = 4


class Pulled(Value):
    """An image that is here now; `is_new`: the name did not mean it before.

    `digest` is what the registry has under the name: of a manifest, or of an index.
    """

    image: Image
    digest: Digest
    is_new: bool


class Found(Value):
    """An image in a registry: its manifest and config and, outermost first, the indexes above."""

    manifest: FoundManifest
    document: Manifest
    raw_config: bytes
    config: ImageConfig
    indexes: tuple[FoundManifest, ...] = ()

    @property
    def digest(self) -> Digest:
        """Of what the name points to."""
        return self.indexes[0].digest if self.indexes else self.manifest.digest


def pull_image(
    store: Store,
    remote: Remote,
    reference: Reference,
    *,
    platform: Platform | None = None,
    report: Report = untold,
) -> Pulled:
    """Pull what a name, which has a tag or a digest, means in its registry.

    Of an image for several platforms, that for `platform` (by default this machine) is taken.
    Manifests and configs are kept byte for byte, and so are the layers; these are in the store
    as tars, too, ready to be mounted. What is wrong is discarded, and leaves the name as it was.
    Raises NotFound, AccessDenied, RateLimited, RegistryError, DigestMismatch, LayerError,
    InvalidValue, StoreError, Cancelled; pulling again goes on where it broke off.
    """
    with store.leases.take("pull image"):
        if remote.is_offline and (here := _complete(store, reference, platform)) is not None:
            return Pulled(here, here.index or here.manifest, is_new=False)
        failure: TierceError | None = None
        for repository in remote.sources(reference):
            if failure is not None:
                remote.resume()
            try:
                return _Pull(store, remote, repository, reference, platform, report).pull()
            except (RegistryError, NotFound, DigestMismatch) as error:
                failure = error  # a mirror may be down, or lack it
        assert failure is not None
        if isinstance(failure, AccessDenied):
            raise _denied(reference, failure) from failure
        raise failure


class _Pull:
    def __init__(
        self,
        store: Store,
        remote: Remote,
        repository: Repository,
        reference: Reference,
        platform: Platform | None,
        report: Report,
    ) -> None:
        self._store = store
        self._remote = remote
        self._repository = repository
        self._reference = reference
        self._platform = platform
        self._report = report

    def pull(self) -> Pulled:
        reference = self._reference
        name = reference.tag if reference.digest is None else str(reference.digest)
        assert name is not None
        before = _complete(self._store, self._reference, self._platform)
        if before is not None and self._is_current(before):
            self._report(Step(f"Pulling from {reference.path}", name))
            return Pulled(before, before.index or before.manifest, is_new=False)
        found = find_image(self._repository, reference, self._platform, self._known_blob)
        self._report(Step(f"Pulling from {reference.path}", name))
        self._fetch(found)
        image = self._add(found)
        is_new = before is None or before.id != image.id
        return Pulled(image, found.digest, is_new)

    def _is_current(self, image: Image) -> bool:
        """Whether the registry has the same; asked without having it count as a pull."""
        digest = image.index or image.manifest
        if self._reference.digest is not None:
            return bool(self._reference.digest == digest)
        assert self._reference.tag is not None
        try:
            return self._repository.head_manifest(self._reference.tag) == digest
        except (NotFound, RegistryError) as error:
            if isinstance(error, RegistryError) and error.status in {400, 404, 405}:
                return False  # it does not answer HEAD; GET says what is wrong, if anything is
            raise

    def _known_blob(self, digest: Digest) -> bytes | None:
        return self._store.blobs.read(digest) if self._store.blobs.has(digest) else None

    def _fetch(self, found: Found) -> None:
        downloader = Downloader(self._store, self._remote, self._repository, self._report)
        layers = dict.fromkeys(zip(found.document.layers, found.config.diff_ids))

        def task(layer: Descriptor, diff_id: Digest) -> Callable[[], None]:
            return lambda: downloader.fetch(layer, diff_id)

        run_all(
            [task(layer, diff_id) for layer, diff_id in layers],
            DOWNLOADS,
            self._remote.interrupt,
        )

    def _add(self, found: Found) -> Image:
        """Names move last, when all is here."""
        images = self._store.images
        if found.config.diff_ids:
            self._store.snapshots.for_layers(found.config.diff_ids)
        with self._store.database.transaction():
            image = images.put(
                found.manifest.raw, found.raw_config, media_type=found.document.media_type
            )
            for each in found.indexes:
                images.put_index(each.raw, each.media_type)
            target = found.digest
            bare = self._reference.replace(tag=None, digest=target)
            images.tag(bare, target)
            if self._reference.tag is not None and self._reference.digest is None:
                images.tag(self._reference, target)
        return image.replace(index=target) if found.indexes else image


def _complete(store: Store, reference: Reference, platform: Platform | None) -> Image | None:
    """What the name means in the store, if all of it is here."""
    name = store.images.find_name(str(reference))
    if name is None:
        return None
    image = store.images.find(str(reference), platform)
    if image is None:
        return None
    # Of an index, the store shows what suits best of what is here: that need not be the best.
    if image.index is not None and not (platform or Platform.host()).matches(image.platform):
        return None
    try:
        config = store.images.config(image)
        store.images.protect(image)
    except (NotFound, InvalidValue):
        return None
    blobs = store.blobs
    if all(
        blobs.find_layer(each) is not None or store.layers.has(each) for each in config.diff_ids
    ):
        return image
    return None


def find_image(
    repository: Repository,
    reference: Reference,
    platform: Platform | None,
    known_blob: Callable[[Digest], bytes | None] = lambda digest: None,
) -> Found:
    """Find an image in a repository, without its layers. Raises as `pull_image`."""
    name: str | Digest = reference.digest or reference.tag or ""
    manifest = repository.get_manifest(name)
    indexes: list[FoundManifest] = []
    for _ in range(_DEPTH_LIMIT):
        document = _parsed(repository, manifest)
        if isinstance(document, Manifest):
            return _described(
                repository, reference, platform, manifest, document, tuple(indexes), known_blob
            )
        indexes.append(manifest.replace(media_type=document.media_type))
        chosen = _chosen(reference, document, platform)
        manifest = repository.get_manifest(chosen.digest)
        if len(manifest.raw) != chosen.size:
            raise InvalidValue(
                f"pull {reference.familiar}: manifest {chosen.digest} has {len(manifest.raw)}"
                f" bytes, and not {chosen.size}"
            )
        manifest = manifest.replace(media_type=chosen.media_type or manifest.media_type)
    raise InvalidValue(f"pull {reference.familiar}: indexes are nested too deeply")


def _parsed(repository: Repository, manifest: FoundManifest) -> Manifest | Index:
    try:
        return parse(manifest.raw, manifest.media_type)
    except InvalidValue as error:
        raise InvalidValue(
            f"read manifest {manifest.digest} of {repository.name}: {error.message}",
            hint=error.hint,
        ) from error


def _chosen(reference: Reference, index: Index, platform: Platform | None) -> Descriptor:
    """The manifest of an index that suits a platform best. Raises NotFound."""
    # Attestations look like images, but are for no platform that there is.
    listed = [
        each for each in index.manifests if each.platform is None or each.platform.os != "unknown"
    ]
    wanted = platform or Platform.host()
    best = best_match(wanted, [each.platform for each in listed])
    if best is None:
        there = shown_platforms([each.platform for each in listed if each.platform])
        raise NotFound(
            "manifest",
            reference.familiar,
            f"pull {reference.familiar}: no matching manifest for {wanted} in the manifest list"
            " entries",
            hint=f"it is there for: {there}",
        )
    return listed[best]


def _described(
    repository: Repository,
    reference: Reference,
    platform: Platform | None,
    manifest: FoundManifest,
    document: Manifest,
    indexes: tuple[FoundManifest, ...],
    known_blob: Callable[[Digest], bytes | None],
) -> Found:
    shown = reference.familiar
    if not document.is_image:
        kind = document.artifact_type or document.config.media_type
        raise InvalidValue(
            f"pull {shown}: it is no image, but an artifact of type {kind[:100]!a}",
            hint="another tool has put it there; tierce takes images",
        )
    config = document.config
    raw = config.data or known_blob(config.digest)
    if raw is None:
        raw = repository.read_blob(config.digest, config.size, CONFIG_LIMIT)
    parsed = ImageConfig.parse(raw)
    if len(document.layers) != len(parsed.diff_ids):
        raise InvalidValue(
            f"pull {shown}: {len(document.layers)} layers in the manifest,"
            f" {len(parsed.diff_ids)} in the config"
        )
    if platform is not None and not indexes and not platform.matches(parsed.platform):
        raise NotFound(
            "manifest",
            shown,
            f"pull {shown}: image was found but its platform ({parsed.platform}) does not match"
            f" the specified platform ({platform})",
            hint=f"it is there for: {parsed.platform}",
        )
    return Found(manifest, document, raw, parsed, indexes)


def _denied(reference: Reference, error: AccessDenied) -> AccessDenied:
    """Registries do not tell strangers what there is: as docker says."""
    return AccessDenied(
        f"pull access denied for {reference.familiar_name}, repository does not exist or may"
        f" require 'tierce login': {error.message}",
        status=error.status,
        code=error.code,
        hint=error.hint,
    )
