"""Push images: layers compressed, found, mounted or uploaded, several at once; manifests last."""

from __future__ import annotations

import os
import threading

from tierce.distribution.packing import Layer, Packed, Target, recompressed, target_of
from tierce.distribution.progress import Step, untold
from tierce.distribution.tasks import run_all
from tierce.distribution.upload import Uploader
from tierce.errors import AccessDenied, InvalidValue, NotFound, RegistryError
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, parse
from tierce.store.compressed import compressed_blob
from tierce.store.origins import repositories_with
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.distribution.progress import Report
    from tierce.distribution.remote import Remote
    from tierce.distribution.repository import Repository
    from tierce.oci.descriptor import Descriptor
    from tierce.oci.platform import Platform
    from tierce.oci.reference import Reference
    from tierce.store import Store

UPLOADS = 5
"""Layers at once, as docker."""

_COMPRESSORS = 2
"""Of these, layers that are compressed at once: each keeps the processors busy by itself."""

_MOUNTS_AT_MOST = 3


class Pushed(Value):
    """What the registry has now: under which tag (or digest), and the size of that manifest.

    `instead` is the digest of the index in whose place one image was pushed, because its others
    are not here.
    """

    name: str
    digest: Digest
    size: int
    instead: Digest | None = None


def push_image(
    store: Store,
    remote: Remote,
    reference: Reference,
    *,
    platform: Platform | None = None,
    report: Report = untold,
) -> Pushed:
    """Push what a name, which has a tag or a digest, points to.

    An image that no registry knows has its layers compressed; the name then points to that form.
    Everything else is pushed byte for byte. Raises NotFound, AccessDenied, RegistryError,
    StoreError, Cancelled; pushing again goes on where it broke off.
    """
    with store.leases.take("push image"):
        try:
            digest = store.images.target(reference)
        except NotFound as error:
            raise NotFound(
                "image",
                reference.familiar,
                f"An image does not exist locally with the tag: {reference.familiar_name}",
                hint="tierce image ls shows those that do",
            ) from error
        try:
            target = target_of(store, digest, platform)
        except NotFound as error:
            raise NotFound(
                "image", reference.familiar, f"push {reference.familiar}: {error}"
            ) from None
        repository = remote.repository(reference)
        repository.pushes = True
        push = _Push(store, remote, repository, reference, report)
        return push.push(target)


def push_packed(
    store: Store,
    remote: Remote,
    reference: Reference,
    image: Packed,
    report: Report = untold,
) -> Pushed:
    """Push an image that need have no name here; under its digest, if `reference` has no tag.

    Its layers are in the store and are pushed as they are. Raises as `push_image`.
    """
    repository = remote.repository(reference)
    repository.pushes = True
    if reference.tag is None:
        reference = reference.replace(digest=image.digest)
    push = _Push(store, remote, repository, reference, report)
    return push.push(Target(image.digest, (image,)), remember=False)


