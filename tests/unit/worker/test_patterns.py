"""Patterns of COPY. The tables are what Go's filepath.Match says of these pairs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import BuildError
from tierce.worker.patterns import compile_pattern, has_wildcards, split_wildcards

MATCHES = [
    ("*.txt", "a.txt"),
    ("*.txt", ".txt"),
    ("a*", "a"),
    ("a*b", "a*b"),
    ("a*b", "axxb"),
    ("*", "x y"),
    ("*", ".hidden"),
    ("?", "é"),
    ("??", "ab"),
    ("a?c", "abc"),
    ("[ab]", "b"),
    ("[a-c]x", "bx"),
    ("[^a-c]x", "dx"),
    ("[^a]", "/"),
    ("a[^b]c", "a/c"),
    ("[.-0]", "/"),
    ("[*]", "*"),
    ("[?*]", "?"),
    ("[[]", "["),
    ("arr[[]0].txt", "arr[0].txt"),
    (r"[\]]", "]"),
    (r"[a\-z]", "-"),
    (r"[\^a]", "^"),
    ("[a^]", "^"),
    (r"\*", "*"),
    (r"a\?b", "a?b"),
    (r"\[a]", "[a]"),
    (r"\a", "a"),
    ("a/*/c", "a/b/c"),
    ("*/*", "a/b"),
    ("*-*-*", "-a--"),
    ("[^z-a]", "q"),
    ("[/-?]", "?"),
    ("[éà]", "à"),
    ("[à-é]", "ç"),
    ("**", "ab"),
    ("**/b", "a/b"),
]
DIFFERS = [
    ("*.txt", "a/b.txt"),
    ("*.txt", "a.txt.gz"),
    ("?", "ab"),
    ("?", "/"),
    ("a*b", "a/b"),
    ("*", "a/b"),
    ("[a-c]", "d"),
    ("[^a-c]", "a"),
    ("[a]", "ab"),
    ("[z-a]", "m"),
    ("[z-a]", "z"),
    (r"\*", "a"),
    ("a/*", "a"),
    ("*/b", "b"),
    ("A*", "abc"),
    ("**", "a/b"),
]
MALFORMED = [
    "[",
    "[]",
    "[]a]",
    "[a",
    "[a-",
    "[-a]",
    "[^",
    "[^]",
    "a\\",
    "[\\",
    r"[a\]",
    "*[",
    "[a-]",
]


@pytest.mark.parametrize(("pattern", "name"), MATCHES)
def test_pattern_matches(pattern: str, name: str) -> None:
    assert compile_pattern(pattern).fullmatch(name)


@pytest.mark.parametrize(("pattern", "name"), DIFFERS)
def test_pattern_does_not_match(pattern: str, name: str) -> None:
    assert not compile_pattern(pattern).fullmatch(name)


@pytest.mark.parametrize("pattern", MALFORMED)
def test_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BuildError, match="syntax error in pattern"):
        compile_pattern(pattern)


@pytest.mark.parametrize("text", ["*", "a?", "[a]", r"\\*", "a\nb*", r"a\*b*"])
def test_wildcards_are_seen(text: str) -> None:
    assert has_wildcards(text)


@pytest.mark.parametrize("text", ["", "a", r"\*", r"\[a]", r"a\?b", "a]", r"\\"])
def test_literal_text_has_no_wildcards(text: str) -> None:
    assert not has_wildcards(text)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a/b/c", ("a/b/c", "")),
        ("a/b*/c", ("a", "b*/c")),
        ("*", ("", "*")),
        (r"a/\*/b?", (r"a/\*", "b?")),
        ("", ("", "")),
    ],
)
def test_leading_parts_without_wildcards(path: str, parts: tuple[str, str]) -> None:
    assert split_wildcards(path) == parts


@given(st.text(alphabet="ab/*?[]^-\\é.|&~(){}+$", max_size=12))
def test_any_pattern_is_an_expression_or_refused(pattern: str) -> None:
    try:
        compile_pattern(pattern).fullmatch("a/b")
    except BuildError:
        pass


@given(st.text(st.characters(exclude_characters="*?[\\\0"), max_size=12), st.text(max_size=12))
def test_literal_pattern_matches_itself_alone(name: str, other: str) -> None:
    expression = compile_pattern(name)
    assert expression.fullmatch(name)
    assert bool(expression.fullmatch(other)) == (other == name)
