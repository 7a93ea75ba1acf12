"""A cache inside the config of an image: its layers are those of the image."""

from __future__ import annotations

import zlib
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from tierce.errors import InvalidValue, NotFound
from tierce.export.cache.document import CacheDocument

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.export.cache.options import CacheImage
    from tierce.oci.digest import Digest
    from tierce.oci.platform import Platform
    from tierce.store import Store

_INFLATED_AT_MOST = 64 << 20
_LEVEL = 9


def encode_inline(document: CacheDocument) -> str:
    """A cache as text for an image config."""
    return b2a_base64(zlib.compress(document.encode(), _LEVEL), newline=False).decode()


def decode_inline(text: str) -> CacheDocument:
    """The inverse. Raises InvalidValue."""
    try:
        inflater = zlib.decompressobj()
        raw = inflater.decompress(a2b_base64(text, strict_mode=True), _INFLATED_AT_MOST)
        if not inflater.eof:
            raise ValueError("it is cut short, or too large")
    except (Base64Error, ValueError, zlib.error) as error:
        raise InvalidValue(f"parse cache: {error}") from error
    return CacheDocument.parse(raw)


def read_inline(store: Store, source: CacheImage, platform: Platform) -> CacheDocument:
    """The cache in an image of the store. Raises NotFound, InvalidValue."""
    try:
        image = store.images.resolve(source.reference, platform=platform)
    except NotFound as error:
        raise NotFound(
            "image",
            source.reference,
            "there is no such image in the store",
            hint="load it first",
        ) from error
    config = store.images.config(image)
    if not config.build_cache:
        raise NotFound(
            "cache",
            source.reference,
            "the image has no cache in it",
            hint="one that is built with --cache-to type=inline has",
        )
    return of_image(decode_inline(config.build_cache), config.diff_ids)


def of_image(document: CacheDocument, diff_ids: Sequence[Digest]) -> CacheDocument:
    """The document, where only layers of the image are results: an image may be squashed."""
    # Layer by layer: there may be as many records as a stranger likes, each with a long chain.
    heights: list[int] = []  # of which layer of the image each is, counted from 1; 0: of none
    for layer in document.layers:
        below = 0 if layer.parent < 0 else heights[layer.parent]
        stands = layer.parent < 0 or below > 0
        is_next = below < len(diff_ids) and diff_ids[below] == layer.diff_id
        heights.append(below + 1 if stands and is_next else 0)
    records = [
        record
        if record.layer < 0 or heights[record.layer]
        else record.replace(layer=-1, has_result=False)
        for record in document.records
    ]
    return document.replace(records=tuple(records))
