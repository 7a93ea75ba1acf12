"""What `--output`, `--load`, `--push`, `--annotation` and their like mean, as buildx has them."""

from __future__ import annotations

import os

from tierce.dockerfile.gotext import parse_bool, well_formed
from tierce.dockerfile.mounts import split_fields
from tierce.dockerfile.suggest import did_you_mean
from tierce.errors import InvalidValue, UsageError
from tierce.export.outputs import (
    ANNOTATION_PLACES,
    COMPRESSIONS,
    GZIP,
    MANIFEST,
    Annotation,
    ArchiveOutput,
    CacheOnly,
    Compression,
    Epoch,
    ImageForm,
    ImageOutput,
    LocalOutput,
    TarballOutput,
)
from tierce.oci.epoch import parse_epoch
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO, Any

    from tierce.cli.flags import Parsed
    from tierce.cli.session import Session
    from tierce.export.outputs import Output

TYPES = ("cacheonly", "docker", "image", "local", "oci", "registry", "tar")

_LEVELS = {"gzip": 9, "zstd": 22}
"""The highest level of each compression that has levels."""

_LEVEL_DIGITS = 3

_FORM = (
    "name", "compression", "compression-level", "force-compression", "oci-mediatypes",
    "rewrite-timestamp", "source-date-epoch",
)  # fmt: skip
_STORE = (
    "unpack", "store", "name-canonical", "dangling-name-prefix", "danging-name-empty-only",
    "dangling-name-empty-only", "push", "push-by-digest",
)  # fmt: skip
_IGNORED = (
    "attestation-inline", "attestation-prefix", "buildinfo", "buildinfo-attrs", "oci-artifact",
    "prefer-nondist-layers", "registry.insecure", "context",
)  # fmt: skip
"""What only matters to attestations, or to older builders."""

_KNOWN: Mapping[str, tuple[str, ...]] = {
    "cacheonly": (),
    "docker": (*_FORM, *_STORE, "tar"),
    "image": (*_FORM, *_STORE),
    "local": ("platform-split", "mode", "source-date-epoch"),
    "oci": (*_FORM, "tar"),
    "registry": (*_FORM, *_STORE),
    "tar": ("platform-split", "source-date-epoch"),
}
_ANNOTATION = "annotation"
_DELETE = "buildx.local.delete"


def outputs_of(options: Parsed, session: Session) -> tuple[Output, ...]:
    """What the flags ask for; nothing when that is just an image in the store.

    Raises UsageError.
    """
    _check_attestations(options)
    annotations = tuple(
        each for text in options.texts("annotation") for each in annotations_of(text)
    )
    outputs: list[Output] = [
        _Reader(text, session, annotations, options.texts("allow")).output()
        for text in options.texts("output")
        if text
    ]
    if options.flag("push"):
        outputs = _pushed(outputs, annotations)
    in_store = any(isinstance(output, ImageOutput) for output in outputs)
    if (options.flag("load") and outputs and not in_store) or (annotations and not outputs):
        outputs.append(ImageOutput(annotations=annotations))
    plain = any(isinstance(output, LocalOutput | TarballOutput) for output in outputs)
    if options.text("iidfile") and plain:
        raise UsageError(
            "--iidfile cannot be used with outputs of type local or tar, without an ID"
        )
    return tuple(outputs)


def annotations_of(text: str) -> list[Annotation]:
    """The annotations of `[PLACE[PLATFORM][,PLACE…]:]KEY=VALUE`. Raises UsageError."""
    name, found, value = well_formed(text).partition("=")
    if not text:
        return []
    if not found:
        raise UsageError(f"invalid annotation {text!a}: it is not KEY=VALUE")
    places, colon, key = name.partition(":")
    if not colon:
        return [Annotation(name, value)]
    return [Annotation(key, value, *_place(place)) for place in places.split(",")]


def _place(text: str) -> tuple[str, Platform | None]:
    """The place and the platform of `manifest[linux/amd64]`."""
    place, bracket, rest = text.partition("[")
    if place not in ANNOTATION_PLACES or (bracket and not rest.endswith("]")):
        hint = f"one of {', '.join(ANNOTATION_PLACES)}"
        similar = did_you_mean(place, ANNOTATION_PLACES)
        raise UsageError(f"invalid annotation type {text!a}{similar}", hint=hint)
    if not bracket:
        return place, None
    try:
        return place, Platform.parse(rest[:-1])
    except InvalidValue as error:
        raise UsageError(f"invalid annotation type {text!a}: {error.message}") from error


