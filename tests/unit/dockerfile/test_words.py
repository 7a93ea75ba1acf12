"""Quotes, escapes and variables."""

import pytest

from tierce.dockerfile.words import DEPTH_LIMIT, SUBSTITUTION_LIMIT, Rules, expand, split
from tierce.errors import InvalidValue

VARIABLES = {"FOO": "foo", "EMPTY": "", "LONG": "foobarbaz", "PATH_": "a/b/c", "ü": "umlaut"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$FOO", "foo"),
        ("${FOO}x", "foox"),
        ("$FOOx", ""),
        ("$FOO-x", "foo-x"),
        ("$ü", "umlaut"),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$1x", "x"),
        ("$@$?", ""),
        ("'$FOO'", "$FOO"),
        ('"$FOO"', "foo"),
        ("'a\\'", "a\\"),
        ('"a\\"b"', 'a"b'),
        ('"a\\b"', "a\\b"),
        ('"a\\$FOO"', "a$FOO"),
        ("\\$FOO", "$FOO"),
        ("\\a", "a"),
        ("a\\", "a"),
        ("a<b", "a<b"),
        ("<< EOF", "<< EOF"),
    ],
)
def test_quotes_escapes_and_names(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${FOO:-x}", "foo"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE-x}", "x"),
        ("${FOO:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NONE+x}", ""),
        ("${FOO:?x}", "foo"),
        ("${NONE:-${FOO}bar}", "foobar"),
        ("${NONE:-'}'}", "}"),
        ("${NONE:-a\\}b}", "a}b"),
        ("${LONG#*o}", "obarbaz"),
        ("${LONG##*o}", "barbaz"),
        ("${LONG%ba*}", "foobar"),
        ("${LONG%%ba*}", "foo"),
        ("${LONG#x}", "foobarbaz"),
        ("${LONG#???}", "barbaz"),
        ("${PATH_/\\//-}", "a-b/c"),
        ("${PATH_//\\//-}", "a-b-c"),
        ("${LONG/ba/$FOO}", "foofoorbaz"),
        ("${NONE/a/b}", ""),
    ],
)
def test_substitutions(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("'x", "looking for matching single-quote"),
        ('"x', "looking for matching double-quote"),
        ("${", "syntax error: missing '}'"),
        ("${FOO", "syntax error: missing '}'"),
        ("${FOO:-x", "syntax error: missing '}'"),
        ("${FOO/x}", "syntax error: missing '/' in ${}"),
        ("${FOO/x/y", "syntax error: missing '}'"),
        ("${}", "bad substitution"),
        ("${{FOO}}", "bad substitution"),
        ("${FOO^}", "unsupported modifier (^)"),
        ("${FOO:#x}", "unsupported modifier (:#)"),
        ("${NONE?}", "NONE: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${NONE:?say it}", "NONE: say it"),
        ("${FOO#\\x}", "invalid escape '\\x'"),
    ],
)
def test_mistakes_are_named(text: str, cause: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        expand(text, VARIABLES)
    assert cause in caught.value.message
    assert caught.value.value == text


def test_backtick_as_escape_leaves_backslashes_alone() -> None:
    assert expand("C:\\dir\\`$FOO", VARIABLES, Rules(escape="`")) == "C:\\dir\\$FOO"


def test_raw_quotes_and_unset_variables_stay_for_the_shell() -> None:
    rules = Rules(raw_quotes=True, keep_unset=True)
    text = "'$FOO' \"$FOO\" $NONE ${NONE} ${NONE:-x} ${NONE/a/b}"
    assert expand(text, VARIABLES, rules) == ("'$FOO' \"foo\" $NONE ${NONE} ${NONE:-x} ${NONE/a/b}")


def test_plain_quotes_have_no_meaning() -> None:
    assert expand('it\'s "$FOO"', VARIABLES, Rules(plain_quotes=True)) == 'it\'s "foo"'


def test_words_are_cut_after_expanding() -> None:
    variables = {"TWO": "a b", "ONE": "c"}
    assert split("$TWO '$TWO' \"$TWO\" x\\ y $ONE  ''", variables) == [
        "a", "b", "$TWO", "a b", "x y", "c",
    ]  # fmt: skip


def test_substitutions_too_deep_are_refused_not_recursed() -> None:
    deep = "${x:-" * (DEPTH_LIMIT + 1) + "}" * (DEPTH_LIMIT + 1)
    with pytest.raises(InvalidValue, match="inside one another"):
        expand(deep, {})
    assert expand("${x:-" * DEPTH_LIMIT + "y" + "}" * DEPTH_LIMIT, {}) == "y"


@pytest.mark.parametrize("text", ["$A$A", "${A}${A}", "${A%x}${A#x}", "${A//a/bb}", "${A:-}$A"])
def test_expansions_are_bounded(text: str) -> None:
    variables = {"A": "a" * (SUBSTITUTION_LIMIT * 2 // 3)}
    with pytest.raises(InvalidValue, match="expand to more than"):
        expand(text, variables)


def test_patterns_with_many_stars_end() -> None:
    value = "a" * 50_000
    assert expand(f"${{A#{'*a' * 30}b}}", {"A": value}) == value
