"""Makes all outputs of a build, the images of the store last, so that names move in the end."""

from __future__ import annotations

import os
from contextlib import contextmanager

from tierce.archive.filesystem import export_filesystem
from tierce.archive.layout import IMAGE_NAME
from tierce.archive.names import INDEX
from tierce.archive.output import DirectoryOutput, TarOutput, locked_directory, replaced_file
from tierce.archive.save import SavedImage, Target, write_archive
from tierce.errors import ArchiveError, BuildError, InvalidValue
from tierce.export.image import Exported, finish_image
from tierce.export.layers import layer_descriptors
from tierce.export.local import write_directory
from tierce.export.outputs import (
    GZIP,
    MANIFEST,
    MANIFEST_DESCRIPTOR,
    ArchiveOutput,
    Compression,
    ImageForm,
    ImageOutput,
    LocalOutput,
    TarballOutput,
)
from tierce.export.squash import squash
from tierce.oci.descriptor import Descriptor
from tierce.oci.manifest import SIZE_LIMIT, Index, Manifest, parse
from tierce.oci.media_types import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST
from tierce.oci.reference import Reference
from tierce.solver.reporting import reported_step

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

    from tierce.export.image import Built, Finished, Report
    from tierce.export.outputs import Destination, Epoch, Output
    from tierce.export.pushing import Pusher
    from tierce.oci.digest import Digest
    from tierce.solver.progress import Listener
    from tierce.store import Store

CREATED = "org.opencontainers.image.created"
_FILE_MODE = 0o666  # of which the umask is taken off, as from what any program writes


def deliver(
    store: Store,
    built: Built,
    outputs: Sequence[Output],
    tags: Sequence[Reference],
    listener: Listener,
    *,
    epoch: int | None = None,
    squashed: bool = False,
    pusher: Pusher | None = None,
) -> tuple[Exported, ...]:
    """Make what was asked for, of one result; without outputs, an image in the store.

    The names of images are `tags`, or else their own. With `squashed`, images have one layer upon
    those of the base. `epoch` is SOURCE_DATE_EPOCH in seconds, unless an output has one of its
    own. `pusher` takes images to registries, where an output asks for that. What became of the
    outputs is told in their order. Raises ArchiveError, BuildError, LayerError, StoreError; a file
    or a name then is as it was.
    """
    delivery = _Delivery(store, built, tags, listener, epoch, squashed=squashed, pusher=pusher)
    wanted = list(outputs) or [ImageOutput()]
    done: dict[int, Exported] = {}
    for place, output in sorted(
        enumerate(wanted), key=lambda each: isinstance(each[1], ImageOutput)
    ):
        done[place] = delivery.make(output)
    return tuple(done[place] for place in range(len(wanted)))