class _Reader:
    """Reads one --output."""

    def __init__(
        self,
        text: str,
        session: Session,
        annotations: tuple[Annotation, ...],
        allowed: Sequence[str],
    ) -> None:
        self._text = text
        self._session = session
        self._annotations = annotations
        self._allowed = allowed
        self._type = ""
        self._dest = ""
        self._attributes: dict[str, str] = {}
        self._read()

    def _read(self) -> None:
        text = self._text
        fields = _fields(text, "--output")
        if fields == [text] and not text.startswith("type="):
            self._type = "tar" if text == "-" else "local"
            self._dest = text
            return
        for field in fields:
            key, found, value = field.partition("=")
            if not found:
                raise self._error(f"{field!a} is not KEY=VALUE")
            key = key.strip().lower()
            if key == "type":
                self._type = value
            elif key == "dest":
                self._dest = value
            else:
                self._attributes[key] = value
        if not self._type:
            raise self._error("it has no type", hint=f"add type=, one of {', '.join(TYPES)}")
        if self._type not in TYPES:
            similar = did_you_mean(self._type, TYPES)
            raise self._error(
                f"unknown type {self._type!a}{similar}", hint=f"one of {', '.join(TYPES)}"
            )
        self._check_keys()

    def _check_keys(self) -> None:
        known = (*_KNOWN[self._type], *_IGNORED)
        for key in self._attributes:
            if key in known or key.startswith(_ANNOTATION):
                continue
            similar = did_you_mean(key, ("dest", "type", *known))
            raise self._error(f"type {self._type} has no attribute {key!a}{similar}")

    def output(self) -> Output:
        if self._type == "cacheonly":
            return CacheOnly()
        if self._type == "local":
            return self._local()
        if self._type == "tar":
            return TarballOutput(self._destination(), self._epoch())
        form = self._form()
        if self._type == "oci" or (self._type == "docker" and (self._dest or not self._tar())):
            return self._archive(form)
        if self._dest:
            raise self._error(
                "type image has no dest", hint="write a file with type=oci or type=docker"
            )
        only = "dangling-name-empty-only"
        return ImageOutput(
            **form,
            unpack=self._flag("unpack"),
            store=self._flag("store", True),
            name_canonical=self._flag("name-canonical"),
            dangling_name_prefix=self._attributes.get("dangling-name-prefix", ""),
            # The second is how BuildKit spells it.
            dangling_name_empty_only=self._flag(only) or self._flag("danging-name-empty-only"),
            push=self._flag("push", self._type == "registry"),
            push_by_digest=self._flag("push-by-digest"),
        )

    def _archive(self, form: dict[str, Any]) -> ArchiveOutput:
        if self._tar():
            return ArchiveOutput(**form, format=self._type, dest=self._destination())
        if self._dest in ("", "-"):
            raise self._error("tar=false needs dest=DIRECTORY")
        return ArchiveOutput(**form, format=self._type, dest=self._dest, tar=False)

    def _local(self) -> LocalOutput:
        if self._dest in ("", "-"):
            raise self._error("type local needs dest=DIRECTORY")
        mode = self._attributes.get("mode", "").strip().lower()
        if mode not in ("", "copy", "delete"):
            raise self._error(f"invalid mode {mode!a}", hint="one of copy, delete")
        if mode == "delete":
            self._check_deletion()
        return LocalOutput(
            self._dest, self._flag("platform-split"), mode == "delete", self._epoch()
        )

    def _check_deletion(self) -> None:
        """As buildx: nothing is removed outside of the current directory, unless it is allowed."""

        here = os.path.realpath(".")
        dest = os.path.realpath(self._dest)
        inside = dest != here and os.path.commonpath((here, dest)) == here
        if not inside and _DELETE not in self._allowed:
            raise self._error(
                "mode=delete may remove files only below the current directory",
                hint=f"use --allow={_DELETE}",
            )

    def _destination(self) -> str | IO[bytes]:
        """A path, or standard output where nobody would have the bytes on a terminal."""
        if self._dest not in ("", "-"):
            return self._dest
        if self._session.stdout.isatty():
            raise self._error(
                "refusing to write it to a terminal", hint="add dest=FILE, or redirect the output"
            )
        self._session.stdout.flush()
        return self._session.stdout.buffer

    def _form(self) -> dict[str, Any]:
        """The fields of an `ImageForm`."""
        names = [name for name in self._attributes.get("name", "").split(",") if name]
        for name in names:
            try:
                Reference.parse(name)
            except InvalidValue as error:
                raise self._error(error.message) from error
        form = ImageForm(
            names=tuple(names),
            compression=self._compression(),
            oci_media_types=self._flag("oci-mediatypes", True),
            annotations=(*self._own_annotations(), *self._annotations),
            epoch=self._epoch(),
        )
        if "rewrite-timestamp" in self._attributes:
            form = form.replace(rewrite_timestamp=self._flag("rewrite-timestamp"))
        return {field: getattr(form, field) for field in form._fields}

    def _compression(self) -> Compression:
        kind = self._attributes.get("compression", "")
        if kind and kind not in COMPRESSIONS:
            similar = did_you_mean(kind, COMPRESSIONS)
            raise self._error(
                f"unsupported compression {kind!a}{similar}",
                hint=f"one of {', '.join(COMPRESSIONS)}",
            )
        level: int | None = None
        text = self._attributes.get("compression-level", "")
        if text:
            highest = _LEVELS.get(kind or GZIP, 0)
            if not text.isdecimal() or len(text) > _LEVEL_DIGITS or int(text) > highest:
                raise self._error(f"invalid compression-level {text!a}", hint=f"0 to {highest}")
            level = int(text)
        return Compression(kind, level, self._flag("force-compression"))

    def _own_annotations(self) -> list[Annotation]:
        """`annotation[-PLACE][[PLATFORM]].KEY=VALUE`."""
        found = []
        for attribute, text in self._attributes.items():
            if not attribute.startswith(_ANNOTATION):
                continue
            name, value = well_formed(attribute), well_formed(text)
            # The platform may have dots of its own; the key begins after it.
            head, bracket, rest = name.partition("[")
            if bracket and "." not in head:
                platform, closed, key = rest.partition("].")
                head, dot = f"{head}[{platform}]", closed
            else:
                head, dot, key = name.partition(".")
            place = head.removeprefix(_ANNOTATION).removeprefix("-")
            if not dot or not key:
                raise self._error(f"invalid annotation {name!a}", hint="write annotation.KEY=VALUE")
            if not place or place.startswith("["):
                place = MANIFEST + place
            found.append(Annotation(key, value, *_place(place)))
        return found

    def _epoch(self) -> Epoch | None:
        text = self._attributes.get("source-date-epoch")
        if not text:
            return None if text is None else Epoch(None)
        try:
            return Epoch(parse_epoch(text))
        except UsageError as error:
            raise self._error(f"invalid source-date-epoch {text!a}", hint=error.hint) from None

    def _tar(self) -> bool:
        return self._flag("tar", True)

    def _flag(self, key: str, default: bool = False) -> bool:
        value = self._attributes.get(key)
        if value is None:
            return default
        found = _boolean(value) if value else True
        if found is None:
            raise self._error(f"{key} is true or false, not {value!a}")
        return found

    def _error(self, cause: str, *, hint: str = "") -> UsageError:
        return UsageError(f"invalid output {self._text!a}: {cause}", hint=hint)


