"""Where else content is known to be: repositories that images here came from, or went to."""

from __future__ import annotations

from tierce.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.oci.digest import Digest
    from tierce.store.database import Database


def repositories_with(database: Database, layer: Digest, domain: str) -> Sequence[str]:
    """The paths of repositories of a registry that have a layer, by its digest; newest first.

    Known by the names with digests of images: these were pulled, or pushed.
    """
    rows = database.all(
        "SELECT reference, updated FROM names JOIN image_layers ON manifest = target"
        " WHERE digest = ?1 AND substr(reference, 1, ?3) = ?2 AND instr(reference, '@')"
        " UNION SELECT reference, updated FROM names"
        " JOIN index_manifests ON image_index = target"
        " JOIN image_layers ON image_layers.manifest = index_manifests.manifest"
        " WHERE digest = ?1 AND substr(reference, 1, ?3) = ?2 AND instr(reference, '@')"
        " ORDER BY updated DESC, reference",
        (str(layer), f"{domain}/", len(domain) + 1),
    )
    return list(dict.fromkeys(Reference.parse(reference).path for reference, _ in rows))


def is_known_to_a_registry(database: Database, manifest: Digest) -> bool:
    """Whether a manifest was pulled or pushed, so that others know it by its digest."""
    row = database.one(
        "SELECT 1 FROM names WHERE target = ?1 AND instr(reference, '@')"
        " UNION ALL SELECT 1 FROM names JOIN index_manifests ON image_index = target"
        " WHERE manifest = ?1 AND instr(reference, '@') LIMIT 1",
        (str(manifest),),
    )
    return row is not None


def tags_of(database: Database, repository: Reference) -> Sequence[str]:
    """The tags of a repository that are here, sorted."""
    prefix = f"{repository.name}:"
    rows = database.all(
        "SELECT reference FROM names WHERE substr(reference, 1, ?2) = ?1"
        " AND NOT instr(reference, '@') ORDER BY reference",
        (prefix, len(prefix)),
    )
    return [reference.removeprefix(prefix) for (reference,) in rows]
