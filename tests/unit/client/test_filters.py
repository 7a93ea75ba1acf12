"""What `--filter` means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.client.filters import (
    NamePattern,
    created_seconds,
    flag,
    glob,
    has_labels,
    moment,
    parse_filters,
)
from tierce.errors import UsageError
from tierce.oci.reference import Reference

KNOWN = ("dangling", "label", "label!", "until")


def test_filters_are_collected_by_name() -> None:
    texts = ["label=a=b", "label=c", "label!=d", "dangling=true", "Until= 24h "]
    assert parse_filters(texts, KNOWN) == {
        "label": ["a=b", "c"],
        "label!": ["d"],
        "dangling": ["true"],
        "until": ["24h"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("dangling", "invalid filter: dangling"), ("nope=x", "invalid filter 'nope'")],
)
def test_what_is_no_filter_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filters([text], KNOWN)
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("FALSE", False)])
def test_flags_are_true_or_false(text: str, value: bool) -> None:
    assert flag("dangling", text) is value


def test_flag_of_another_value_is_refused() -> None:
    with pytest.raises(UsageError, match="invalid filter 'dangling=maybe'"):
        flag("dangling", "maybe")


def test_labels_are_asked_for_by_name_or_by_name_and_value() -> None:
    labels = {"a": "1", "b": ""}
    assert has_labels(labels, ["a", "a=1", "b="])
    assert not has_labels(labels, ["a=2"])
    assert not has_labels(labels, ["a", "c"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24h", 1_000_000 - 86400),
        ("1h30m", 1_000_000 - 5400),
        ("1.5s", 1_000_000 - 1.5),
        ("100ms", 1_000_000 - 0.1),
        ("1700000000", 1_700_000_000),
        ("1700000000.5", 1_700_000_000.5),
        ("2024-05-01T10:00:00Z", 1_714_557_600),
        ("2024-05-01T12:00:00+02:00", 1_714_557_600),
    ],
)
def test_moments_are_durations_times_and_numbers(text: str, seconds: float) -> None:
    assert moment(text, now=1_000_000) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "yesterday", "10x", "h", "5 h"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid time"):
        moment(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-05-01T10:00:00Z", 1_714_557_600),
        ("2024-05-01T10:00:00.123456789Z", 1_714_557_600.123456),
        ("2024-05-01T12:00:00+02:00", 1_714_557_600),
        ("1970-01-01T00:00:00Z", 0),
        ("", None),
        (None, None),
        ("0001-01-01T00:00:00Z", -62135596800),
        ("not a time", None),
    ],
)
def test_times_of_images_are_read(text: str | None, seconds: float | None) -> None:
    found = created_seconds(text)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("alpine", "alpine:3.15", True),
        ("alpine:3.15", "alpine:3.15", True),
        ("alpine:3.16", "alpine:3.15", False),
        ("docker.io/library/alpine", "alpine:3.15", True),
        ("docker.io/library/alpine:3.15", "alpine:3.15", True),
        ("alp*", "alpine:3.15", True),
        ("*:3.1?", "alpine:3.15", True),
        ("*", "me/app:1", False),
        ("*/*", "me/app:1", True),
        ("me/*", "me/app:1", True),
        ("app", "me/app:1", False),
        ("[a-c]lpine", "alpine:1", True),
        ("localhost:5000/*", "localhost:5000/x:1", True),
    ],
)
def test_patterns_match_names_with_or_without_their_tag(
    pattern: str, name: str, fits: bool
) -> None:
    assert NamePattern(pattern).matches(Reference.parse(name)) is fits


@pytest.mark.parametrize("pattern", ["[a", "[]", "[z-a]"])
def test_broken_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="invalid pattern"):
        glob(pattern)


@given(st.text(max_size=8))
def test_escaped_pattern_is_its_text(text: str) -> None:
    pattern = "".join("\\" + character for character in text)
    assert glob(pattern).fullmatch(text)


@given(st.text(alphabet="a*?[]\\-^/", max_size=10), st.text(alphabet="a-/]^", max_size=6))
def test_any_pattern_matches_or_is_refused(pattern: str, text: str) -> None:
    try:
        glob(pattern).fullmatch(text)
    except UsageError:
        pass
