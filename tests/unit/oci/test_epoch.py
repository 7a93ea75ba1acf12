"""Times of reproducible images: those that can be written down, and no others."""

import pytest

from tierce.errors import UsageError
from tierce.oci.epoch import checked_epoch, parse_epoch


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("-1", -1), ("+7", 7), ("253402300799", 253402300799), ("0001", 1)],
)
def test_digits_are_seconds(text: str, seconds: int) -> None:
    assert parse_epoch(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "-", "+-1", "--1", "1_0", " 1", "1.5", "९", "now", "253402300800", "9" * 20, "9" * 5000],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid SOURCE_DATE_EPOCH"):
        parse_epoch(text)


@pytest.mark.parametrize("seconds", [-62135596801, 253402300800, 10**20])
def test_a_time_that_no_text_can_tell_is_refused(seconds: int) -> None:
    with pytest.raises(UsageError, match="invalid SOURCE_DATE_EPOCH"):
        checked_epoch(seconds)
