"""A cache as a document: what is written is read again, and what attacks is refused."""

import json
import zlib
from binascii import b2a_base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import InvalidValue
from tierce.export.cache.document import CachedLayer, CacheDocument, CachedRecord
from tierce.export.cache.inline import decode_inline, encode_inline, of_image
from tierce.oci.digest import Digest

KEY = "ab" * 32
LAYERS = tuple(Digest.of(bytes([number])) for number in range(3))
DOCUMENT = CacheDocument(
    (
        CachedLayer(LAYERS[0], -1, 0, 10, 1_000_000),
        CachedLayer(LAYERS[1], 0, 1, 20, 2_000_000),
        CachedLayer(LAYERS[2], 0, 1),
    ),
    (
        CachedRecord((KEY, "cd" * 32), "RUN a", 1, True, 5, b"made of"),
        CachedRecord(("ef" * 32,), "RUN b", -1, True),
        CachedRecord(("01" * 32,), "RUN c", has_result=False),
    ),
)


def document(**changes: Any) -> bytes:
    plain = json.loads(DOCUMENT.encode())
    return json.dumps(plain | changes).encode()


def test_document_comes_back_as_it_was_written() -> None:
    assert CacheDocument.parse(DOCUMENT.encode()) == DOCUMENT
    assert decode_inline(encode_inline(DOCUMENT)) == DOCUMENT
    assert CacheDocument.parse(CacheDocument().encode()) == CacheDocument()


def test_chain_goes_from_the_bottom_to_the_layer() -> None:
    assert [layer.diff_id for layer in DOCUMENT.chain(2)] == [LAYERS[0], LAYERS[2]]
    assert DOCUMENT.chain(-1) == []


HOSTILE = {
    "version of the future": document(version=2),
    "no version": document(version=None),
    "layers that are no list": document(layers=3),
    "layer upon itself": document(layers=[{"diffId": str(LAYERS[0]), "parent": 0}]),
    "layers in a circle": document(
        layers=[
            {"diffId": str(LAYERS[0]), "parent": 1},
            {"diffId": str(LAYERS[1]), "parent": 0},
        ]
    ),
    "parent that is not there": document(layers=[{"diffId": str(LAYERS[0]), "parent": 9}]),
    "negative parent": document(layers=[{"diffId": str(LAYERS[0]), "parent": -2}]),
    "negative blob": document(layers=[{"diffId": str(LAYERS[0]), "blob": -2}]),
    "negative size": document(layers=[{"diffId": str(LAYERS[0]), "size": -1}]),
    "time beyond all times": document(layers=[{"diffId": str(LAYERS[0]), "created": 1 << 62}]),
    "digest that climbs": document(layers=[{"diffId": "sha256:../../../../etc/passwd"}]),
    "layer that is not there": document(records=[{"keys": [KEY], "layer": 3}]),
    "huge place of a layer": document(records=[{"keys": [KEY], "layer": 1 << 70}]),
    "no keys": document(records=[{"keys": []}]),
    "key that is none": document(records=[{"keys": ["../key"]}]),
    "many keys": document(records=[{"keys": [KEY] * 17}]),
    "long name": document(records=[{"keys": [KEY], "name": "x" * 100_001}]),
    "components that are not base64": document(records=[{"keys": [KEY], "components": "*"}]),
    "many layers": document(layers=[{"diffId": str(LAYERS[0])}] * 20_001),
    "tall layers": document(
        layers=[{"diffId": str(LAYERS[0]), "parent": place - 1} for place in range(1001)]
    ),
    "many records": document(records=[{}] * 100_001),
    "nested deeply": b'{"version":1,"layers":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no JSON": b"\x00",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_document_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        CacheDocument.parse(HOSTILE[name])


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["version", "layers", "records", "keys", "diffId", "parent", "layer"]),
        inner, max_size=4),
    max_leaves=20,
))  # fmt: skip
def test_anything_else_is_refused_in_the_same_way(found: Any) -> None:
    raw = found if isinstance(found, bytes) else json.dumps(found).encode()
    try:
        CacheDocument.parse(raw)
    except InvalidValue:
        pass


@pytest.mark.parametrize("text", ["", "*", "AAAA", encode_inline(DOCUMENT)[:-8]])
def test_text_that_is_no_cache_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        decode_inline(text)


def test_text_that_inflates_to_too_much_is_refused() -> None:
    bomb = b2a_base64(zlib.compress(bytes(65 << 20)), newline=False).decode()
    with pytest.raises(InvalidValue, match="too large"):
        decode_inline(bomb)


def test_only_what_an_image_begins_with_is_a_result_of_its_cache() -> None:
    names = [Digest.of(bytes([number])) for number in range(4)]
    layers = (
        CachedLayer(names[0]),
        CachedLayer(names[1], 0),
        CachedLayer(names[3], 1),  # the image has another one there
        CachedLayer(names[2], 2),  # and so this is of no use, though it has it
        CachedLayer(names[1]),
        CachedLayer(names[2], 1),
    )
    records = tuple(CachedRecord(("a" * 64,), "step", layer) for layer in range(-1, len(layers)))
    found = of_image(CacheDocument(layers, records), names[:3])
    kept = [record.layer for record in found.records if record.has_result]
    assert kept == [-1, 0, 1, 5]
    assert found.layers == layers
