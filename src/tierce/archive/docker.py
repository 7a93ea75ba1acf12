"""Reads docker's own form of an archive: manifest.json, with a config and layers for each image."""

from __future__ import annotations

from tierce.archive.found import FoundImage, FoundLayer, FoundTarget
from tierce.archive.names import BLOBS, MANIFEST
from tierce.archive.source import member, read
from tierce.errors import ArchiveError, DigestMismatch
from tierce.oci import document
from tierce.oci.config import SIZE_LIMIT as CONFIG_LIMIT
from tierce.oci.config import ImageConfig
from tierce.oci.digest import Digest
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.archive.source import Archive
    from tierce.oci.document import Fields

_MANIFEST_LIMIT = 16 << 20


def read_docker(archive: Archive) -> list[FoundTarget]:
    """The images of manifest.json, in its order. Raises ArchiveError, InvalidValue."""
    return [_read_item(archive, item) for item in _items(archive)]


def repository_tags(archive: Archive) -> dict[Digest, tuple[Reference, ...]]:
    """The names that manifest.json gives to each config, by the config's digest."""
    tags: dict[Digest, tuple[Reference, ...]] = {}
    for item in _items(archive):
        digest = Digest.of(_read_config(archive, item))
        tags[digest] = tags.get(digest, ()) + _names(item)
    return tags


def _items(archive: Archive) -> Iterator[Fields]:
    raw = read(archive, MANIFEST, _MANIFEST_LIMIT)
    items = document.load(raw, MANIFEST, size_limit=_MANIFEST_LIMIT)
    if not isinstance(items, list):
        raise ArchiveError(f"read archive: {MANIFEST} is not a list of images")
    for place, item in enumerate(items):
        yield document.Fields(item, f"{MANIFEST}[{place}]")


def _read_item(archive: Archive, item: Fields) -> FoundTarget:
    raw_config = _read_config(archive, item)
    config = ImageConfig.parse(raw_config)
    paths = item.texts("Layers") or ()
    if len(paths) != len(config.diff_ids):
        raise ArchiveError(
            f"read archive: {item.where} has {len(paths)} layers, its config {len(config.diff_ids)}"
        )
    layers = tuple(
        FoundLayer(member(archive, path), diff_id, digest_in_name(path))
        for path, diff_id in zip(paths, config.diff_ids)
    )
    return FoundTarget(_names(item), (FoundImage(config, raw_config, layers),))


def _read_config(archive: Archive, item: Fields) -> bytes:
    name = item.text("Config")
    if not name:
        raise ArchiveError(f"read archive: {item.where} names no config")
    raw = read(archive, name, CONFIG_LIMIT)
    expected = digest_in_name(name)
    if expected is not None and Digest.of(raw, expected.algorithm) != expected:
        actual = Digest.of(raw, expected.algorithm)
        raise DigestMismatch(name, expected=str(expected), actual=str(actual))
    return raw


def _names(item: Fields) -> tuple[Reference, ...]:
    names = tuple(Reference.parse(text) for text in item.texts("RepoTags") or ())
    for name in names:
        if not name.tagged:
            raise ArchiveError(f"read archive: {item.where}: {name.familiar} has no tag")
    return names


def digest_in_name(name: str) -> Digest | None:
    """The digest that a member's name promises: "blobs/sha256/<hex>", or "<hex>.json"."""
    first, *rest = name.removeprefix("./").split("/")
    if first == BLOBS and len(rest) == 2:
        return Digest.parse(":".join(rest))
    stem = first.removesuffix(".json")
    if not rest and stem != first and len(stem) == 64:
        return Digest.parse(f"sha256:{stem}")
    return None
