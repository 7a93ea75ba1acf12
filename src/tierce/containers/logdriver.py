"""What `--log-driver` and `--log-opt` ask for."""

from __future__ import annotations

from tierce.containers.logfiles import JSON_FILE, LOCAL, NONE, LogLimits
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

_ATTRIBUTES = ("env", "env-regex", "labels", "labels-regex", "tag")
_OPTIONS = ("max-size", "max-file", "compress")
_EVERY_DRIVER = ("mode", "max-buffer-size")
_LOCAL_SIZE, _LOCAL_FILES = 20 << 20, 5
_UNITS = "kmgtp"


def limits_of(driver: str, options: Mapping[str, str]) -> LogLimits:
    """What is kept of the log of a container. Raises UsageError for what makes no sense."""
    own = driver == LOCAL
    size = _LOCAL_SIZE if own else 0
    files = _LOCAL_FILES if own else 1
    if text := options.get("max-size", ""):
        size = decimal_size(text)
        if size <= 0:
            raise UsageError("max-size must be a positive number")
    if text := options.get("max-file", ""):
        files = _whole_number(text)
        if files < 1:
            raise UsageError("max-file cannot be less than 1")
    return LogLimits(size, files if size else 1)


def check_log_driver(driver: str, options: Mapping[str, str]) -> None:
    """Refuses drivers and options that docker has not, or tierce cannot give. Raises UsageError."""
    if driver == NONE:
        if options:
            raise UsageError("invalid logging opts for driver none")
        return
    if driver not in (JSON_FILE, LOCAL):
        raise UsageError(
            f"logger: no log driver named '{driver}' is registered",
            hint=f"one of {JSON_FILE}, {LOCAL}, {NONE}",
        )
    for name in options:
        if name not in (*_OPTIONS, *_ATTRIBUTES, *_EVERY_DRIVER):
            raise UsageError(f"unknown log opt '{name}' for {driver} log driver")
    if options.get("compress", "false").lower() not in {"", "0", "f", "false"}:
        raise UsageError(
            "log opt compress: files of a log are not compressed", hint="leave it out, or say false"
        )
    if options.get("mode", "blocking") != "blocking" or "max-buffer-size" in options:
        raise UsageError(
            "log opt mode: a container waits until what it writes is in its log",
            hint="leave out mode=non-blocking and max-buffer-size",
        )
    for name in ("env-regex", "labels-regex"):
        _check_pattern(name, options.get(name, ""))
    limits_of(driver, options)


def decimal_size(text: str) -> int:
    """Bytes of "10m" or "1.5 GB", in powers of 1000 as docker has it here. Raises UsageError."""
    number = text.lower().removesuffix("b").removesuffix("i")
    factor = 1
    if number[-1:] and number[-1] in _UNITS:
        factor = int(1000 ** (_UNITS.index(number[-1]) + 1))
        number = number[:-1]
    number = number.removesuffix(" ")
    digits = number.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"invalid size: '{text}'")
    return int(float(number) * factor)


def attributes(
    options: Mapping[str, str],
    *,
    labels: Mapping[str, str],
    env: Mapping[str, str],
    fields: Mapping[str, str],
) -> dict[str, str]:
    """What `logs --details` shows with each line: chosen labels and variables, and the tag.

    `fields` are what a tag may name, as in "{{.Name}}/{{.ID}}".
    """
    found: dict[str, str] = {}
    for kind, values in (("labels", labels), ("env", env)):
        names = options.get(kind, "").split(",")
        found |= {name: values[name] for name in names if name in values}
        if pattern := options.get(f"{kind}-regex", ""):
            import re  # 6 ms, for a rare option

            found |= {name: text for name, text in values.items() if re.search(pattern, name)}
    if tag := options.get("tag", ""):
        for name, text in fields.items():
            tag = tag.replace(f"{{{{.{name}}}}}", text)
        found["tag"] = tag
    return found


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"invalid log opt max-file: '{text}' is no whole number") from None


def _check_pattern(name: str, pattern: str) -> None:
    if not pattern:
        return
    import re  # as above

    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"invalid log opt {name}: {error}") from error
