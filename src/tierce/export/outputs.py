"""What a build is to result in, as typed values: `-o` of the command line, `outputs` of a request.

Each says what is made and where it goes; what an image is like in it, is an `ImageForm`.
"""

from __future__ import annotations

import os

from tierce.errors import BuildError
from tierce.oci.epoch import checked_epoch
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from tierce.oci.platform import Platform

    Destination = str | IO[bytes]
    """A path, where the file appears when it is complete, or a stream, which stays open."""

GZIP, ZSTD, UNCOMPRESSED = "gzip", "zstd", "uncompressed"
COMPRESSIONS = (GZIP, UNCOMPRESSED, ZSTD)

MANIFEST, MANIFEST_DESCRIPTOR = "manifest", "manifest-descriptor"
INDEX, INDEX_DESCRIPTOR = "index", "index-descriptor"
ANNOTATION_PLACES = (INDEX, INDEX_DESCRIPTOR, MANIFEST, MANIFEST_DESCRIPTOR)


class Compression(Value):
    """How layers are compressed: "gzip", "zstd", "uncompressed"; "" is the output's own way.

    Layers of the base image that came compressed stay as they came, unless `force` is set.
    `level` is 0 to 9 for gzip, 0 to 22 for zstd, None for the one that is quick and good.
    """

    kind: str = ""
    level: int | None = None
    force: bool = False


class Annotation(Value):
    """A key and a value for the manifest, or for what refers to it (see ANNOTATION_PLACES).

    With a `platform` it is for the image of that platform only.
    """

    key: str
    value: str
    place: str = MANIFEST
    platform: Platform | None = None


class Epoch(Value):
    """SOURCE_DATE_EPOCH of one output, in seconds since 1970; None: as if there were none."""

    seconds: int | None


class ImageForm(Value):
    """What an image is like: `names` are the tags of the build, where that has any.

    `rewrite_timestamp` cuts the times of files in new layers off at SOURCE_DATE_EPOCH; without
    it (None) that is done where there is one.
    """

    names: tuple[str, ...] = ()
    compression: Compression = Compression()
    oci_media_types: bool = True
    annotations: tuple[Annotation, ...] = ()
    rewrite_timestamp: bool | None = None
    epoch: Epoch | None = None


class ImageOutput(ImageForm):
    """An image in the store. Layers are kept as they are, unless `compression` says how.

    With `push` it goes to the registries of its names, too, compressed by gzip unless that says
    otherwise; with `push_by_digest`, it gets no tags there.

    `unpack` has its files ready for containers. Besides its names it gets `NAME@DIGEST` for each
    of them with `name_canonical`, and `PREFIX@DIGEST` with a `dangling_name_prefix` (with
    `dangling_name_empty_only`: if it has no name). Without `store` it is only described.
    """

    unpack: bool = False
    store: bool = True
    name_canonical: bool = False
    dangling_name_prefix: str = ""
    dangling_name_empty_only: bool = False
    push: bool = False
    push_by_digest: bool = False


class ArchiveOutput(ImageForm):
    """An image as a file: docker's archive ("docker") or an OCI layout ("oci").

    Layers are compressed by gzip unless `compression` says how. Without `tar`, `dest` is a
    directory, and a layout that is there already gets one more image.
    """

    format: str = "oci"
    dest: Destination = ""
    tar: bool = True


class TarballOutput(Value):
    """The file tree as one tar."""

    dest: Destination = ""
    epoch: Epoch | None = None


class LocalOutput(Value):
    """The files in a directory, which is made if need be; they belong to whoever builds.

    Files that are there already stay, unless one of the same name comes; with `delete`, all that
    is not in the result is removed. With `platform_split` the files go into a subdirectory named
    by their platform ("linux_amd64").
    """

    dest: str = ""
    platform_split: bool = False
    delete: bool = False
    epoch: Epoch | None = None


class CacheOnly(Value):
    """Nothing but what the cache remembers."""


Output = ImageOutput | ArchiveOutput | TarballOutput | LocalOutput | CacheOnly


def check_outputs(outputs: Sequence[Output]) -> None:
    """Refuse, before anything is built, what cannot be written in the end.

    Raises BuildError, UsageError for a time that is none.
    """
    streams = 0
    for output in outputs:
        epoch = None if isinstance(output, CacheOnly) else output.epoch
        if epoch is not None and epoch.seconds is not None:
            checked_epoch(epoch.seconds)
        if isinstance(output, ImageForm):
            _check_form(output)
        if isinstance(output, LocalOutput):
            _check_directory(output.dest)
        elif isinstance(output, TarballOutput | ArchiveOutput):
            if not isinstance(output.dest, str):
                streams += 1
            elif isinstance(output, ArchiveOutput) and not output.tar:
                _check_directory(output.dest)
            else:
                _check_file(output.dest)
    if streams > 1:
        raise BuildError("write output: several outputs cannot go to standard output at once")


def _check_form(form: ImageForm) -> None:
    if any(each.place in (INDEX, INDEX_DESCRIPTOR) for each in form.annotations):
        raise BuildError(
            "annotate image: an image for one platform has no index",
            hint="annotate its manifest (manifest:KEY=VALUE) or manifest-descriptor",
        )
    descriptor = any(each.place == MANIFEST_DESCRIPTOR for each in form.annotations)
    if descriptor and not form.oci_media_types:
        raise BuildError("annotate image: docker's media types have no annotated descriptors")


def _check_directory(path: str) -> None:
    if not path:
        raise BuildError("write output: no directory is named", hint="add dest=DIRECTORY")
    if os.path.exists(path) and not os.path.isdir(path):
        raise BuildError(f"write output: {path} is a file, not a directory")


def _check_file(path: str) -> None:
    if not path:
        raise BuildError("write output: no file is named", hint="add dest=FILE")
    if os.path.isdir(path):
        raise BuildError(
            f"write output: {path} is a directory", hint="name a file in it, or set type=local"
        )
    above = os.path.dirname(path) or "."
    if not os.path.isdir(above):
        raise BuildError(f"write output: {path}: directory {above} is not there")
