"""What a process may use at most: what the flags of `cli.limitflags` mean.

Grammar and refusals are docker's (its go-units, opts and daemon); `--resource` is buildx's.
"""

from __future__ import annotations

import os

from tierce.cli.flags import converted
from tierce.errors import UsageError
from tierce.graph.ops import Limits, Ulimit
from tierce.worker.isolations import EVERY

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.flags import Parsed

_PERIOD = 100_000
"""Microseconds of --cpus, which is a share of that: the kernel's default."""

_ULIMITS = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending "
    "stack".split()
)
_RESOURCES = (
    *("memory", "memory-swap", "cpu-shares", "cpu-period", "cpu-quota"),
    *("cpuset-cpus", "cpuset-mems"),
)
_UNLIMITED = -1


def limits_of(options: Parsed, resources: list[str] | None = None) -> Limits:
    """What the flags say, and entries of `--resource` before them. Raises UsageError."""
    return group_limits_of(options, resources).replace(
        ulimits=parse_ulimits(options.texts("ulimit")),
        shm_size=options.integer("shm-size"),
        cgroup_parent=parse_cgroup_parent(options.text("cgroup-parent")),
    )


def group_limits_of(options: Parsed, resources: list[str] | None = None) -> Limits:
    """The part of `limits_of` that can be changed while a process runs."""
    limits = Limits()
    for entry in resources or []:
        limits = _with_resource(limits, entry)
    given = {name: value for name in _RESOURCES if (value := _given(options, name))}
    for name, value in given.items():
        limits = limits.replace(**{name.replace("-", "_"): value})
    if options.text("cpus"):
        if limits.cpu_period or limits.cpu_quota:
            which = "Period" if limits.cpu_period else "Quota"
            raise UsageError(f"Conflicting options: Nano CPUs and CPU {which} cannot both be set")
        quota = parse_cpus(options.text("cpus"))
        limits = limits.replace(cpu_period=_PERIOD, cpu_quota=quota)
    return limits


def parse_swap(text: str) -> int:
    """Bytes of memory and swap together; -1 is no limit."""
    if text == str(_UNLIMITED):
        return _UNLIMITED
    value = converted("bytes", text)
    assert isinstance(value, int)
    return value


def parse_cpus(text: str) -> int:
    """The quota, in microseconds of a period of 100 ms, for a number of processors as "1.5"."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not digits.isascii() or not digits.isdigit():
        raise UsageError(
            f'invalid argument "{text}" for "--cpus" flag: failed to parse {text} as a rational '
            "number"
        )
    if len(fraction.rstrip("0")) > 9:
        raise UsageError(f'invalid argument "{text}" for "--cpus" flag: value is too precise')
    available = os.cpu_count() or 1
    if float(text) > available:
        raise UsageError(
            f"range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs "
            "available"
        )
    return round(float(text) * _PERIOD)


def parse_ulimits(texts: list[str]) -> tuple[Ulimit, ...]:
    """`nofile=1024`, `nofile=1024:2048`, `core=-1`; of two of one name the last counts."""
    found: dict[str, Ulimit] = {}
    for text in texts:
        try:
            limit = _ulimit(text)
        except ValueError as error:
            raise UsageError(f'invalid argument "{text}" for "--ulimit" flag: {error}') from None
        found[limit.name] = limit
    return tuple(found[name] for name in sorted(found))


def parse_cgroup_parent(text: str) -> str:
    """A path below the root of each hierarchy. Raises UsageError."""
    if not text.isprintable() or ".." in text.split("/"):
        raise UsageError(f"invalid cgroup parent: {text}", hint="a path without ..")
    return text


def check_isolation(text: str) -> None:
    """Linux has one way to isolate containers, as docker sees it. Raises UsageError."""
    if text.lower() not in ("", "default"):
        raise UsageError(f"invalid isolation '{text}' on linux", hint="leave it out")


def check_build_isolation(text: str) -> str:
    """One of the ways to isolate RUN steps. Raises UsageError."""
    if text.lower() not in EVERY:
        raise UsageError(
            f"invalid isolation '{text}' on linux", hint='"oci" for containers, or "chroot"'
        )
    return text.lower()


def _given(options: Parsed, name: str) -> int | str:
    if name.startswith("cpuset"):
        return options.text(name)
    if name != "memory-swap":
        return options.integer(name)
    text = options.text(name)
    try:
        return parse_swap(text) if text else 0
    except ValueError as error:
        raise UsageError(f'invalid argument "{text}" for "--{name}" flag: {error}') from None


def _with_resource(limits: Limits, entry: str) -> Limits:
    """One entry of --resource, as "memory=2g"."""
    key, equals, value = entry.partition("=")
    key, value = key.strip(), value.strip()
    if not equals:
        raise UsageError(f'invalid resource "{entry}", expected key=value')
    if key not in _RESOURCES:
        raise UsageError(f'unknown resource "{key}"', hint=f"one of {', '.join(_RESOURCES)}")
    try:
        if key.startswith("cpuset"):
            parsed: object = value
        elif key == "memory-swap":
            parsed = parse_swap(value)
        else:
            parsed = converted("bytes" if key == "memory" else "int", value)
    except ValueError as error:
        raise UsageError(f'invalid value "{value}" for resource {key}: {error}') from None
    return limits.replace(**{key.replace("-", "_"): parsed})


def _ulimit(text: str) -> Ulimit:
    """Raises ValueError, in the words of go-units."""
    name, equals, values = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = values.split(":")
    if len(parts) > 2:
        raise ValueError(
            f"too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
        )
    soft, hard = _integer(parts[0]), _integer(parts[-1])
    if hard != _UNLIMITED and (soft == _UNLIMITED or soft > hard):
        shown = f"{soft} > {hard}"
        if soft == _UNLIMITED:
            shown = f"soft: -1 (unlimited), hard: {hard}"
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {shown}")
    return Ulimit(name, soft, hard)


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18 or text in ("-", ""):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    number = int(text)
    if number < _UNLIMITED:
        raise ValueError(f"a limit cannot be negative: {text}")
    return number
