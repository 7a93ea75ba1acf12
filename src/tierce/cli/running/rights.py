"""What a container may do and use: what the flags of `rightsflags` mean, as docker reads them."""

from __future__ import annotations

import json
import os
import posixpath

from tierce.cli import limits
from tierce.cli.flags import FALSE, TRUE, converted
from tierce.client.rights import RATES, Resources, Rights, number_of, prepared
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tierce.cli.flags import Parsed
    from tierce.cli.session import Session
    from tierce.client.running import RunRequest

_SYSCTLS = frozenset(
    f"kernel.{name}"
    for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split()
)
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")
_UNAVAILABLE = {
    "gpus": "no runtime here adds GPUs to containers",
    "storage-opt": "the size of a container's layer cannot be limited here",
    "cpu-rt-period": "your kernel does not support CPU real-time scheduler",
    "cpu-rt-runtime": "your kernel does not support CPU real-time scheduler",
}
_PROFILE_LIMIT = 4 << 20
"""Bytes of a seccomp profile."""

_NANO = 1_000_000_000


def with_rights(request: RunRequest, options: Parsed, session: Session) -> RunRequest:
    """See `rightsflags`."""
    rights, deprecations = rights_of(options)
    rights, warnings = prepared(
        session.store, rights, privileged=request.privileged, network=request.network
    )
    if rights.uts == "host" and request.hostname:
        raise UsageError("conflicting options: hostname and the UTS mode")
    for line in deprecations:
        session.warn(line)
    for warning in warnings:
        session.warn(f"WARNING: {warning}")
    return request.replace(rights=rights if rights != Rights() else None)


def changes_of(options: Parsed) -> tuple[Resources, int]:
    """What the flags of `update` ask for, and the billionths of a processor in that.

    Raises UsageError.
    """
    changes = Resources.of(limits.group_limits_of(options)).replace(
        memory_reservation=options.integer("memory-reservation"),
        pids=_pids(options.integer("pids-limit")),
        blkio_weight=options.integer("blkio-weight"),
    )
    return changes, _billionths(options.text("cpus"))


def rights_of(options: Parsed) -> tuple[Rights, tuple[str, ...]]:
    """What the flags ask for, and warnings about those that mean nothing any more.

    Raises UsageError.
    """
    warnings: list[str] = []
    limits.check_isolation(options.text("isolation"))
    for name, reason in _UNAVAILABLE.items():
        if options.given(name):
            raise UsageError(f"--{name}: {reason}", hint="leave it out")
    if options.given("kernel-memory"):
        warnings.append(
            "Flag --kernel-memory has been deprecated, and no longer supported by the kernel"
        )
    given = limits.limits_of(options)
    resources, named = _resources(options, Resources.of(given))
    rights = Rights(
        added=_capabilities(options.texts("cap-add")),
        dropped=_capabilities(options.texts("cap-drop")),
        devices=tuple(_device(text) for text in options.texts("device")),
        device_rules=tuple(_device_rule(text) for text in options.texts("device-cgroup-rule")),
        pid=options.text("pid"),
        ipc=options.text("ipc"),
        uts=options.text("uts"),
        cgroupns=options.text("cgroupns"),
        userns=options.text("userns"),
        groups=tuple(options.texts("group-add")),
        sysctls=tuple(_sysctl(name, value) for name, value in options.pairs("sysctl")),
        oom_score_adj=options.integer("oom-score-adj"),
        init=options.flag("init"),
        limits=resources,
        cpus=_billionths(options.text("cpus")),
        device_limits=named,
        ulimits=tuple((limit.name, limit.soft, limit.hard) for limit in given.ulimits),
        shm_size=given.shm_size,
        cgroup_parent=given.cgroup_parent,
        runtime=options.text("runtime"),
    )
    return _secured(rights, options.texts("security-opt")), tuple(warnings)


def _billionths(text: str) -> int:
    """Of a processor; `limits` has checked the text."""
    whole, _, fraction = text.partition(".")
    return int(whole or "0") * _NANO + int(fraction[:9].ljust(9, "0")) if text else 0


