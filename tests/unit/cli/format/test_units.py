"""Sizes and times in docker's words (the cases are those of go-units' own tests)."""

import time

import pytest

from tierce.cli.format.units import (
    ago,
    bytes_size,
    go_time,
    human_duration,
    human_size,
    rfc3339,
    rfc3339_nano,
)

MINUTE, HOUR, DAY = 60, 3600, 86400
WEEK, MONTH, YEAR = 7 * DAY, 30 * DAY, 365 * DAY


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.45, "Less than a second"), (1, "1 second"), (45, "45 seconds"), (46, "46 seconds"),
        (59, "59 seconds"), (60, "About a minute"), (65, "About a minute"),
        (3 * MINUTE, "3 minutes"),
        (35 * MINUTE, "35 minutes"), (HOUR, "About an hour"), (HOUR + 45 * MINUTE, "2 hours"),
        (3 * HOUR, "3 hours"), (3 * HOUR + 29 * MINUTE, "3 hours"),
        (3 * HOUR + 31 * MINUTE, "4 hours"),
        (24 * HOUR, "24 hours"), (36 * HOUR, "36 hours"), (DAY + 12 * HOUR, "36 hours"),
        (2 * DAY, "2 days"), (7 * DAY, "7 days"), (13 * DAY + 5 * HOUR, "13 days"),
        (2 * WEEK, "2 weeks"), (2 * WEEK + 4 * DAY, "2 weeks"), (3 * WEEK, "3 weeks"),
        (4 * WEEK + 3 * DAY, "4 weeks"), (MONTH, "4 weeks"), (MONTH + 2 * WEEK, "6 weeks"),
        (2 * MONTH, "2 months"), (3 * MONTH + WEEK, "3 months"), (23 * MONTH, "23 months"),
        (24 * MONTH, "24 months"), (24 * MONTH + 2 * WEEK, "2 years"),
        (3 * YEAR + 2 * MONTH, "3 years"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_moment_in_the_past_is_so_long_ago() -> None:
    assert ago(1000.0, now=1180.0) == "3 minutes ago"


@pytest.mark.parametrize(
    ("size", "text", "short"),
    [
        (0, "0B", "0B"), (999, "999B", "999B"), (1000, "1kB", "1kB"), (1024, "1.024kB", "1.02kB"),
        (1000000, "1MB", "1MB"), (1048576, "1.049MB", "1.05MB"), (44821234, "44.82MB", "44.8MB"),
        (3.42e9, "3.42GB", "3.42GB"), (5.372e12, "5.372TB", "5.37TB"),
        (2.22e15, "2.22PB", "2.22PB"),
        (1e24, "1YB", "1YB"),
    ],
)  # fmt: skip
def test_sizes_in_decimal_units(size: float, text: str, short: str) -> None:
    assert human_size(size) == text
    assert human_size(size, 3) == short


@pytest.mark.parametrize(
    ("size", "text"),
    [(1023, "1023B"), (1024, "1KiB"), (1048576, "1MiB"), (3.42 * 2**30, "3.42GiB")],
)
def test_sizes_in_binary_units(size: float, text: str) -> None:
    assert bytes_size(size) == text


def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-2")
    time.tzset()
    try:
        assert go_time(1714557600) == "2024-05-01 12:00:00 +0200 XYZ"
        assert rfc3339(1714557600) == "2024-05-01T12:00:00+02:00"
        assert rfc3339_nano(1714557600.25) == "2024-05-01T12:00:00.25+02:00"
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
        assert rfc3339(1714557600) == "2024-05-01T10:00:00Z"
        assert rfc3339_nano(1714557600) == "2024-05-01T10:00:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()
