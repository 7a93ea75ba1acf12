"""Descriptors: how one document refers to another (OCI image-spec, descriptor.md)."""

from __future__ import annotations

from tierce.errors import InvalidValue
from tierce.oci.digest import Digest
from tierce.oci.document import Fields
from tierce.oci.platform import Platform
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from typing import Any, Self


class Descriptor(Value):
    """Media type, digest and size in bytes of a blob. Annotations are sorted pairs."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    artifact_type: str = ""
    data: bytes = b""

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """From a descriptor object.

        Raises InvalidValue; also if `data` is there but is not what digest and size say.
        """
        digest = _digest(fields)
        size = fields.integer("size", -1)
        if size < 0:
            raise InvalidValue(f"parse {fields.where}: size is missing or negative")
        platform = fields.object("platform")
        return cls(
            fields.text("mediaType"),
            digest,
            size,
            None if platform is None else Platform.from_json(platform),
            fields.text_map("annotations"),
            fields.texts("urls") or (),
            fields.text("artifactType"),
            _data(fields, digest, size),
        )

    def to_json(self) -> dict[str, Any]:
        """The descriptor object, members in the order of the Go struct."""
        members: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.urls:
            members["urls"] = list(self.urls)
        if self.annotations:
            members["annotations"] = dict(sorted(self.annotations))
        if self.data:
            import binascii  # as below: few descriptors have data

            members["data"] = binascii.b2a_base64(self.data, newline=False).decode()
        if self.platform is not None:
            members["platform"] = self.platform.to_json()
        if self.artifact_type:
            members["artifactType"] = self.artifact_type
        return members

    def annotation(self, key: str) -> str:
        """The value of an annotation, or an empty string."""
        return dict(self.annotations).get(key, "")


def _digest(fields: Fields) -> Digest:
    text = fields.text("digest")
    if not text:
        raise InvalidValue(f"parse {fields.where}: digest is missing")
    try:
        return Digest.parse(text)
    except InvalidValue as error:
        raise InvalidValue(f"parse {fields.where}: {error.message}", value=text) from error


def _data(fields: Fields, digest: Digest, size: int) -> bytes:
    encoded = fields.text("data")
    if not encoded:
        return b""
    import binascii  # a shared object of its own, for what few descriptors have

    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError):
        raise InvalidValue(f"parse {fields.where}: data is not base64") from None
    if len(data) != size or Digest.of(data, digest.algorithm) != digest:
        raise InvalidValue(f"parse {fields.where}: data does not match size and digest")
    return data
