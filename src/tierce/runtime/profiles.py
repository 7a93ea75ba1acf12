"""Seccomp profiles of the user's own, in docker's form, as a runtime takes them.

Docker's form has conditions on each rule: capabilities, processors, kernels. What is left of a
profile when they are decided is the `linux.seccomp` of the OCI runtime specification.
"""

from __future__ import annotations

import json
import os

from tierce.errors import ContainerError
from tierce.runtime import seccomp

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

BUILTIN = "builtin"

_MACHINES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "i386": ("x86", "SCMP_ARCH_X86"),
    "i686": ("x86", "SCMP_ARCH_X86"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "armv6l": ("arm", "SCMP_ARCH_ARM"),
    "loongarch64": ("loongarch64", "SCMP_ARCH_LOONGARCH64"),
    "ppc64": ("ppc64", "SCMP_ARCH_PPC64"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
}
"""libseccomp's names of processors, by those of uname(2): in conditions, and in lists."""

_COPIED = ("defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")
_COPIED_OF_RULE = ("names", "action", "errnoRet", "args")


def convert(
    text: str, capabilities: Collection[str], *, machine: str = "", release: str = ""
) -> dict[str, Any] | None:
    """A profile's JSON for a container with these capabilities; None when it says nothing.

    "builtin" is docker's own. `machine` and `release` are as in uname(2), this one's when empty.
    Raises ContainerError.
    """
    host = os.uname()
    machine, release = machine or host.machine, release or host.release
    if text == BUILTIN:
        return seccomp.profile(capabilities, machine)
    try:
        profile = _object(json.loads(text))
        return _converted(profile, capabilities, machine, release)
    except (ValueError, RecursionError) as error:
        raise ContainerError(f"Decoding seccomp profile failed: {error}") from error


def _converted(
    profile: dict[str, Any], capabilities: Collection[str], machine: str, release: str
) -> dict[str, Any] | None:
    rules = [_object(rule) for rule in _list(profile.get("syscalls"))]
    if not profile.get("defaultAction") and not rules:
        return None
    name, architecture = _MACHINES.get(machine, (machine, ""))
    architectures = _list(profile.get("architectures"))
    mapped = [_object(entry) for entry in _list(profile.get("archMap"))]
    if architectures and mapped:
        raise ValueError(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either "
            "'architectures' or 'archMap'"
        )
    for entry in mapped:
        if architecture and entry.get("architecture") == architecture:
            architectures = [architecture, *_list(entry.get("subArchitectures"))]
            break
    kept = []
    for rule in rules:
        if rule.get("name"):
            if rule.get("names"):
                raise ValueError(
                    "both 'name' and 'names' are specified in the seccomp profile, use either "
                    "'name' or 'names'"
                )
            rule = {**rule, "names": [rule["name"]]}
        if _counts(rule, capabilities, name, release):
            kept.append({key: rule[key] for key in _COPIED_OF_RULE if rule.get(key) is not None})
    found: dict[str, Any] = {key: profile[key] for key in _COPIED if profile.get(key) is not None}
    return found | {"architectures": architectures, "syscalls": kept}


def _counts(
    rule: dict[str, Any], capabilities: Collection[str], machine: str, release: str
) -> bool:
    excludes = _object(rule.get("excludes") or {})
    if machine in _list(excludes.get("arches")):
        return False
    if any(name in capabilities for name in _list(excludes.get("caps"))):
        return False
    if excludes.get("minKernel") and _is_at_least(release, excludes["minKernel"]):
        return False
    includes = _object(rule.get("includes") or {})
    arches = _list(includes.get("arches"))
    if arches and machine not in arches:
        return False
    if not all(name in capabilities for name in _list(includes.get("caps"))):
        return False
    return not includes.get("minKernel") or _is_at_least(release, includes["minKernel"])


def _is_at_least(release: str, wanted: object) -> bool:
    """Whether a kernel as "6.1.0-17-amd64" is one as "5.12" or later."""
    parts = wanted.split(".") if isinstance(wanted, str) else []
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f'invalid kernel version: {wanted}, expected "<kernel>.<major>"')
    kernel, _, rest = release.partition(".")
    major = rest.split(".")[0].split("-")[0]
    if not (kernel.isdigit() and major.isdigit()):
        raise ValueError(f"this kernel's version is {release}")
    return (int(kernel), int(major)) >= (int(parts[0]), int(parts[1]))


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"an object is expected, not {json.dumps(value)[:40]}")
    return value


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"a list is expected, not {json.dumps(value)[:40]}")
    return value
