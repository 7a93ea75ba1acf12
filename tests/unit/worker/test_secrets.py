"""Secrets are found as they are and in base64, wherever pieces of a stream are cut."""

from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.worker.secrets import SHORTEST, Hit, Scan, SecretSearch

VALUE = b"correct horse\xff\xfe\xfb battery"
SEARCH = SecretSearch({"secret one": VALUE, "secret two": b"second-value"})


def test_a_value_is_found_with_its_place_and_its_name() -> None:
    assert SEARCH.find(b"before second-value after") == Hit("secret two", 7)
    assert SEARCH.find(b"nothing of the kind") is None


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"user:"])
def test_a_value_is_found_in_base64_wherever_it_begins(before: bytes, encode: object) -> None:
    assert callable(encode)
    assert SEARCH.find(b"Basic " + encode(before + VALUE + b"\nrest")) is not None


def test_white_space_around_a_value_does_not_count() -> None:
    assert SecretSearch({"s": b"\n my-secret-value \r\n"}).find(b"[my-secret-value]") == Hit("s", 1)


def test_values_too_short_to_mean_anything_are_not_looked_for() -> None:
    assert not SecretSearch({"s": b"x" * (SHORTEST - 1) + b"\n", "empty": b""})
    assert SecretSearch({"s": b"x" * SHORTEST})


def test_nothing_shown_has_the_value() -> None:
    text = f"RUN echo second-value {b64encode(b'second-value').decode()}"
    assert "second" not in SEARCH.masked(text)
    assert SEARCH.masked("RUN echo second-value") == "RUN echo ****"
    assert SEARCH.find_in("RUN true") == ""


@given(st.binary(max_size=100), st.binary(max_size=100), st.data())
def test_a_value_is_found_however_a_stream_is_cut(
    before: bytes, after: bytes, data: st.DataObject
) -> None:
    stream = before + VALUE + after
    scan = Scan(SEARCH)
    position = 0
    while position < len(stream):
        length = data.draw(st.integers(1, 40))
        scan.feed(memoryview(stream)[position : position + length])
        position += length
    assert scan.hit is not None
    assert scan.hit.secret == "secret one"
    assert scan.hit.offset == stream.index(VALUE)


@given(st.binary(max_size=200))
def test_what_has_no_value_in_it_gives_no_hit(stream: bytes) -> None:
    scan = Scan(SecretSearch({"s": b"a value that nobody draws"}))
    scan.feed(stream)
    assert scan.hit is None
