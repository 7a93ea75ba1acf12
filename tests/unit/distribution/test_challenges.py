"""WWW-Authenticate headers, as servers and adversaries write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.distribution.challenges import Challenge, parse_challenges

BEARER = 'Bearer realm="https://auth.example.com/token",service="r.example.com",scope="repository:a/b:pull,push"'


def test_bearer_challenge_keeps_commas_in_quotes() -> None:
    (found,) = parse_challenges([BEARER])
    assert found.scheme == "bearer"
    assert found.get("realm") == "https://auth.example.com/token"
    assert found.get("scope") == "repository:a/b:pull,push"
    assert found.get("error") == ""


def test_several_challenges_in_one_header_are_told_apart() -> None:
    found = parse_challenges([f'Basic realm="x, y", {BEARER}, Negotiate'])
    assert [each.scheme for each in found] == ["basic", "bearer", "negotiate"]
    assert found[0].get("realm") == "x, y"


def test_several_headers_are_all_read() -> None:
    assert [each.scheme for each in parse_challenges(["Basic realm=x", BEARER])] == [
        "basic",
        "bearer",
    ]


@pytest.mark.parametrize(
    ("text", "realm"),
    [
        ('basic REALM="a"', "a"),
        ("Basic realm=a", "a"),
        ('Basic realm = "a"', "a"),
        (r'Basic realm="a\"b"', 'a"b'),
        ('Basic realm="unended', "unended"),
        ('Basic realm="a", realm="b"', "a"),
    ],
)
def test_parameters_are_read_in_all_their_forms(text: str, realm: str) -> None:
    (found,) = parse_challenges([text])
    assert (found.scheme, found.get("realm")) == ("basic", realm)


@pytest.mark.parametrize("text", ["", ",,,", '"', "=", '="x"', " \t"])
def test_what_is_no_challenge_gives_none(text: str) -> None:
    assert [each for each in parse_challenges([text]) if each.get("realm")] == []


@given(st.text(alphabet='Basic realm="\\,=x \t', max_size=60))
def test_any_header_is_read_to_its_end(text: str) -> None:
    assert all(isinstance(each, Challenge) for each in parse_challenges([text]))