class _Delivery:
    def __init__(
        self,
        store: Store,
        built: Built,
        tags: Sequence[Reference],
        listener: Listener,
        epoch: int | None,
        *,
        squashed: bool,
        pusher: Pusher | None,
    ) -> None:
        self._store = store
        self._built = built
        self._tags = tags
        self._listener = listener
        self._epoch = epoch
        self._squashed = squashed
        self._pusher = pusher
        self._finished: dict[tuple[int | None, bool], Finished] = {}

    def make(self, output: Output) -> Exported:
        if isinstance(output, ImageOutput):
            with reported_step("exporting to image", self._listener) as step:
                return self._image(output, step.part)
        if isinstance(output, ArchiveOutput):
            title = f"exporting to {output.format} image format"
            with reported_step(title, self._listener) as step:
                return self._archive(output, step.part)
        if isinstance(output, TarballOutput):
            with reported_step("exporting to client tarball", self._listener) as step:
                return self._tarball(output, step.part)
        if isinstance(output, LocalOutput):
            with reported_step("exporting to client directory", self._listener) as step:
                return self._directory(output, step.part)
        return Exported(output)

    # Images

    def _image(self, output: ImageOutput, report: Report) -> Exported:
        plain = output.compression == Compression() and not output.push
        image = self._saved(output, report, plain=plain)
        names = self._names(output)
        descriptor = self._described(output, image)
        if not output.store:
            self._push(output, image, names, report)
            return self._exported(output, image, descriptor, names)
        with report(f"writing image {image.manifest.config.digest}"):
            self._store.images.put(image.raw, image.raw_config)
        if output.unpack and image.diff_ids:
            with report("unpacking image"):
                top = self._store.snapshots.for_layers(image.diff_ids)
                assert top is not None
                self._store.snapshots.unpack(top.id)
        names = [*names, *_further_names(output, names, descriptor.digest)]
        for name in names:
            with report(f"naming to {name}"):
                self._store.images.tag(name, descriptor.digest)
        self._push(output, image, self._names(output), report)
        return self._exported(output, image, descriptor, names)

    def _push(
        self, output: ImageOutput, image: SavedImage, names: Sequence[Reference], report: Report
    ) -> None:
        """Last of all: what is wrong with a registry leaves the image in the store."""
        if not output.push:
            return
        if not names:
            raise BuildError(
                "push image: tag is needed when pushing to registry", hint="name it: -t REGISTRY/…"
            )
        assert self._pusher is not None
        for name in names:
            self._pusher.push(name, image, by_digest=output.push_by_digest, report=report)
            if output.store:
                digest = image.descriptor.digest
                self._store.images.tag(name.replace(tag=None, digest=digest), digest)

    def _archive(self, output: ArchiveOutput, report: Report) -> Exported:
        image = self._saved(output, report, plain=False)
        names = tuple(self._names(output))
        descriptor = self._described(output, image)
        created = self._finish(output).config.created
        if created and not descriptor.annotation(CREATED):
            annotations = (*descriptor.annotations, (CREATED, _whole_seconds(created)))
            descriptor = descriptor.replace(annotations=annotations)
        for part in (f"manifest {descriptor.digest}", f"config {image.manifest.config.digest}"):
            with report(f"exporting {part}"):
                pass  # they are written with the rest, but shown as BuildKit does
        target = Target(names, descriptor, (), (image,))
        docker = output.format == "docker"
        with report("sending tarball" if output.tar else "copying layout"):
            if output.tar:
                with _opened(output.dest) as stream:
                    write_archive(self._store, [target], TarOutput(stream), docker=docker)
            else:
                assert isinstance(output.dest, str)
                directory = DirectoryOutput(output.dest)
                with locked_directory(output.dest):
                    others = _other_images(output.dest, target)
                    write_archive(self._store, [target], directory, docker=docker, others=others)
        return self._exported(output, image, descriptor, names)

    def _exported(
        self,
        output: ImageOutput | ArchiveOutput,
        image: SavedImage,
        descriptor: Descriptor,
        names: Sequence[Reference],
    ) -> Exported:
        path = output.dest if isinstance(output, ArchiveOutput) else ""
        return Exported(
            output,
            image.manifest.config.digest,
            descriptor,
            tuple(str(name) for name in names),
            path if isinstance(path, str) else "",
        )

    def _saved(self, form: ImageForm, report: Report, *, plain: bool) -> SavedImage:
        """The image in the form of an output, all of its layers in the store."""
        oci = form.oci_media_types
        platform = self._built.config.platform.normalized()
        for each in form.annotations:
            if each.platform is not None and not each.platform.matches(platform):
                raise BuildError(
                    f"annotate image: it is for {platform}, not for {each.platform}",
                    hint="leave out the platform in square brackets",
                )
        compression = form.compression
        if not plain and not compression.kind:
            compression = compression.replace(kind=GZIP)
        with report("exporting layers"):
            finished = self._finish(form)
            layers = layer_descriptors(
                self._store,
                finished.layers,
                compression,
                came={} if plain else self._came(),
                oci=oci,
            )
        manifest = Manifest(
            OCI_MANIFEST if oci else DOCKER_MANIFEST,
            Descriptor(
                OCI_CONFIG if oci else DOCKER_CONFIG, finished.image_id, len(finished.raw_config)
            ),
            layers,
            _annotations(form, MANIFEST),
        )
        raw = manifest.encode()
        return SavedImage(platform, manifest, raw, finished.raw_config, finished.config.diff_ids)

    def _finish(self, form: ImageForm) -> Finished:
        key = (self._epoch_of(form.epoch), form.rewrite_timestamp is not False)
        if key not in self._finished:
            epoch, rewrite = key
            finished = finish_image(self._store, self._built, epoch=epoch, rewrite=rewrite)
            if self._squashed:
                finished = squash(self._store, self._built, finished, epoch=epoch)
            self._finished[key] = finished
        return self._finished[key]

    def _came(self) -> Mapping[Digest, Descriptor]:
        """The layers of the base image by diff id, as its manifest lists them."""
        if self._built.base is None:
            return {}
        base = self._store.images.manifest(self._store.images.get(self._built.base))
        return dict(zip(self._built.config.diff_ids, base.layers))

    def _described(self, form: ImageForm, image: SavedImage) -> Descriptor:
        return image.descriptor.replace(
            platform=image.platform, annotations=_annotations(form, MANIFEST_DESCRIPTOR)
        )

    def _names(self, form: ImageForm) -> list[Reference]:
        if self._tags:
            return list(self._tags)
        return [Reference.parse(name).with_default_tag() for name in form.names]

    # Files

    def _tarball(self, output: TarballOutput, report: Report) -> Exported:
        with report("sending tarball"), _opened(output.dest) as stream:
            view = self._store.snapshots.view(self._built.snapshot)
            export_filesystem(view, stream, epoch=self._epoch_of(output.epoch))
        return Exported(output, path=output.dest if isinstance(output.dest, str) else "")

    def _directory(self, output: LocalOutput, report: Report) -> Exported:
        below = ""
        if output.platform_split:
            below = str(self._built.config.platform.normalized()).replace("/", "_")
        with report(f"copying files {below}".rstrip()):
            write_directory(
                self._store.snapshots.view(self._built.snapshot),
                output.dest,
                below=below,
                epoch=self._epoch_of(output.epoch),
                delete=output.delete,
            )
        return Exported(output, path=output.dest)

    def _epoch_of(self, own: Epoch | None) -> int | None:
        return self._epoch if own is None else own.seconds


