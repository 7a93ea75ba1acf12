"""Which images a store has, and under which names: all that a list of images needs.

Only rows are read here, never the documents of an image: reading those, and whatever changes
something, is in `images`, which costs a command's start more.
"""

from __future__ import annotations

from tierce.errors import InvalidValue, NotFound
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform, best_match
from tierce.oci.reference import Reference
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from tierce.store.database import Database

_HEX = "0123456789abcdef"


class Image(Value):
    """An image for one platform.

    `manifest` and `config` are digests; that of the config is the image ID. `index` is the
    image index through which it was reached, or None. `created` is the RFC 3339 time in the
    config, `size` the bytes of its layers' files, `chain_id` names all its layers (None: it has
    none), `added` is when it came into this store, in seconds since the epoch.
    """

    manifest: Digest
    config: Digest
    platform: Platform
    created: str | None
    size: int
    chain_id: Digest | None
    added: float
    index: Digest | None = None

    @property
    def id(self) -> Digest:
        """The image ID."""
        return self.config


_COLUMNS = (
    "images.manifest, images.config, images.os, images.architecture, images.variant,"
    " images.created, images.size, images.chain_id, images.added"
)


class Catalog:
    """The rows of a store's images and names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, manifest: Digest) -> Image:
        """The image with this manifest. Raises NotFound."""
        images = self._select("WHERE manifest = ?", str(manifest))
        if not images:
            raise NotFound("image", str(manifest))
        return images[0]

    def find(self, text: str, platform: Platform | None = None) -> Image | None:
        """As `resolve`, but None for what is not here, and without protecting it."""
        name = self.find_name(text)
        if name is not None:
            return self._at(self._target(name), platform)
        return self._by_digest(text, platform)

    def find_name(self, text: str) -> Reference | None:
        """The name in this store that a text means, or None."""
        try:
            reference = Reference.parse(text).with_default_tag()
        except InvalidValue:
            return None
        if reference.tag is not None and reference.digest is not None:
            reference = reference.replace(tag=None)
        row = self._database.one("SELECT 1 FROM names WHERE reference = ?", (str(reference),))
        return None if row is None else reference

    def target(self, reference: Reference) -> Digest:
        """The digest of the manifest or index that a name points to. Raises NotFound."""
        name = self.find_name(str(reference))
        if name is None:
            raise NotFound("image", reference.familiar)
        return self._target(name)

    def list(self) -> Sequence[Image]:
        """All images, one per image ID, newest first."""
        images = self._select(
            "WHERE manifest = (SELECT manifest FROM images AS same"
            " WHERE same.config = images.config ORDER BY added DESC, manifest LIMIT 1)"
        )
        # Times are text of any precision and zone: compared as text only among equals.
        return sorted(images, key=lambda image: (image.created or "", image.added), reverse=True)

    def names(self, image: Image) -> Sequence[Reference]:
        """The names with tags that point to the image, also through an index; sorted."""
        return [name for name in self._all_names(image) if name.digest is None]

    def repo_digests(self, image: Image) -> Sequence[Reference]:
        """The names with digests under which registries know the image; sorted."""
        return [name for name in self._all_names(image) if name.digest is not None]

    def last_tagged(self, image: Image) -> float | None:
        """When one of its names was last given to the image, in seconds since the epoch."""
        row = self._database.one(
            "SELECT max(updated) FROM names WHERE target IN (SELECT manifest FROM images"
            " WHERE config = ?1 UNION SELECT image_index FROM index_manifests"
            " JOIN images USING (manifest) WHERE config = ?1)",
            (str(image.config),),
        )
        return None if row is None else row[0]

    def all_names(self) -> Mapping[Digest, Sequence[Reference]]:
        """Every name with a tag or digest, by image ID: one query for a whole listing."""
        rows = self._database.all(
            "SELECT images.config, reference FROM names JOIN images ON manifest = target"
            " UNION SELECT images.config, reference FROM names"
            " JOIN index_manifests ON image_index = target"
            " JOIN images ON images.manifest = index_manifests.manifest ORDER BY reference"
        )
        names: dict[Digest, list[Reference]] = {}
        for config, reference in rows:
            names.setdefault(Digest.parse(config), []).append(Reference.parse(reference))
        return names

    def children(self, image: Image) -> Sequence[Image]:
        """Images with the same first layers and more on top."""
        layers = self._diff_ids(image)
        if not layers:
            return []
        rows = self._database.all(
            "SELECT manifest FROM image_layers WHERE position = ? AND diff_id = ?",
            (len(layers) - 1, layers[-1]),
        )
        candidates = [self.get(Digest.parse(manifest)) for (manifest,) in rows]
        return [
            other
            for other in candidates
            if other.config != image.config
            and len(found := self._diff_ids(other)) > len(layers)
            and found[: len(layers)] == layers
        ]

    def parents(self) -> Mapping[Digest, Digest]:
        """Of which image (ID) each was made that a step of a build made, where that is here."""
        rows = self._database.all(
            "SELECT DISTINCT image, parent FROM image_parents"
            " JOIN images ON images.config = parent WHERE image IN (SELECT config FROM images)"
        )
        return {Digest.parse(image): Digest.parse(parent) for image, parent in rows}

    def dangling(self) -> Sequence[Image]:
        """Images that no name points to."""
        named = self.all_names()
        return [image for image in self.list() if image.config not in named]

    def _by_digest(self, text: str, platform: Platform | None) -> Image | None:
        prefix = text.removeprefix("sha256:")
        if not prefix or prefix.strip(_HEX) or len(prefix) > 64:
            return None
        first, after = f"sha256:{prefix}", f"sha256:{prefix}g"
        configs = self._database.all(
            "SELECT DISTINCT config FROM images WHERE config >= ? AND config < ? LIMIT 2",
            (first, after),
        )
        if len(configs) > 1:
            raise InvalidValue(f"find image {text}: several image IDs begin so", value=text)
        if configs:
            return self._select(
                "WHERE config = ? ORDER BY added DESC, manifest LIMIT 1", configs[0][0]
            )[0]
        return self._at(Digest.parse(first), platform) if len(prefix) == 64 else None

    def _at(self, target: Digest, platform: Platform | None) -> Image | None:
        """The image of a manifest's or index's digest."""
        images = self._select("WHERE manifest = ?", str(target))
        if images:
            return images[0]
        listed = self._select(
            "JOIN index_manifests USING (manifest) WHERE image_index = ? ORDER BY position",
            str(target),
        )
        best = best_match(platform or Platform.host(), [image.platform for image in listed])
        if best is None:
            # Somebody who asked for no platform means what there is.
            best = 0 if listed and platform is None else None
        return None if best is None else listed[best].replace(index=target)

    def _target(self, name: Reference) -> Digest:
        row = self._database.one("SELECT target FROM names WHERE reference = ?", (str(name),))
        if row is None:
            raise NotFound("image", name.familiar)
        return Digest.parse(row[0])

    def _all_names(self, image: Image) -> Sequence[Reference]:
        rows = self._database.all(
            "SELECT reference FROM names JOIN images ON manifest = target WHERE config = ?1"
            " UNION SELECT reference FROM names JOIN index_manifests ON image_index = target"
            " JOIN images ON images.manifest = index_manifests.manifest WHERE config = ?1"
            " ORDER BY reference",
            (str(image.config),),
        )
        return [Reference.parse(reference) for (reference,) in rows]

    def _diff_ids(self, image: Image) -> Sequence[str]:
        rows = self._database.all(
            "SELECT diff_id FROM image_layers WHERE manifest = ? ORDER BY position",
            (str(image.manifest),),
        )
        return [diff_id for (diff_id,) in rows]

    def _select(self, condition: str, *parameters: Any) -> Sequence[Image]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM images {condition}", parameters)
        return [_image(row) for row in rows]


def _image(row: tuple[Any, ...]) -> Image:
    manifest, config, system, architecture, variant, created, size, chain_id, added = row
    return Image(
        Digest.parse(manifest),
        Digest.parse(config),
        Platform(system, architecture, variant),
        created,
        size,
        None if chain_id is None else Digest.parse(chain_id),
        added,
    )