def _resources(
    options: Parsed, resources: Resources
) -> tuple[Resources, tuple[tuple[str, str, int], ...]]:
    swappiness = options.integer("memory-swappiness")
    if options.given("memory-swappiness") and not -1 <= swappiness <= 100:
        raise UsageError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    named = [*_weights(options.texts("blkio-weight-device"))]
    for kind in RATES:
        flag = f"device-{kind.replace('_', '-')}"
        named += _rates(options.texts(flag), kind, flag)
    numbers = {path: number_of(path) for _, path, _ in named}
    changed = resources.replace(
        memory_reservation=options.integer("memory-reservation"),
        memory_swappiness=swappiness,
        oom_killer=not options.flag("oom-kill-disable"),
        pids=_pids(options.integer("pids-limit")),
        blkio_weight=options.integer("blkio-weight"),
        device_weights=tuple(
            (*numbers[path], value) for kind, path, value in named if kind == "weight"
        ),
        device_rates=tuple(
            (kind, *numbers[path], value) for kind, path, value in named if kind in RATES
        ),
    )
    return changed, tuple(named)


def _pids(number: int) -> int:
    return max(number, -1)


def _rates(texts: list[str], kind: str, flag: str) -> Iterator[tuple[str, str, int]]:
    """`/dev/sda:1mb`, for operations without a unit."""
    unit = "bytes" if kind.endswith("bps") else "int"
    shape = (
        "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and "
        "can be kb, mb, or gb"
        if unit == "bytes"
        else "<device-path>:<number>. Number must be a positive integer"
    )
    for text in texts:
        path, colon, value = text.partition(":")
        problem = _path_problem(text, path, colon)
        number: object = -1
        if not problem:
            try:
                number = converted(unit, value)
            except ValueError:
                pass
            if not isinstance(number, int) or number < 0:
                problem = f"invalid rate for device: {text}. The correct format is {shape}"
        if problem:
            raise UsageError(f'invalid argument "{text}" for "--{flag}" flag: {problem}')
        assert isinstance(number, int)
        yield kind, path, number


def _weights(texts: list[str]) -> Iterator[tuple[str, str, int]]:
    for text in texts:
        path, colon, value = text.partition(":")
        problem = _path_problem(text, path, colon)
        if not problem and not (value.isascii() and value.isdigit() and len(value) < 5):
            problem = f"invalid weight for device: {text}"
        if not problem and not (value == "0" or 10 <= int(value) <= 1000):
            problem = f"invalid weight for device: {text}"
        if problem:
            raise UsageError(
                f'invalid argument "{text}" for "--blkio-weight-device" flag: {problem}'
            )
        yield "weight", path, int(value)


def _path_problem(text: str, path: str, colon: str) -> str:
    if not colon or not path:
        return f"bad format: {text}"
    return "" if path.startswith("/dev/") else f"bad format for device path: {text}"


def _capabilities(texts: list[str]) -> tuple[str, ...]:
    """Names as docker spells them out; what is none is refused with the rest."""
    found: list[str] = []
    for text in texts:
        name = text.strip().upper()
        if name != "ALL" and not name.startswith("CAP_"):
            name = f"CAP_{name}"
        found.append(name)
    return tuple(sorted(dict.fromkeys(found)))


