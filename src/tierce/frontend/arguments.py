"""Build arguments: those before the first FROM, those that every build has, those for proxies."""

from __future__ import annotations

from tierce.dockerfile import words
from tierce.dockerfile.instructions import Arg
from tierce.dockerfile.parser import Dockerfile
from tierce.errors import InvalidValue
from tierce.oci.epoch import EPOCH, checked_epoch, is_number, parse_epoch
from tierce.oci.platform import Platform

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NOT_IN_ENVIRONMENT = frozenset(["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"])
"""Arguments for the builder that commands never see, though they are declared."""

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


def platform_arguments(
    build: Platform, target: Platform, stage: str, overrides: Mapping[str, str]
) -> dict[str, str]:
    """The arguments that every build has, without declaring them before FROM."""
    values = {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": build.os_version,
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": target.os_version,
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }
    return {name: overrides.get(name, value) for name, value in values.items()}


def apply_global(
    arguments: dict[str, str], declared: Iterable[Arg], given: Mapping[str, str], file: Dockerfile
) -> None:
    """Add what the ARGs before the first FROM declare. Raises DockerfileError."""
    rules = words.Rules(escape=file.escape)
    for instruction in declared:
        for declaration in instruction.declarations:
            value = given.get(declaration.name)
            if value is None and declaration.default is not None:
                try:
                    value = words.expand(declaration.default, arguments, rules)
                except InvalidValue as error:
                    source = instruction.source
                    raise file.error(error.message, source.first_line, source.last_line) from None
            if value is not None:
                arguments[declaration.name] = value


def epoch_of(text: str, default: int | None, resolve: Callable[[str], int | None]) -> int | None:
    """The time that the image shall tell, in seconds since 1970.

    `text` is the argument for it; `resolve` is asked what has the name that it is. Raises
    UsageError, and what `resolve` raises.
    """
    if text:
        found = parse_epoch(text) if is_number(text) else resolve(text)
        return None if found is None else checked_epoch(found)
    return None if default is None else checked_epoch(default)


def with_epoch(values: Mapping[str, str], epoch: int | None) -> dict[str, str]:
    """Arguments in which the time is the number that it turned out to be, or is not set."""
    if epoch is None:
        return {name: value for name, value in values.items() if name != EPOCH}
    return {name: str(epoch) if name == EPOCH else value for name, value in values.items()}


def proxies(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The variables that RUN sees of proxy arguments, declared or not, in both spellings."""
    found: list[tuple[str, str]] = []
    by_name = {name.lower(): given[name] for name in sorted(given)}
    for name in _PROXIES:
        if value := by_name.get(name):
            found += [(name.upper(), value), (name, value)]
    return tuple(found)
