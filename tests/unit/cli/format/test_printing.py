"""Numbers, constants and printf, as properties: the corpus in test_template has Go's own words."""

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.cli.format.printf import format_values
from tierce.cli.format.printing import decimal_digits, quoted, shortest_float, shown
from tierce.cli.format.tokens import unquote
from tierce.cli.format.values import MISSING, NilList, NilMap, NilPointer, StringMap, Struct


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_shortest_float_reads_back_as_the_same_number(value: float) -> None:
    assert float(shortest_float(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_digits_and_exponent_make_the_number(value: float) -> None:
    digits, exponent = decimal_digits(value)
    assert float(f"{digits[0]}.{digits[1:] or 0}e{exponent}") == abs(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (100000.0, "100000"), (1e6, "1e+06"),
        (0.0001, "0.0001"), (0.00001, "1e-05"), (123456.789, "123456.789"), (1e100, "1e+100"),
        (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_floats_look_as_in_go(value: float, text: str) -> None:
    assert shortest_float(value) == text


@given(st.text())
def test_quoted_text_reads_back(text: str) -> None:
    assert unquote(quoted(text)) == text


def test_bytes_that_are_not_utf8_are_quoted_as_bytes() -> None:
    assert quoted(b"a\xff".decode("utf-8", "surrogateescape")) == r'"a\xff"'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "<nil>"),
        (MISSING, "<no value>"),
        (NilPointer("T"), "<nil>"),
        (NilList(), "[]"),
        (NilMap(), "map[]"),
        ([1, "a", None, [True]], "[1 a <nil> [true]]"),
        ({"b": 1, "a": 2.5}, "map[a:2.5 b:1]"),
        (StringMap(x="y"), "map[x:y]"),
        (Struct("T", {"A": 1, "B": lambda: "x"}), "{1 x}"),
    ],
)
def test_values_are_shown_as_by_go(value: object, text: str) -> None:
    assert shown(value) == text


FLAGS = st.text(alphabet="+-# 0", max_size=3)
SIZES = st.sampled_from(["", "1", "7", "12"])
PRECISIONS = st.sampled_from(["", ".", ".0", ".3"])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.text(max_size=3), max_size=3),
)


@given(FLAGS, SIZES, PRECISIONS, st.sampled_from(string.ascii_letters + "%!"), VALUES)
def test_any_directive_gives_text_as_wide_as_asked_for(
    flags: str, width: str, precision: str, verb: str, value: object
) -> None:
    text = format_values(f"%{flags}{width}{precision}{verb}", [value])
    assert "EXTRA" in text or verb != "%"
    if isinstance(value, str) and verb == "s":
        assert len(text) >= int(width or 0)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 30))
def test_integers_are_padded_as_in_c(value: int, width: int) -> None:
    assert format_values(f"%{width}d|%0{width}d|%-{width}d", [value] * 3) == (
        f"{value:{width}d}|{value:0{width}d}|{value:<{width}d}"
        if width
        else f"{value}|{value}|{value}"
    )


@given(st.floats(-1e15, 1e15), st.integers(0, 6))
def test_floats_have_so_many_places(value: float, places: int) -> None:
    assert format_values(f"%.{places}f", [value]) == f"{value:.{places}f}"


@given(st.text(alphabet=st.characters(blacklist_characters="%")))
def test_text_without_directives_is_kept(text: str) -> None:
    assert format_values(text, []) == text
