"""Images and their names. Names move last: an image is complete before any name points to it."""

from __future__ import annotations

import time

from tierce.errors import InvalidValue, NotFound
from tierce.oci import media_types
from tierce.oci.config import ImageConfig, chain_ids
from tierce.oci.manifest import Index, Manifest, parse
from tierce.store.catalog import Catalog, Image
from tierce.store.image_removal import ImageRemoval, Removed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.oci.digest import Digest
    from tierce.oci.platform import Platform
    from tierce.oci.reference import Reference
    from tierce.store.blobs import Blobs
    from tierce.store.database import Database
    from tierce.store.leases import Leases

__all__ = ["Image", "Images"]


class Images(Catalog):
    """The images of a store: what `Catalog` looks up, their documents, and all changes."""

    def __init__(self, database: Database, blobs: Blobs, leases: Leases) -> None:
        super().__init__(database)
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

    def set_parent(self, image: Digest, parent: Digest) -> None:
        """Note that a step of a build made an image (an ID) of another one, step by step."""
        self._database.execute(
            "INSERT OR REPLACE INTO image_parents (image, parent) VALUES (?, ?)",
            (str(image), str(parent)),
        )

    # Using

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

    def config(self, image: Image) -> ImageConfig:
        """The image's config. Raises NotFound when its blob is lost."""
        return ImageConfig.parse(self._blobs.read(image.config))

    def manifest(self, image: Image) -> Manifest:
        """The image's manifest. Raises NotFound when its blob is lost."""
        document = parse(self._blobs.read(image.manifest))
        assert isinstance(document, Manifest)
        return document

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

    # Removing

    def remove(self, text: str, *, force: bool = False) -> Removed:
        """Remove what a text on the command line means, as docker does.

        A name is taken away, and with the last name goes the image. An ID stands for the image
        and its name; several names need `force`, and so does an image that a stopped container
        uses. That of a running container stays. Content is freed by the next `gc.collect`.
        Raises NotFound, Conflict, InvalidValue.
        """
        with self._database.removal():
            return ImageRemoval(self._database, self).remove(text, force=force)

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


def _platform_columns(platform: Platform | None) -> tuple[str, str, str]:
    if platform is None:
        return "", "", ""
    return platform.os, platform.architecture, platform.variant
