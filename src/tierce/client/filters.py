"""The `--filter` of commands on images: `label=…`, `before=…`, `reference=…`, `until=…`."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from tierce.errors import InvalidValue, UsageError
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Mapping, Sequence

TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")
DURATION = r"(\d+(?:\.\d+)?)(ns|us|µs|ms|h|m|s)"
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_filters(texts: Sequence[str], known: Collection[str]) -> dict[str, list[str]]:
    """The values of each filter, from `name=value` texts; `label!=x` has the name "label!".

    Raises UsageError for what is no filter, or none of the known ones.
    """
    filters: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"invalid filter: {text}", hint="write it as name=value")
        name = name.strip().lower()
        if name not in known:
            raise UsageError(f"invalid filter '{name}'", hint=f"one of {', '.join(sorted(known))}")
        filters.setdefault(name, []).append(value.strip())
    return filters


def flag(name: str, value: str) -> bool:
    """The value of a filter that is true or false. Raises UsageError."""
    if value.lower() in TRUE + FALSE:
        return value.lower() in TRUE
    raise UsageError(f"invalid filter '{name}={value}'", hint="its value is true or false")


def has_labels(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """Whether all labels are there that `name` or `name=value` ask for."""
    for text in wanted:
        name, equals, value = text.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def moment(text: str, now: float | None = None) -> float:
    """Seconds since the epoch from a duration before now (`24h`, `1h30m`), a time or a number.

    Raises UsageError.
    """
    import re  # 6 ms: most lists are not filtered

    parts = re.findall(DURATION, text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        ago = sum(float(number) * UNITS[unit] for number, unit in parts)
        return (time.time() if now is None else now) - ago
    try:
        return float(text)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"invalid time: {text}", hint="such as 24h, 2024-05-01T10:00:00, or seconds since 1970"
        ) from None
    return when.timestamp()


def created_seconds(created: str | None) -> float | None:
    """Seconds since the epoch of an image's time in RFC 3339; None if it has none."""
    if not created:
        return None
    try:
        when = datetime.fromisoformat(created)
    except ValueError:
        return None
    # Years before 1 in other zones; docker shows those as no time as well.
    return when.timestamp() if when.tzinfo else when.replace(tzinfo=UTC).timestamp()


class NamePattern:
    """A pattern for names of images: `alpine`, `alpine:3.*`, `docker.io/*/app`.

    It stands for a name without the tag, or for all of it; `*` and `?` stop at a slash.
    """

    def __init__(self, text: str) -> None:
        self._pattern = glob(text)
        self._exact: Reference | None = None
        try:
            self._exact = Reference.parse(text)
        except InvalidValue:
            pass  # a real pattern

    def matches(self, name: Reference) -> bool:
        exact = self._exact
        if exact is not None and exact.name == name.name:
            return not exact.tagged or exact.tag == name.tag
        texts = (name.familiar, name.familiar_name)
        return any(self._pattern.fullmatch(text) for text in texts)


def glob(pattern: str) -> re.Pattern[str]:
    """A shell pattern in the rules of Go's path.Match. Raises UsageError if it is none."""
    import re  # as in `moment`

    parts = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif character == "\\" and position < len(pattern):
            parts.append(re.escape(pattern[position]))
            position += 1
        elif character == "[":
            end = pattern.find("]", position + 1)
            if end < 0:
                raise UsageError(f"invalid pattern: {pattern}", hint="a [ has no ]")
            inside = pattern[position:end].replace("\\", r"\\").replace("--", r"\--")
            for operator in "[&|~":  # of sets, which Python warns that it may have one day
                inside = inside.replace(operator, f"\\{operator}")
            parts.append(f"[{inside}]")
            position = end + 1
        else:
            parts.append(re.escape(character))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        raise UsageError(f"invalid pattern: {pattern}") from None
