"""JSON in Go's form."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.cli.format.gojson import encode, encode_float, encode_string
from tierce.cli.format.values import MISSING, NilList, NilMap, NilPointer, Struct

# Go writes whole floats as integers; those have a test of their own.
FRACTIONS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FRACTIONS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(VALUES, st.booleans(), st.sampled_from(["", "    "]))
def test_everything_reads_back(value: object, escape_html: bool, indent: str) -> None:
    assert json.loads(encode(value, escape_html=escape_html, indent=indent)) == value


@given(st.dictionaries(st.text(), st.integers()))
def test_keys_of_maps_are_sorted(value: dict[str, int]) -> None:
    assert list(json.loads(encode(value))) == sorted(value)


@pytest.mark.parametrize("value", [[], {}, [[]], [{}], {"a": []}, [1, {"b": [2, {}]}], "x"])
def test_indented_form_is_that_of_the_standard_library(value: object) -> None:
    assert encode(value, indent="    ") == json.dumps(value, indent=4)


def test_fields_of_structs_keep_their_order_and_empty_ones_may_go() -> None:
    value = Struct("T", {"B": 1, "A": "", "C": "", "D": lambda: [1]}, omitted=frozenset({"C"}))
    assert encode(value) == '{"B":1,"A":"","D":[1]}'


def test_what_is_nil_is_null() -> None:
    assert encode([None, MISSING, NilList(), NilMap(), NilPointer("T")]) == (
        "[null,null,null,null,null]"
    )


def test_html_is_escaped_where_docker_does() -> None:
    assert encode_string("<a&b>") == '"<a&b>"'
    assert encode_string("<a&b>", escape_html=True) == r'"\u003ca\u0026b\u003e"'
    inner = Struct("T", {"A": "<none>"}, escape_html=True)
    assert encode({"x": inner, "y": "<"}) == r'{"x":{"A":"\u003cnone\u003e"},"y":"<"}'


def test_line_separators_of_javascript_and_broken_utf8_are_escaped() -> None:
    broken = b"\xff".decode("utf-8", "surrogateescape")
    assert encode_string(f"\u2028{broken}\x01\x7f") == '"\\u2028\\ufffd\\u0001\x7f"'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-6, "0.000001"),
        (1e-7, "1e-7"), (-0.0, "-0"), (1.5e-10, "1.5e-10"), (0.493, "0.493"),
    ],
)  # fmt: skip
def test_floats_have_an_exponent_only_at_the_ends(value: float, text: str) -> None:
    assert encode_float(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back(value: float) -> None:
    assert math.isclose(float(encode_float(value)), value, rel_tol=0, abs_tol=0)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        encode(object())
