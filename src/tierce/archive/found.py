"""What an archive turned out to contain, before any of it is stored."""

from __future__ import annotations

from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from tierce.archive.extent import Extent
    from tierce.oci.config import ImageConfig
    from tierce.oci.digest import Digest
    from tierce.oci.reference import Reference


class FoundLayer(Value):
    """A layer's content in the archive.

    `digest` is what the archive says the content's digest is, None where it does not say.
    `media_type` is empty where only the content tells how it is compressed.
    """

    content: Extent
    diff_id: Digest
    digest: Digest | None = None
    media_type: str = ""


class FoundImage(Value):
    """One image for one platform.

    `manifest` are the bytes of its manifest; they are empty in docker's own form, which has
    none, and one is made then.
    """

    config: ImageConfig
    raw_config: bytes
    layers: tuple[FoundLayer, ...]
    manifest: bytes = b""


class FoundTarget(Value):
    """What names point to: an image, or an index (`indexes` outermost first) with its images."""

    names: tuple[Reference, ...]
    images: tuple[FoundImage, ...]
    indexes: tuple[bytes, ...] = ()
