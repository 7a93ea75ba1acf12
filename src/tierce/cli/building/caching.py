"""What the flags about caches ask of a build: `--cache-from`, `--cache-to`, `--no-cache-filter`."""

from __future__ import annotations

from tierce.cli.flags import FALSE, TRUE
from tierce.dockerfile.mounts import split_fields
from tierce.errors import InvalidValue, UsageError
from tierce.export.cache.options import (
    LATEST,
    MAX,
    MIN,
    MODES,
    CacheDirectory,
    CacheImage,
    DirectoryExport,
    InlineExport,
    RegistryExport,
)
from tierce.export.outputs import COMPRESSIONS, GZIP, Compression
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.cli.flags import Parsed
    from tierce.export.cache.options import CacheExport, CacheSource

_LATER = ("gha", "s3", "azblob")
_HIGHEST_LEVELS = {"gzip": 9, "zstd": 22}
_LEVEL_DIGITS = 3


def cache_sources(options: Parsed) -> tuple[CacheSource, ...]:
    """Where `--cache-from` says that caches are. Raises UsageError."""
    sources: list[CacheSource] = []
    for text in options.texts("cache-from"):
        for kind, attributes in _entries("cache-from", text):
            if kind == "local":
                sources.append(
                    CacheDirectory(
                        _needed("cache-from", text, attributes, "src"),
                        attributes.get("tag", LATEST),
                        attributes.get("digest", ""),
                    )
                )
            elif kind in ("registry", "inline"):
                sources.append(CacheImage(_needed("cache-from", text, attributes, "ref")))
            else:
                raise _unknown("cache-from", kind, "local, registry")
    return tuple(sources)


def cache_exports(options: Parsed) -> tuple[CacheExport, ...]:
    """Where `--cache-to` wants caches. Raises UsageError."""
    exports: list[CacheExport] = []
    for text in options.texts("cache-to"):
        for kind, attributes in _entries("cache-to", text):
            ignore_error = _flag("cache-to", attributes, "ignore-error")
            if kind == "inline":
                exports.append(InlineExport(ignore_error))
            elif kind == "local":
                exports.append(_directory(text, attributes, ignore_error=ignore_error))
            elif kind == "registry":
                exports.append(_registry(text, attributes, ignore_error=ignore_error))
            else:
                raise _unknown("cache-to", kind, "inline, local, registry")
    # As buildx has it: the argument that asked for such a cache before there was the flag.
    inline = dict(options.pairs("build-arg")).get("BUILDKIT_INLINE_CACHE") or ""
    if inline in TRUE and not any(isinstance(each, InlineExport) for each in exports):
        exports.append(InlineExport())
    return tuple(exports)


def uncached_stages(options: Parsed) -> tuple[str, ...]:
    """The stages that `--no-cache-filter` names. Raises UsageError."""
    texts = options.texts("no-cache-filter")
    if texts and options.flag("no-cache"):
        raise UsageError("--no-cache and --no-cache-filter cannot be used together")
    return tuple(name for text in texts for name in text.split(",") if name)


def _registry(text: str, attributes: dict[str, str], *, ignore_error: bool) -> RegistryExport:
    mode, compression = _form(attributes)
    reference = _needed("cache-to", text, attributes, "ref")
    try:
        Reference.parse(reference)
    except InvalidValue as error:
        raise UsageError(f"invalid --cache-to: {text}: {error.message}") from error
    return RegistryExport(reference, mode, compression, ignore_error)


def _directory(text: str, attributes: dict[str, str], *, ignore_error: bool) -> DirectoryExport:
    mode, compression = _form(attributes)
    return DirectoryExport(
        _needed("cache-to", text, attributes, "dest"),
        attributes.get("tag", LATEST),
        mode,
        compression,
        ignore_error,
        _flag("cache-to", attributes, "reset"),
    )


def _form(attributes: dict[str, str]) -> tuple[str, Compression]:
    """Mode and compression of a cache that is written."""
    mode = attributes.get("mode", MIN)
    if mode not in MODES:
        raise UsageError(f"invalid --cache-to: mode={mode}", hint=f"one of {MIN}, {MAX}")
    kind = attributes.get("compression", GZIP)
    if kind not in COMPRESSIONS:
        raise UsageError(
            f"invalid --cache-to: compression={kind}: not supported",
            hint=f"one of {', '.join(COMPRESSIONS)}",
        )
    level: int | None = None
    if "compression-level" in attributes:
        level = _level(kind, attributes["compression-level"])
    return mode, Compression(kind, level, _flag("cache-to", attributes, "force-compression"))


def _entries(flag: str, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Type and attributes of each cache that a value names: `NAME,NAME` or `type=…,key=value`."""
    try:
        fields = split_fields(text)
    except InvalidValue as error:
        raise UsageError(f"invalid --{flag}: {text}: {error.message}") from error
    if "=" not in text:
        for name in fields:
            if name:
                yield "registry", {"ref": name}
        return
    attributes = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"invalid --{flag}: {text}: {field} has no value")
        attributes[name.strip().lower()] = value
    kind = attributes.pop("type", "")
    if not kind:
        raise UsageError(f"invalid --{flag}: {text}: type is missing")
    yield kind, attributes


def _needed(flag: str, text: str, attributes: dict[str, str], name: str) -> str:
    value = attributes.get(name, "")
    if not value:
        raise UsageError(f"invalid --{flag}: {text}: {name} is missing")
    return value


def _flag(flag: str, attributes: dict[str, str], name: str) -> bool:
    value = attributes.get(name, "false")
    if value not in TRUE | FALSE:
        raise UsageError(f"invalid --{flag}: {name}={value}: must be true or false")
    return value in TRUE


def _level(kind: str, text: str) -> int:
    highest = _HIGHEST_LEVELS.get(kind, 9)
    if len(text) > _LEVEL_DIGITS or not text.isdecimal() or int(text) > highest:
        raise UsageError(
            f"invalid --cache-to: compression-level={text}", hint=f"0 to {highest} for {kind}"
        )
    return int(text)


def _unknown(flag: str, kind: str, known: str) -> UsageError:
    cause = "not supported yet" if kind in _LATER else "no such type of cache"
    return UsageError(f"invalid --{flag}: type={kind}: {cause}", hint=f"one of {known}")
