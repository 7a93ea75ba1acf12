"""Platforms: "linux/amd64", "linux/arm/v7" (the rules of github.com/containerd/platforms)."""

from __future__ import annotations

import os
import sys

from tierce.errors import InvalidValue
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Self

    from tierce.oci.document import Fields

_KNOWN_SYSTEMS = frozenset(
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9"
    " solaris windows zos".split()
)
_KNOWN_ARCHITECTURES = frozenset(
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64"
    " mips64le mips64p32 mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm".split()
)
_ALIASES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_DEFAULT_VARIANTS = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
}
_MACHINES = {
    "x86_64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "loongarch64": ("loong64", ""),
}
_COMPONENT_CHARACTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
)


class Platform(Value):
    """What an image runs on.

    `parse` and `host` give the normalised form (arm64 without "v8", arm with its variant); one
    read from a manifest or config keeps the words it was written in, see `normalized`.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "os", "architecture", "os/architecture" or "os/architecture/variant".

        The part that is missing is the host's. Raises InvalidValue.
        """
        parts = text.split("/", 3)
        system, version = _split_version(parts[0])
        for part in (system, *parts[1:]):
            if not part or not _COMPONENT_CHARACTERS.issuperset(part):
                raise _invalid(text, f"invalid component {part!a}")
        if len(parts) > 3:
            raise _invalid(text, "more than os/architecture/variant")
        system = _normalized_system(system)
        if len(parts) > 1:
            variant = parts[2] if len(parts) == 3 else ""
            return cls(system, *_normalized_architecture(parts[1], variant), version)
        if system in _KNOWN_SYSTEMS:
            return cls.host().replace(os=system, os_version=version)
        architecture, variant = _normalized_architecture(system, "")
        if architecture not in _KNOWN_ARCHITECTURES:
            raise _invalid(text, "unknown operating system or architecture")
        return cls(cls.host().os, architecture, variant)

    @classmethod
    def host(cls) -> Self:
        """The platform of this machine."""
        machine = os.uname().machine
        architecture, variant = _MACHINES.get(machine, (machine, ""))
        if machine in ("mips", "mips64") and sys.byteorder == "little":
            architecture += "le"
        return cls("linux", architecture, variant)

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """From the `platform` object of a descriptor, words kept. Raises InvalidValue."""
        return cls(
            fields.text("os"),
            fields.text("architecture"),
            fields.text("variant"),
            fields.text("os.version"),
            fields.texts("os.features") or (),
        )

    def to_json(self) -> dict[str, Any]:
        """The `platform` object of a descriptor, its fields in the order of the specification."""
        fields: dict[str, Any] = {"architecture": self.architecture, "os": self.os}
        if self.os_version:
            fields["os.version"] = self.os_version
        if self.os_features:
            fields["os.features"] = list(self.os_features)
        if self.variant:
            fields["variant"] = self.variant
        return fields

    def normalized(self) -> Self:
        """The one way of writing this platform; an empty `os` is the host's."""
        return type(self)(
            _normalized_system(self.os) or "linux",
            *_normalized_architecture(self.architecture, self.variant),
            self.os_version,
            tuple(sorted(set(self.os_features))),
        )

    def matches(self, other: Platform) -> bool:
        """Whether an image for `other` runs on this platform (an older variant does)."""
        return best_match(self, [other]) is not None

    def __str__(self) -> str:
        if not self.os:
            return "unknown"
        version = f"({self.os_version})" if self.os_version else ""
        return "/".join(
            part for part in (self.os + version, self.architecture, self.variant) if part
        )


def best_match(wanted: Platform, candidates: Sequence[Platform | None]) -> int | None:
    """The position of the candidate that suits `wanted` best, or None if none does.

    As containerd's `platforms.Only`: the same platform first, then what the processor also
    runs, newest first (arm/v7 takes v6 and v5, arm64 takes 32-bit arm, amd64 takes 386). A
    candidate that is None (a descriptor without a platform) suits nothing. Among equals the
    first wins.
    """
    wanted = wanted.normalized()
    known = [
        (place, candidate.normalized())
        for place, candidate in enumerate(candidates)
        if candidate is not None
    ]
    for architecture, variant in _runs(wanted.architecture, wanted.variant):
        for place, candidate in known:
            if (
                candidate.os == wanted.os
                and candidate.architecture == architecture
                and candidate.variant == variant
                and _version_suits(wanted, candidate)
            ):
                return place
    return None


def _runs(architecture: str, variant: str) -> Iterator[tuple[str, str]]:
    """What a processor runs, best first, in normalised form."""
    if architecture == "arm64":
        yield from (("arm64", older) for older in _arm64_variants(variant or "v8"))
        yield from _runs("arm", "v8")
        return
    yield architecture, variant
    version = variant.removeprefix("v")
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 3 else 0
    if architecture == "amd64":
        yield from (("amd64", f"v{older}") for older in range(number - 1, 1, -1))
        if number > 1:
            yield "amd64", ""
        yield "386", ""
    elif architecture == "arm":
        yield from (("arm", f"v{older}") for older in range(number - 1, 4, -1))


def _arm64_variants(variant: str) -> Iterator[str]:
    """Armv9.n contains Armv8.(n+5) (Arm Architecture Reference Manual, "Armv9")."""
    major, _, minor = variant.removeprefix("v").partition(".")
    newest = int(minor) if minor.isascii() and minor.isdigit() and len(minor) < 3 else 0
    if major not in ("8", "9"):
        yield variant
        return
    if major == "9":
        yield from (f"v9.{older}" for older in range(newest, 0, -1))
        yield "v9"
        newest += 5
    yield from (f"v8.{older}" for older in range(newest, 0, -1))
    yield ""


def _version_suits(wanted: Platform, candidate: Platform) -> bool:
    """Only Windows kernels are bound to the version of the image."""
    if wanted.os != "windows" or not wanted.os_version or not candidate.os_version:
        return True
    return wanted.os_version.split(".")[:3] == candidate.os_version.split(".")[:3]


def _split_version(text: str) -> tuple[str, str]:
    system, bracket, version = text.partition("(")
    if not bracket:
        return text, ""
    return (system, version[:-1]) if version.endswith(")") else (text, "")


def _normalized_system(system: str) -> str:
    system = system.lower()
    return "darwin" if system == "macos" else system


def _normalized_architecture(architecture: str, variant: str) -> tuple[str, str]:
    architecture, variant = architecture.lower(), variant.lower()
    if architecture in _ALIASES:
        architecture, implied = _ALIASES[architecture]
        variant = variant if implied is None else implied
    return architecture, _DEFAULT_VARIANTS.get(architecture, {}).get(variant, variant)


def _invalid(text: str, cause: str) -> InvalidValue:
    return InvalidValue(f"parse platform {text!a}: {cause}", value=text)