def _device(text: str) -> tuple[str, str, str]:
    """`/dev/fuse`, `/dev/sda:rw`, `/dev/sda:/dev/disk`, `/dev/sda:/dev/disk:r`."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise UsageError(f"bad format for path: {text}")
    source, target, access = parts[0], parts[0], "rwm"
    if len(parts) == 2 and _is_access(parts[1]):
        access = parts[1]
    elif len(parts) > 1:
        target = parts[1]
    if len(parts) == 3:
        if not _is_access(parts[2]):
            raise UsageError(f"bad mode specified: {parts[2]}")
        access = parts[2]
    for path in (source, target):
        if "=" in path and not path.startswith("/"):
            raise UsageError(
                f"device {text}: no runtime here knows devices of the Container Device Interface"
            )
        if not path.startswith("/"):
            raise UsageError(f"{path} is not an absolute path")
    return source, posixpath.normpath(target), access


def _is_access(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def _device_rule(text: str) -> str:
    """As "c 10:200 rwm", in which numbers may be `*`."""
    kind, _, rest = text.partition(" ")
    numbers, _, access = rest.partition(" ")
    major, colon, minor = numbers.partition(":")
    valid = (
        kind in ("a", "b", "c")
        and colon
        and all(part == "*" or (part.isascii() and part.isdigit()) for part in (major, minor))
        and 1 <= len(access) <= 3
        and set(access) <= set("rwm")
    )
    if not valid:
        raise UsageError(
            f'invalid argument "{text}" for "--device-cgroup-rule" flag: invalid device cgroup '
            f"format '{text}'"
        )
    return text


def _sysctl(name: str, value: str | None) -> tuple[str, str]:
    allowed = name in _SYSCTLS or name.startswith(_SYSCTL_PREFIXES)
    if value is None or not allowed or "/" in name or ".." in name or "\0" in name + value:
        text = name if value is None else f"{name}={value}"
        raise UsageError(
            f'invalid argument "{text}" for "--sysctl" flag: sysctl \'{text}\' is not allowed'
        )
    return name, value


def _secured(rights: Rights, texts: list[str]) -> Rights:
    """With what --security-opt says. Raises UsageError."""
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator and name != "no-new-privileges":
            name, separator, value = text.partition(":")
        if name == "no-new-privileges" or name.startswith("no-new-privileges:"):
            name, value = "no-new-privileges", value or text.partition(":")[2]
        elif not separator or not value:
            raise UsageError(f'invalid --security-opt: "{text}"')
        reader = _OPTIONS.get(name)
        if reader is None:
            raise UsageError(f'invalid --security-opt 2: "{text}"')
        rights = reader(rights, text, value)
    return rights


def _no_new_privileges(rights: Rights, text: str, value: str) -> Rights:
    if value and value not in TRUE | FALSE:
        raise UsageError(f'invalid --security-opt 2: "{text}"')
    return rights.replace(no_new_privileges=value not in FALSE, security=(*rights.security, text))


def _seccomp(rights: Rights, text: str, value: str) -> Rights:
    if value == "unconfined":
        return rights.replace(seccomp="", security=(*rights.security, text))
    if value == "builtin":
        return rights.replace(seccomp="builtin", security=(*rights.security, text))
    try:
        with open(value, "rb") as file:
            content = file.read(_PROFILE_LIMIT + 1)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(
            f"opening seccomp profile ({value}) failed: open {value}: {reason}"
        ) from error
    if len(content) > _PROFILE_LIMIT:
        raise UsageError(f"seccomp profile ({value}): more than {_PROFILE_LIMIT} bytes")
    try:
        profile = json.dumps(json.loads(content), separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"compacting json for seccomp profile ({value}) failed: {error}"
        ) from error
    return rights.replace(seccomp=profile, security=(*rights.security, f"seccomp={profile}"))


def _apparmor(rights: Rights, text: str, value: str) -> Rights:
    return rights.replace(apparmor=value, security=(*rights.security, text))


def _label(rights: Rights, text: str, value: str) -> Rights:
    """Labels are SELinux's: turning them off is what there is without."""
    if value != "disable" and os.path.isdir("/sys/fs/selinux"):
        raise UsageError(f"--security-opt {text}: labels of SELinux are not supported")
    return rights.replace(security=(*rights.security, text))


def _system_paths(rights: Rights, text: str, value: str) -> Rights:
    if value != "unconfined":
        raise UsageError(f'invalid --security-opt 2: "{text}"')
    return rights.replace(unmasked=True)


_OPTIONS: dict[str, Callable[[Rights, str, str], Rights]] = {
    "apparmor": _apparmor,
    "label": _label,
    "no-new-privileges": _no_new_privileges,
    "seccomp": _seccomp,
    "systempaths": _system_paths,
}
