"""Text as Go writes and reads it."""

import pytest

from tierce.dockerfile.gotext import duration_text, parse_bool, parse_duration, quote, quoted_list
from tierce.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", '"a b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("a\\b", '"a\\\\b"'),
        ("\t\n\x00\x7f", '"\\t\\n\\x00\\x7f"'),
        ("é日", '"é日"'),
        ("\xa0\u200b", '"\\u00a0\\u200b"'),
        ("\U000e0001", '"\\U000e0001"'),
    ],
)
def test_quoting(text: str, expected: str) -> None:
    assert quote(text) == expected


def test_lists_have_no_commas() -> None:
    assert quoted_list(["node", "index.js"]) == '["node" "index.js"]'
    assert quoted_list([]) == "[]"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("1.5h", 5400 * 10**9),
        ("1m30s", 90 * 10**9),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        ("300ms", 3 * 10**8),
        ("1us2ns", 1002),
        ("1µs", 1000),
        ("-2s", -2 * 10**9),
        ("+2s", 2 * 10**9),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "1", "s", "1x", "1 s", ".", "-", "1.2.3s", "9999999999h", "9" * 5000 + "s", "१s"]
)
def test_bad_durations(text: str) -> None:
    with pytest.raises(InvalidValue, match="time: "):
        parse_duration(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (500_000_000, "500ms"),
        (10**9, "1s"),
        (1_500_000_000, "1.5s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
        (-(10**9), "-1s"),
    ],
)
def test_durations_are_written_as_go_does(nanoseconds: int, text: str) -> None:
    assert duration_text(nanoseconds) == text


def test_booleans() -> None:
    assert [parse_bool(text) for text in ("1", "t", "TRUE", "0", "False")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    with pytest.raises(InvalidValue):
        parse_bool("yes")
