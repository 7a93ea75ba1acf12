"""SOURCE_DATE_EPOCH: the time that reproducible images tell."""

from __future__ import annotations

from tierce.errors import UsageError

EPOCH = "SOURCE_DATE_EPOCH"

_YEAR_1, _YEAR_10000 = -62135596800, 253402300800
"""RFC 3339 has no way to write a time outside of these years down."""

_DIGITS = len(str(_YEAR_10000))


def is_number(text: str) -> bool:
    """Whether a text is a number of seconds, be it one too large to be a time."""
    digits = text.removeprefix("-") if text[:1] == "-" else text.removeprefix("+")
    return bool(digits) and not digits.strip("0123456789")


def parse_epoch(text: str) -> int:
    """Seconds since 1970, out of their decimal digits. Raises UsageError."""
    if not is_number(text) or len(text.lstrip("+-")) > _DIGITS:
        raise invalid_epoch(text)
    return checked_epoch(int(text))


def checked_epoch(seconds: int) -> int:
    """The same time, if it can be written down. Raises UsageError."""
    if not _YEAR_1 <= seconds < _YEAR_10000:
        raise invalid_epoch(str(seconds))
    return seconds


def invalid_epoch(text: str) -> UsageError:
    """The refusal of a text that tells no time."""
    return UsageError(f"invalid {EPOCH}: {text}", hint="it is a number of seconds since 1970-01-01")
