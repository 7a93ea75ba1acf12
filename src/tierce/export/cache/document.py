"""A cache as a document: which keys find a result, and which layers that is made of.

It comes from outside: every number and name is looked at before it is believed. Layers refer to
those beneath them by their place, which has to be a lower one, so that there are no circles.
docs/cache.md describes the form.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from tierce.errors import InvalidValue
from tierce.oci.digest import Digest
from tierce.oci.document import dump, load_object
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from tierce.oci.document import Fields

CACHE_CONFIG = "application/vnd.tierce.cache.config.v1+json"
"""Media type of the document, which is the config of a manifest."""

SIZE_LIMIT = 256 << 20
VERSION = 1
_LAYERS_LIMIT = 20_000
_RECORDS_LIMIT = 100_000
_KEYS_LIMIT = 16
_DEPTH_LIMIT = 1_000
_NAME_LIMIT = 100_000
_KEY_CHARACTERS = 64
_LATEST_US = 253_402_300_800_000_000  # the end of the year 9999
_HEXADECIMAL = frozenset("0123456789abcdef")
_WHERE = "cache"
_NOTHING = -1


class CachedLayer(Value):
    """A layer upon the one at place `parent`, or upon nothing (-1).

    `blob` is the place of its blob among the layers of the manifest, -1 where there is none.
    `size` are the bytes of its files, for people. `created_us`, in microseconds since 1970, is
    when the step that made it ended: an image that is made of it is the same on every machine.
    """

    diff_id: Digest
    parent: int = _NOTHING
    blob: int = _NOTHING
    size: int = 0
    created_us: int = 0


class CachedRecord(Value):
    """What `Outcome.keys` find: the file system that ends with the layer at place `layer`.

    That is -1 for the empty file system. Without a result (`has_result`), the keys only lead to
    what was made of it. `created` is in seconds since 1970.
    """

    keys: tuple[str, ...]
    name: str
    layer: int = _NOTHING
    has_result: bool = True
    created: int = 0
    components: bytes = b""


class CacheDocument(Value):
    """All of a cache but the layers themselves."""

    layers: tuple[CachedLayer, ...] = ()
    records: tuple[CachedRecord, ...] = ()

    @classmethod
    def parse(cls, raw: bytes) -> CacheDocument:
        """Read a document. Raises InvalidValue for anything that is not sound."""
        fields = load_object(raw, _WHERE, size_limit=SIZE_LIMIT)
        version = fields.integer("version")
        if version != VERSION:
            raise InvalidValue(f"parse cache: version {version} is not known")
        layers = _counted(fields, "layers", _LAYERS_LIMIT)
        records = _counted(fields, "records", _RECORDS_LIMIT)
        parsed = tuple(_layer(each, place) for place, each in enumerate(layers))
        _check_depth(parsed)
        return cls(parsed, tuple(_record(each, len(parsed)) for each in records))

    def encode(self) -> bytes:
        """The document; the same cache gives the same bytes."""
        return dump(
            {
                "version": VERSION,
                "layers": [_layer_members(each) for each in self.layers],
                "records": [_record_members(each) for each in self.records],
            }
        )

    def chain(self, layer: int) -> Sequence[CachedLayer]:
        """A layer and all beneath, the lowest first; none for -1."""
        found = []
        while layer != _NOTHING:
            found.append(self.layers[layer])
            layer = self.layers[layer].parent
        return found[::-1]


def _layer_members(layer: CachedLayer) -> dict[str, Any]:
    places = {"parent": layer.parent, "blob": layer.blob}
    members: dict[str, Any] = {"diffId": str(layer.diff_id)}
    members |= {name: place for name, place in places.items() if place != _NOTHING}
    return members | {"size": layer.size, "created": layer.created_us}


def _record_members(record: CachedRecord) -> dict[str, Any]:
    members: dict[str, Any] = {"keys": list(record.keys), "name": record.name}
    if record.has_result:
        members["layer"] = record.layer
    members["created"] = record.created
    if record.components:
        members["components"] = b2a_base64(record.components, newline=False).decode()
    return members


def _counted(fields: Fields, name: str, limit: int) -> Sequence[Fields]:
    found = list(fields.objects(name))
    if len(found) > limit:
        raise InvalidValue(f"parse cache: it has {len(found)} {name}, more than {limit}")
    return found


def _layer(fields: Fields, place: int) -> CachedLayer:
    parent = fields.integer("parent", _NOTHING)
    if not _NOTHING <= parent < place:
        raise InvalidValue(f"parse {fields.where}: its parent {parent} does not come before it")
    blob, size = fields.integer("blob", _NOTHING), fields.integer("size")
    created = fields.integer("created")
    if blob < _NOTHING or size < 0 or not 0 <= created < _LATEST_US:
        raise InvalidValue(f"parse {fields.where}: a number is out of bounds")
    return CachedLayer(Digest.parse(fields.text("diffId")), parent, blob, size, created)


def _check_depth(layers: Sequence[CachedLayer]) -> None:
    depths: list[int] = []
    for layer in layers:
        depths.append(1 if layer.parent == _NOTHING else depths[layer.parent] + 1)
        if depths[-1] > _DEPTH_LIMIT:
            raise InvalidValue(f"parse cache: more than {_DEPTH_LIMIT} layers upon each other")


def _record(fields: Fields, layers: int) -> CachedRecord:
    keys = fields.texts("keys") or ()
    if not 0 < len(keys) <= _KEYS_LIMIT or not all(_is_key(key) for key in keys):
        raise InvalidValue(f"parse {fields.where}: its keys are none")
    name = fields.text("name")
    if len(name) > _NAME_LIMIT:
        raise InvalidValue(f"parse {fields.where}: its name is too long")
    layer, has_result = fields.integer("layer", _NOTHING), "layer" in fields
    if not _NOTHING <= layer < layers:
        raise InvalidValue(f"parse {fields.where}: there is no layer {layer}")
    try:
        components = a2b_base64(fields.text("components"), strict_mode=True)
    except (Base64Error, ValueError):
        raise InvalidValue(f"parse {fields.where}: components are not base64") from None
    return CachedRecord(
        keys, name, layer, has_result, _seconds(fields.integer("created")), components
    )


def _seconds(number: int) -> int:
    return min(max(0, number), _LATEST_US // 1_000_000 - 1)


def _is_key(text: str) -> bool:
    return len(text) == _KEY_CHARACTERS and _HEXADECIMAL.issuperset(text)
