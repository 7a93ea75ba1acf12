"""Shell patterns, against regular expressions that say the same."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.dockerfile.wildcards import remove_prefix, remove_suffix, replace_all, replace_first
from tierce.errors import InvalidValue

PATTERNS = st.text("ab*?", max_size=6)
VALUES = st.text("abc", max_size=12)


def expression(pattern: str, *, longest: bool = True) -> str:
    star = ".*" if longest else ".*?"
    return "".join({"*": star, "?": "."}.get(each, each) for each in pattern)


def unlimited(_: int) -> None:
    pass


@given(PATTERNS, VALUES, st.booleans())
def test_prefix_is_what_the_expression_matches(pattern: str, value: str, longest: bool) -> None:
    match = re.match(expression(pattern, longest=longest), value)
    expected = value if match is None else value[match.end() :]
    assert remove_prefix(pattern, value, longest=longest) == expected


@given(PATTERNS, VALUES, st.booleans())
def test_suffix_is_the_prefix_backwards(pattern: str, value: str, longest: bool) -> None:
    expected = remove_prefix(pattern[::-1], value[::-1], longest=longest)[::-1]
    assert remove_suffix(pattern, value, longest=longest) == expected


@given(PATTERNS, VALUES)
def test_first_match_is_the_leftmost_and_longest(pattern: str, value: str) -> None:
    expected = re.sub(expression(pattern), "-", value, count=1)
    assert replace_first(pattern, value, "-") == expected


@given(PATTERNS.filter(lambda pattern: pattern.strip("*")), VALUES)
def test_all_matches_are_replaced(pattern: str, value: str) -> None:
    expected = re.sub(expression(pattern), "-", value)
    assert replace_all(pattern, value, "-", unlimited) == expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("", "ab", "-a-b-"),
        ("*", "ab", "-"),
        ("*", "", "-"),
        ("a*", "xaya", "x-"),
        ("\\*", "a*b*", "a-b-"),
    ],
)
def test_empty_matches_count_as_in_go(pattern: str, value: str, expected: str) -> None:
    assert replace_all(pattern, value, "-", unlimited) == expected


@pytest.mark.parametrize("pattern", ["\\", "a\\b", "\\["])
def test_escapes_of_nothing_special_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidValue, match="invalid escape"):
        remove_prefix(pattern, "a", longest=False)
