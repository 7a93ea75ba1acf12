"""SOURCE_DATE_EPOCH: the time that reproducible images tell."""

from __future__ import annotations

from tierce.errors import UsageError

EPOCH = "SOURCE_DATE_EPOCH"

_YEAR_1, _YEAR_10000 = -62135596800, 253402300800
"""RFC 3339 has no way to write a time outside of these years down."""

_DIGITS = len(str(_YEAR_10000))


def parse_epoch(text: str) -> int:
    """Seconds since 1970, out of their decimal digits. Raises UsageError."""
    digits = text.removeprefix("-") if text[:1] == "-" else text.removeprefix("+")
    if not digits or digits.strip("0123456789") or len(digits) > _DIGITS:
        raise _invalid(text)
    return checked_epoch(int(text))


def checked_epoch(seconds: int) -> int:
    """The same time, if it can be written down. Raises UsageError."""
    if not _YEAR_1 <= seconds < _YEAR_10000:
        raise _invalid(str(seconds))
    return seconds


def _invalid(text: str) -> UsageError:
    return UsageError(f"invalid {EPOCH}: {text}", hint="it is a number of seconds since 1970-01-01")