def _annotations(form: ImageForm, place: str) -> tuple[tuple[str, str], ...]:
    found = {each.key: each.value for each in form.annotations if each.place == place}
    return tuple(sorted(found.items()))


def _further_names(
    output: ImageOutput, names: Sequence[Reference], digest: Digest
) -> Iterator[Reference]:
    """Names by digest, for those who want images to be found whatever becomes of their tags."""
    prefix = output.dangling_name_prefix
    if prefix and not (names and output.dangling_name_empty_only):
        yield Reference.parse(f"{prefix}@{digest}")
    if output.name_canonical:
        for name in names:
            yield name.replace(tag=None, digest=digest)


@contextmanager
def _opened(dest: Destination) -> Iterator[IO[bytes]]:
    """A stream that was given, or a file that appears when it is complete."""
    if not isinstance(dest, str):
        yield dest
        return
    with replaced_file(dest, _FILE_MODE) as file:
        yield file


def _other_images(directory: str, target: Target) -> list[Descriptor]:
    """What a layout that is there already lists, without what the target takes the place of."""
    path = os.path.join(directory, INDEX)
    try:
        with open(path, "rb") as file:
            index = parse(file.read(SIZE_LIMIT + 1))
    except FileNotFoundError:
        return []
    except (InvalidValue, OSError) as error:
        raise ArchiveError(f"read layout {directory}: {error}") from error
    if not isinstance(index, Index):
        raise ArchiveError(f"read layout {directory}: its {INDEX} is no index")
    names = {str(name) for name in target.names}
    return [
        each
        for each in index.manifests
        if each.annotation(IMAGE_NAME) not in names
        and not (each.digest == target.descriptor.digest and not each.annotation(IMAGE_NAME))
    ]


def _whole_seconds(created: str) -> str:
    """An RFC 3339 time in UTC without its fraction, as the annotation is written."""
    return f"{created[:19]}Z" if created.endswith("Z") else created
