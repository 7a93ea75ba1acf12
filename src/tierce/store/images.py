"""Images and their names. Names move last: an image is complete before any name points to it."""

from __future__ import annotations

import time

from tierce.errors import InvalidValue, NotFound
from tierce.oci import media_types
from tierce.oci.config import ImageConfig, chain_ids
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, Manifest, parse
from tierce.oci.platform import Platform, best_match
from tierce.oci.reference import Reference
from tierce.store.image_removal import ImageRemoval, Removed
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from tierce.store.blobs import Blobs
    from tierce.store.database import Database
    from tierce.store.leases import Leases

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


class Images:
    """The images of a store."""

    def __init__(self, database: Database, blobs: Blobs, leases: Leases) -> None:
        self._database = database
        self._blobs = blobs
        self._leases = leases

    # Making

    def put(
        self,
        manifest: bytes,
        config: bytes,
        *,
        media_type: str = "",
        size: int | None = None,
    ) -> Image:
        """Add an image by its two documents, kept as they are. Idempotent.

        The layers' content is expected to be here already: as blobs, or as snapshots with their
        diff ids. `size` are the bytes of the layers' files, where the caller knows them better
        than the snapshots do. Raises InvalidValue, DigestMismatch.
        """
        document = parse(manifest, media_type)
        if not isinstance(document, Manifest):
            raise InvalidValue("add image: its manifest is an index")
        image_config = ImageConfig.parse(config)
        if len(document.layers) != len(image_config.diff_ids):
            raise InvalidValue(
                f"add image: {len(document.layers)} layers in the manifest, "
                f"{len(image_config.diff_ids)} in the config"
            )
        with self._leases.ensure("add image"):
            config_digest = self._blobs.put_bytes(config, document.config.media_type)
            if config_digest != document.config.digest:
                raise InvalidValue(
                    f"add image: the manifest names config {document.config.digest}, "
                    f"not {config_digest}"
                )
            manifest_digest = self._blobs.put_bytes(manifest, document.media_type)
            with self._database.transaction():
                self._insert(manifest_digest, document, image_config, size)
        return self.get(manifest_digest)

    def put_index(self, raw: bytes, media_type: str = "") -> Digest:
        """Add an image index, kept as it is; its manifests may come later, or never. Idempotent.

        Raises InvalidValue.
        """
        index = parse(raw, media_type)
        if not isinstance(index, Index):
            raise InvalidValue("add image index: it is the manifest of an image")
        with self._leases.ensure("add image index"):
            digest = self._blobs.put_bytes(raw, index.media_type)
            with self._database.transaction():
                self._database.execute(
                    "INSERT INTO image_indexes (digest, added, lease) VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET lease = max(lease, excluded.lease)",
                    (str(digest), time.time(), self._leases.current),
                )
                self._database.execute_many(
                    "INSERT OR IGNORE INTO index_manifests VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (
                            str(digest),
                            place,
                            str(listed.digest),
                            *_platform_columns(listed.platform),
                        )
                        for place, listed in enumerate(index.manifests)
                    ],
                )
        return digest

    def tag(self, reference: Reference, target: Digest) -> None:
        """Let a name point to a manifest or an index that is here; a tag is "latest" by default.

        Raises NotFound.
        """
        with self._database.transaction():
            known = self._database.one(
                "SELECT 1 FROM images WHERE manifest = ?1"
                " UNION ALL SELECT 1 FROM image_indexes WHERE digest = ?1",
                (str(target),),
            )
            if known is None:
                raise NotFound("image", str(target))
            self._database.execute(
                "INSERT OR REPLACE INTO names (reference, target, updated) VALUES (?, ?, ?)",
                (str(reference.with_default_tag()), str(target), time.time()),
            )

    def untag(self, reference: Reference) -> None:
        """Take a name away, and nothing else. Raises NotFound."""
        name = reference.with_default_tag()
        statement = "DELETE FROM names WHERE reference = ?"
        if not self._database.execute(statement, (str(name),)).rowcount:
            raise NotFound("image", name.familiar)

    # Looking up

    def get(self, manifest: Digest) -> Image:
        """The image with this manifest. Raises NotFound."""
        images = self._select("WHERE manifest = ?", str(manifest))
        if not images:
            raise NotFound("image", str(manifest))
        return images[0]

    def resolve(self, text: str, platform: Platform | None = None) -> Image:
        """The image that a text on the command line means, and protect it by the current lease.

        It may be a name, where the tag is "latest" by default; an image ID or its beginning,
        with or without "sha256:"; the digest of a manifest or an index. Of an index, the image
        that suits `platform` (by default this machine) best is taken.
        Raises NotFound, InvalidValue when a beginning fits several IDs.
        """
        image = self.find(text, platform)
        if image is None:
            raise NotFound("image", text)
        if self._leases.current:
            self.protect(image)
        return image

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

    def config(self, image: Image) -> ImageConfig:
        """The image's config. Raises NotFound when its blob is lost."""
        return ImageConfig.parse(self._blobs.read(image.config))

    def manifest(self, image: Image) -> Manifest:
        """The image's manifest. Raises NotFound when its blob is lost."""
        document = parse(self._blobs.read(image.manifest))
        assert isinstance(document, Manifest)
        return document

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

    def dangling(self) -> Sequence[Image]:
        """Images that no name points to."""
        named = self.all_names()
        return [image for image in self.list() if image.config not in named]

    # Removing

    def remove(self, text: str, *, force: bool = False) -> Removed:
        """Remove what a text on the command line means, as docker does.

        A name is taken away, and with the last name goes the image. An ID stands for the image
        and its name; several names need `force`, and so does an image that a stopped container
        uses. That of a running container stays. Content is freed by the next `gc.collect`.
        Raises NotFound, Conflict, InvalidValue.
        """
        with self._database.transaction():
            return ImageRemoval(self._database, self).remove(text, force=force)

    def protect(self, image: Image) -> None:
        """Protect an image and all it needs by the current lease, even if it gets removed."""
        lease = self._leases.current
        manifest = str(image.manifest)
        with self._database.transaction():
            marked = self._database.execute(
                "UPDATE images SET lease = max(lease, ?) WHERE manifest = ?", (lease, manifest)
            )
            if not marked.rowcount:
                raise NotFound("image", str(image.config))
            self._database.execute(
                "UPDATE blobs SET lease = max(lease, ?) WHERE digest IN (?, ?)"
                " OR digest IN (SELECT digest FROM image_layers WHERE manifest = ?2)"
                " OR diff_id IN (SELECT diff_id FROM image_layers WHERE manifest = ?2)",
                (lease, manifest, str(image.config)),
            )
            if image.chain_id is not None:
                # Ancestors of what is protected are protected.
                self._database.execute(
                    "UPDATE snapshots SET lease = max(lease, ?) WHERE chain_id = ?",
                    (lease, str(image.chain_id)),
                )

    def _insert(
        self, digest: Digest, manifest: Manifest, config: ImageConfig, size: int | None
    ) -> None:
        chain = chain_ids(config.diff_ids)
        if size is None:
            size = self._layers_size(manifest, chain)
        platform = config.platform.normalized()
        top = str(chain[-1]) if chain else None
        self._database.execute(
            "INSERT INTO images (manifest, config, os, architecture, variant, created, size,"
            " chain_id, added, lease) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET size = excluded.size, added = excluded.added,"
            " lease = max(lease, excluded.lease)",
            (
                str(digest),
                str(manifest.config.digest),
                *_platform_columns(platform),
                config.created,
                size,
                top,
                time.time(),
                self._leases.current,
            ),
        )
        self._database.execute_many(
            "INSERT OR IGNORE INTO image_layers (manifest, position, digest, diff_id)"
            " VALUES (?, ?, ?, ?)",
            [
                (str(digest), place, str(layer.digest), str(diff_id))
                for place, (layer, diff_id) in enumerate(zip(manifest.layers, config.diff_ids))
            ],
        )
        for layer, diff_id in zip(manifest.layers, config.diff_ids):
            if media_types.layer_compression(layer.media_type) != "none":
                self._database.execute(
                    "UPDATE blobs SET diff_id = ? WHERE digest = ? AND diff_id IS NULL",
                    (str(diff_id), str(layer.digest)),
                )

    def _layers_size(self, manifest: Manifest, chain: Sequence[Digest]) -> int:
        """What the snapshots know of the layers' sizes, else what the manifest says."""
        total = 0
        for layer, link in zip(manifest.layers, chain):
            row = self._database.one(
                "SELECT size FROM snapshots WHERE chain_id = ? LIMIT 1", (str(link),)
            )
            total += layer.size if row is None else row[0]
        return total

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


def _platform_columns(platform: Platform | None) -> tuple[str, str, str]:
    if platform is None:
        return "", "", ""
    return platform.os, platform.architecture, platform.variant
