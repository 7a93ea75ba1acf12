"""Patterns that attack; `tests/unit/dockerfile/test_ignore.py` has what they mean."""

import pytest

from tierce.errors import InvalidValue
from tierce.graph.patterns import compile_patterns


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("**/a/" * 30 + "b", "a/" * 200 + "b", "a/" * 200 + "c"),
        ("*a" * 30 + "b", "a" * 250 + "b", "a" * 250),
        ("[^b]*" * 20 + "b", "a" * 250 + "b", "a" * 250 + "c"),
        ("**/" * 1000 + "x*", "a/" * 1000 + "xy", "a/" * 1000 + "y"),
        ("a**" * 40 + "/x", "a" * 40 + "/x", "a/" * 1500 + "y"),
    ],
    ids=["directories", "stars", "classes", "repeated", "both"],
)
def test_pattern_that_explodes_takes_no_longer(pattern: str, yes: str, no: str) -> None:
    patterns = compile_patterns([pattern])
    assert patterns.matches(yes)
    assert not patterns.matches(no)


def test_exception_that_explodes_takes_no_longer() -> None:
    patterns = compile_patterns(["*", "!" + "*a" * 30 + "b/c"])
    assert not patterns.may_hold_exceptions("a" * 250)
    assert patterns.may_hold_exceptions("a" * 250 + "b")


def test_thousands_of_patterns_are_matched() -> None:
    patterns = compile_patterns([f"dir{number}/*.o" for number in range(5000)])
    assert patterns.matches("dir4999/x.o")
    assert not patterns.matches("dir5000/x.o")


def test_mark_of_an_exception_belongs_to_its_first_component() -> None:
    """As in moby, which cleans the path together with the mark."""
    assert not compile_patterns(["a/../b"]).matches("a")
    assert compile_patterns(["*", "!./a"]).matches("a")
    for pattern in ("!", "!/", "!a/.."):
        if pattern == "!a/..":
            assert compile_patterns([".", pattern]) is not None
            continue
        with pytest.raises(InvalidValue, match="illegal exclusion pattern"):
            compile_patterns([pattern])
