"""Sizes and times for people, in the words of docker's go-units."""

from __future__ import annotations

import time

DECIMAL_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
HOUR, DAY = 3600, 24


def human_size(size: float, digits: int = 4) -> str:
    """Bytes in decimal units with so many significant digits: `44.82MB`."""
    return _scaled(size, 1000, DECIMAL_UNITS, digits)


def bytes_size(size: float) -> str:
    """Bytes in binary units: `42.74MiB`."""
    return _scaled(size, 1024, BINARY_UNITS, 4)


def human_duration(seconds: float) -> str:
    """About how long that is: `3 minutes`, `About an hour`, `2 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 2 * DAY:
        return f"{hours} hours"
    if hours < 14 * DAY:
        return f"{hours // DAY} days"
    if hours < 60 * DAY:
        return f"{hours // DAY // 7} weeks"
    if hours < 730 * DAY:
        return f"{hours // DAY // 30} months"
    return f"{int(seconds / HOUR) // DAY // 365} years"


def ago(moment: float, now: float | None = None) -> str:
    """How long ago a moment in seconds since the epoch is: `2 weeks ago`."""
    return human_duration((time.time() if now is None else now) - moment) + " ago"


def go_time(moment: float) -> str:
    """The moment in the local time zone, as Go prints times: `2024-05-01 10:00:00 +0200 CEST`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(moment))


def rfc3339(moment: float) -> str:
    """The moment in the local time zone, to the second: `2024-05-01T10:00:00+02:00`."""
    local = time.localtime(moment)
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", local)
    return text[:-5] + "Z" if text.endswith("+0000") else f"{text[:-2]}:{text[-2:]}"


def rfc3339_nano(moment: float) -> str:
    """As `rfc3339`, with a fraction: microseconds, which is what a float of today can tell."""
    whole, microseconds = divmod(round(moment * 1_000_000), 1_000_000)
    text = rfc3339(whole)
    fraction = f".{microseconds:06}".rstrip("0").rstrip(".")
    return f"{text[:19]}{fraction}{text[19:]}"


def _scaled(size: float, base: int, units: tuple[str, ...], digits: int) -> str:
    unit = 0
    while size >= base and unit < len(units) - 1:
        size /= base
        unit += 1
    return f"{size:.{digits}g}{units[unit]}"