def _fields(text: str, flag: str) -> list[str]:
    """The comma-separated fields of a flag, some of them quoted. Raises UsageError."""
    try:
        return split_fields(text)
    except InvalidValue:
        raise UsageError(f"invalid {flag} {text!a}: its quotes do not match") from None


def _boolean(text: str) -> bool | None:
    try:
        return parse_bool(text)
    except InvalidValue:
        return None


def _pushed(outputs: list[Output], annotations: tuple[Annotation, ...]) -> list[Output]:
    """What --push makes of outputs: images are pushed; there is one more if none is an image."""
    found: list[Output] = [
        each.replace(push=True) if isinstance(each, ImageOutput) else each for each in outputs
    ]
    if not any(isinstance(each, ImageOutput) for each in found):
        found.append(ImageOutput(annotations=annotations, push=True))
    return found


def _check_attestations(options: Parsed) -> None:
    """Only forms that turn attestations off: none are made. Raises UsageError."""
    for name in ("provenance", "sbom"):
        text = options.text(name)
        if text and _boolean(text) is not False:
            raise _no_attestations(f"--{name}={text}", f"--{name}=false")
    for text in options.texts("attest"):
        fields = dict(field.partition("=")[::2] for field in _fields(text, "--attest"))
        if _boolean(fields.get("disabled", "")) is not True:
            raise _no_attestations(f"--attest={text}", f"--attest={text},disabled=true")


def _no_attestations(given: str, instead: str) -> UsageError:
    return UsageError(
        f"{given}: build makes no attestations", hint=f"leave it out, or say {instead}"
    )
