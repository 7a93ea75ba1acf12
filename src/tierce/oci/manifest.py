"""Image manifests and indexes (OCI image-spec, manifest.md and image-index.md).

Foreign documents are kept by their raw bytes: their digest is over these. `encode` is for
documents of our own.
"""

from __future__ import annotations

from tierce.errors import InvalidValue
from tierce.oci import media_types
from tierce.oci.descriptor import Descriptor
from tierce.oci.document import Fields, dump, load_object
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from typing import Any, Self

SIZE_LIMIT = 4 << 20
"""Bytes of a manifest that every registry must take (distribution-spec, "Pushing Manifests")."""

_WHERE = "manifest"


class Manifest(Value):
    """One image, or an artifact: a config and layers from the bottom up."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: tuple[tuple[str, str], ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""

    @classmethod
    def from_json(cls, fields: Fields, media_type: str) -> Self:
        """From a manifest object. Raises InvalidValue."""
        config = fields.object("config")
        if config is None:
            raise InvalidValue(f"parse {fields.where}: config is missing")
        return cls(
            media_type,
            Descriptor.from_json(config),
            tuple(Descriptor.from_json(layer) for layer in fields.objects("layers")),
            fields.text_map("annotations"),
            _subject(fields),
            fields.text("artifactType"),
        )

    def to_json(self) -> dict[str, Any]:
        """The manifest object, members in the order of the Go struct."""
        members: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            members["artifactType"] = self.artifact_type
        members["config"] = self.config.to_json()
        members["layers"] = [layer.to_json() for layer in self.layers]
        return members | _common(self)

    def encode(self) -> bytes:
        """The document in BuildKit's form: two spaces of indentation, no newline at the end."""
        return dump(self.to_json(), indent=2)

    @property
    def is_image(self) -> bool:
        """Whether a container can be made of it: the config is an image config."""
        return media_types.is_config(self.config.media_type)


class Index(Value):
    """A list of manifests, most often of one image for several platforms."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: tuple[tuple[str, str], ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""

    @classmethod
    def from_json(cls, fields: Fields, media_type: str) -> Self:
        """From an index object. Raises InvalidValue."""
        return cls(
            media_type,
            tuple(Descriptor.from_json(manifest) for manifest in fields.objects("manifests")),
            fields.text_map("annotations"),
            _subject(fields),
            fields.text("artifactType"),
        )

    def to_json(self) -> dict[str, Any]:
        """The index object, members in the order of the Go struct."""
        members: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            members["artifactType"] = self.artifact_type
        members["manifests"] = [manifest.to_json() for manifest in self.manifests]
        return members | _common(self)

    def encode(self) -> bytes:
        """The document in BuildKit's form: two spaces of indentation, no newline at the end."""
        return dump(self.to_json(), indent=2)


def parse(raw: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index, OCI or docker schema 2.

    `media_type` is what the transport or the descriptor said, if anything did. A document must
    agree with it, and must not be both at once (CVE-2021-41190: a registry or a client that
    takes one document for either kind sees other content than its neighbour).
    Raises InvalidValue.
    """
    fields = load_object(raw, _WHERE, size_limit=SIZE_LIMIT)
    version = fields.integer("schemaVersion")
    if version == 1:
        raise InvalidValue(
            "parse manifest: schema version 1 is not supported",
            hint="the image was pushed by docker before 1.10; push it again with a newer tool",
        )
    # The layout index of old docker versions has no schemaVersion of its own; 0 means absent.
    if version not in (0, 2):
        raise InvalidValue(f"parse manifest: unknown schema version {version}")
    kind = _media_type(fields, media_type.partition(";")[0].strip())
    if media_types.is_index(kind):
        if "config" in fields or "layers" in fields:
            raise InvalidValue("parse manifest: an index must not have config or layers")
        return Index.from_json(fields, kind)
    if "manifests" in fields:
        raise InvalidValue("parse manifest: the manifest of an image must not have manifests")
    return Manifest.from_json(fields, kind)


def _media_type(fields: Fields, said: str) -> str:
    """The type of the document: its own word, the transport's, or else by its members."""
    own = fields.text("mediaType")
    known = media_types.is_manifest(said) or media_types.is_index(said)
    if own and known and own != said:
        raise InvalidValue(f"parse manifest: its media type is {own!a}, but {said!a} was promised")
    kind = own or (said if known else "")
    if not kind:
        return media_types.OCI_INDEX if "manifests" in fields else media_types.OCI_MANIFEST
    if not media_types.is_manifest(kind) and not media_types.is_index(kind):
        raise InvalidValue(f"parse manifest: unsupported media type {kind[:100]!a}")
    return kind


def _subject(fields: Fields) -> Descriptor | None:
    subject = fields.object("subject")
    return None if subject is None else Descriptor.from_json(subject)


def _common(document: Manifest | Index) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if document.subject is not None:
        members["subject"] = document.subject.to_json()
    if document.annotations:
        members["annotations"] = dict(sorted(document.annotations))
    return members
