"""Patterns in bounded time: the automaton says what the regular expression does."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.graph.globs import (
    ALL,
    ANY,
    DIRECTORIES,
    MAX_REPETITIONS,
    STAR,
    Automaton,
    Token,
    expression,
    is_simple,
    literal,
    simplified,
)

TOKENS = st.lists(
    st.sampled_from(
        [ALL, ANY, DIRECTORIES, STAR, Token("[^a]"), *[literal(each) for each in "ab/.\n"]]
    ),
    max_size=8,
)


@given(TOKENS, st.lists(st.text("ab/.\n\u00e9", max_size=12), max_size=6))
def test_automaton_and_regular_expression_agree(tokens: list[Token], texts: list[str]) -> None:
    compiled = re.compile(expression(tokens))
    automaton = Automaton(simplified(tokens))
    for text in texts:
        assert automaton.fullmatch(text) == (compiled.fullmatch(text) is not None), text


@given(TOKENS, st.text("ab/.\n", max_size=12))
def test_simplified_tokens_match_the_same(tokens: list[Token], text: str) -> None:
    plain = re.fullmatch(expression(tokens), text) is not None
    assert (re.fullmatch(expression(simplified(tokens)), text) is not None) == plain


def test_few_repetitions_are_simple() -> None:
    assert is_simple([STAR, literal("a")] * (MAX_REPETITIONS + 1))
    assert not is_simple([STAR, literal("a")] * (MAX_REPETITIONS + 2))
    assert is_simple([DIRECTORIES, STAR, literal("/")] * MAX_REPETITIONS)
    assert not is_simple([DIRECTORIES] * (MAX_REPETITIONS + 1))
    assert is_simple(simplified([STAR] * 100))
    assert is_simple([STAR, ALL])


def test_star_that_is_alone_in_its_component_does_not_count() -> None:
    component = [literal("a"), STAR, literal("/")]
    assert is_simple(component * 100)
    assert not is_simple([*component * 2, Token("[^a]"), *component]), "it may match a slash"
    assert is_simple([*component * 2, Token("[a-c]"), *component])
    assert not is_simple([STAR, *component] * (MAX_REPETITIONS + 1))


@pytest.mark.parametrize("piece", [STAR, DIRECTORIES])
def test_pattern_that_explodes_is_matched_in_bounded_time(piece: Token) -> None:
    """As a regular expression, this one would take longer than anybody lives."""
    tokens = [*[piece, literal("a"), *([literal("/")] if piece.end else [])] * 30, literal("b")]
    text = ("a/" if piece.end else "a") * 250
    automaton = Automaton(tokens)
    assert not automaton.fullmatch(text + "c")
    assert not automaton.fullmatch("b" + text)
    assert automaton.fullmatch(text + "b")


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([*[STAR, literal("b"), literal("/")] * 100, literal("x")], ("a" * 20 + "b/") * 100),
        ([DIRECTORIES, literal("a"), literal("/")] * 2 + [literal("b")], "a/" * 500),
        ([DIRECTORIES, STAR, literal("a"), STAR, literal("b")], "a" * 250 + "/" + "a" * 250),
        ([STAR, literal("a"), STAR, literal("a"), STAR, literal("b")], "a" * 250),
    ],
    ids=["components", "directories", "both", "stars"],
)
def test_what_is_simple_is_matched_in_bounded_time(tokens: list[Token], text: str) -> None:
    """The worst that are left to regular expressions."""
    assert is_simple(tokens)
    assert re.fullmatch(expression(tokens), text) is None


def test_what_is_remembered_of_characters_is_bounded() -> None:
    automaton = Automaton([STAR])
    for number in range(5000):
        assert automaton.fullmatch(chr(0x4E00 + number))
    assert len(automaton._moves) < 2000