class _Push:
    def __init__(
        self,
        store: Store,
        remote: Remote,
        repository: Repository,
        reference: Reference,
        report: Report,
    ) -> None:
        self._store = store
        self._remote = remote
        self._repository = repository
        self._reference = reference
        self._report = report
        self._uploader = Uploader(store, repository)
        self._compressing = threading.BoundedSemaphore(_COMPRESSORS)

    def push(self, target: Target, *, remember: bool = True) -> Pushed:
        layers = list(dict.fromkeys(each for image in target.images for each in _topmost(image)))
        for layer in layers:
            self._report(Step("Preparing", layer.short))
        self._check_reachable()
        descriptors = self._push_blobs(target, layers)
        images = [image.with_layers(descriptors) for image in target.images]
        if target.index and not self._is_impossible(target):
            done = self._put_index(target, images)
        else:
            by_tag = self._reference.tag is not None
            name = self._reference.tag or str(images[0].digest)
            done = self._put(images[0], name if by_tag else str(images[0].digest))
            if target.index:
                done = done.replace(instead=target.digest)
            if remember:
                self._remember(images[:1])
                self._name(target.digest, images[0].digest, move=not target.index)
        self._report(Step(f"digest: {done.digest} size: {done.size}", done.name))
        return done

    def _put_index(self, target: Target, images: Sequence[Packed]) -> Pushed:
        """The index, as it is or with the forms that its images have become."""
        raw = target.index
        became = {old.digest: new for old, new in zip(target.images, images)}
        if any(old != new.digest for old, new in became.items()):
            index = parse(raw, target.index_type)
            assert isinstance(index, Index)
            raw = index.replace(
                manifests=tuple(
                    each.replace(
                        digest=became[each.digest].digest, size=len(became[each.digest].raw)
                    )
                    if each.digest in became
                    else each
                    for each in index.manifests
                )
            ).encode()
        for image in images:
            self._put(image, str(image.digest))
        digest = Digest.of(raw, target.digest.algorithm)
        # Without a tag, it is what the digest says now that names it.
        name = self._reference.tag or str(digest)
        self._repository.put_manifest(name, raw, target.index_type)
        self._remember(images)
        self._store.images.put_index(raw, target.index_type)
        self._name(target.digest, digest, move=True)
        return Pushed(name, digest, len(raw))

    def _check_reachable(self) -> None:
        """Before layers are compressed for nothing."""
        try:
            _ = self._repository.registry.url
        except AccessDenied as error:
            raise self._denied(error) from error

    def _denied(self, error: AccessDenied) -> AccessDenied:
        return AccessDenied(
            f"push {self._reference.familiar}: access denied: {error.message}",
            status=error.status,
            code=error.code,
            hint=error.hint,
        )

    def _push_blobs(self, target: Target, layers: list[Layer]) -> dict[Layer, Descriptor]:
        """Everything that the manifests refer to; what the layers have become."""
        descriptors: dict[Layer, Descriptor] = {}
        configs = {image.manifest.config.digest: image for image in target.images}

        def layer_task(layer: Layer) -> Callable[[], None]:
            def push() -> None:
                descriptors[layer] = self._push_layer(layer)

            return push

        def config_task(image: Packed) -> Callable[[], None]:
            return lambda: self._push_config(image)

        tasks = [layer_task(layer) for layer in layers if not layer.is_foreign]
        tasks += [config_task(image) for image in configs.values()]
        try:
            run_all(tasks, UPLOADS, self._remote.interrupt)
        except AccessDenied as error:
            raise self._denied(error) from error
        return descriptors

    def _push_layer(self, layer: Layer) -> Descriptor:
        descriptor = self._ready(layer)
        if self._repository.has_blob(descriptor.digest, descriptor.size):
            self._report(Step("Layer already exists", layer.short))
            return descriptor
        mounted = self._mount(descriptor.digest)
        if mounted is not None:
            self._report(Step(f"Mounted from {mounted}", layer.short))
            return descriptor
        if not self._store.blobs.has(descriptor.digest):
            # What the registry it came from compressed is lost, but not the layer.
            descriptor = self._compressed(layer)
            if self._repository.has_blob(descriptor.digest, descriptor.size):
                self._report(Step("Layer already exists", layer.short))
                return descriptor
        self._upload(layer.short, descriptor)
        self._report(Step("Pushed", layer.short))
        return descriptor

    def _ready(self, layer: Layer) -> Descriptor:
        return self._compressed(layer) if layer.compress else layer.descriptor

    def _compressed(self, layer: Layer) -> Descriptor:
        assert layer.diff_id is not None
        with self._compressing:
            self._remote.check()
            digest = compressed_blob(self._store, layer.diff_id)
        return recompressed(layer.descriptor, digest, self._store.blobs.size(digest))

    def _mount(self, digest: Digest) -> str | None:
        """Have the registry take a blob from a repository of its own; from which it was."""
        own = self._repository.path
        known = repositories_with(self._store.database, digest, self._reference.domain)
        for source in [path for path in known if path != own][:_MOUNTS_AT_MOST]:
            try:
                upload = self._repository.start_upload(digest, source)
            except AccessDenied:
                continue  # what may be pushed here need not be pulled there
            if upload.there:
                return source
        return None

    def _upload(self, name: str, descriptor: Descriptor) -> None:
        with self._store.blobs.open(descriptor.digest) as file:
            total = descriptor.size
            if os.fstat(file.fileno()).st_size != total:
                raise InvalidValue(
                    f"push {descriptor.digest}: it has not the size that its manifest says"
                )
            there = 0

            def sent(size: int) -> None:
                nonlocal there
                there = size
                self._report(Step("Pushing", name, min(there, total), total))

            self._uploader.send(descriptor.digest, total, file.fileno(), sent)

    def _push_config(self, image: Packed) -> None:
        config = image.manifest.config
        if self._repository.has_blob(config.digest, config.size):
            return
        with self._store.blobs.open(config.digest) as file:
            self._uploader.send(config.digest, config.size, file.fileno(), lambda size: None)

    def _put(self, image: Packed, name: str) -> Pushed:
        said = self._repository.put_manifest(name, image.raw, image.manifest.media_type)
        if said is not None and said.algorithm == image.digest.algorithm and said != image.digest:
            raise RegistryError(
                f"push {self._reference.familiar}: the registry has {said}, not {image.digest}"
            )
        return Pushed(name, image.digest, len(image.raw))

    def _is_impossible(self, target: Target) -> bool:
        """Whether the index cannot be pushed: a part of it is neither here nor there."""
        for descriptor in target.missing:
            try:
                self._repository.head_manifest(str(descriptor.digest))
            except NotFound:
                return True
        return False

    def _remember(self, images: Sequence[Packed]) -> None:
        """Keep images in the forms that the registry has."""
        store = self._store
        for image in images:
            store.images.put(image.raw, image.raw_config, media_type=image.manifest.media_type)
            for layer, descriptor in zip(image.layers, image.manifest.layers):
                if layer.diff_id is not None and store.blobs.has(descriptor.digest):
                    store.blobs.set_diff_id(descriptor.digest, layer.diff_id)

    def _name(self, before: Digest, digest: Digest, *, move: bool) -> None:
        """The name means what the registry has under it, also by its digest."""
        images = self._store.images
        with self._store.database.transaction():
            if move and self._reference.tag and digest != before:
                name = images.find_name(str(self._reference))
                # Unless somebody has given it to another image meanwhile.
                if name is not None and images.target(name) == before:
                    images.tag(self._reference, digest)
            images.tag(self._reference.replace(tag=None, digest=digest), digest)


def _topmost(image: Packed) -> tuple[Layer, ...]:
    """The layers in docker's order."""
    return tuple(reversed(image.layers))
