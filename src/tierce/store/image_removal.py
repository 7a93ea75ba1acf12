"""Removing images: which names go, and whether the image goes with them.

The rules are docker's (moby, daemon/images/image_delete.go), for whoever types `rmi` by heart.
"""

from __future__ import annotations

from tierce.errors import Conflict, NotFound
from tierce.oci.digest import Digest
from tierce.oci.reference import Reference
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.store.database import Database
    from tierce.store.images import Image, Images


class Removed(Value):
    """What removing an image did: names taken away, and images (IDs) deleted."""

    untagged: tuple[Reference, ...] = ()
    deleted: tuple[Digest, ...] = ()


class ImageRemoval:
    """Removes images; inside a transaction of the caller."""

    def __init__(self, database: Database, images: Images) -> None:
        self._database = database
        self._images = images

    def remove(self, text: str, *, force: bool) -> Removed:
        """See `Images.remove`."""
        name = self._images.find_name(text)
        if name is not None:
            return self._remove_name(text, name, force)
        image = self._images.find(text)
        if image is None:
            raise NotFound("image", text)
        names = self._names(image)
        if len([each for each in names if each.tagged]) > 1 and not force:
            raise Conflict(
                f"conflict: unable to delete {image.config.short} (must be forced) - "
                "image is referenced in multiple repositories",
                hint="remove it by its names, or force it",
            )
        self._check_unused(text, image, force)
        if self._has_children(image) and not any(each.tagged for each in names):
            raise Conflict(
                f"conflict: unable to delete {image.config.short} (cannot be forced) - "
                "image has dependent child images",
                hint="remove the images that were made of it first",
            )
        candidates = [image, *self._siblings(names)]
        self._untag(names)
        return Removed(tuple(names), self._delete_unnamed(candidates))

    def _remove_name(self, text: str, name: Reference, force: bool) -> Removed:
        images = self._images_of(name)
        gone = [name]
        for image in images:
            left = [each for each in self._names(image) if each != name]
            if not any(each.tagged for each in left) and name.tagged:
                # Digests under which a registry knows it are no reason to keep it.
                gone += [each for each in left if each not in gone]
                left = []
            if not left:
                self._check_unused(text, image, force)
        self._untag(gone)
        return Removed(tuple(gone), self._delete_unnamed(images))

    def _images_of(self, name: Reference) -> list[Image]:
        """The images that a name points to: several through an index, or none of it are here."""
        target = str(self._images.target(name))
        rows = self._database.all(
            "SELECT manifest FROM images WHERE manifest = ?1 UNION"
            " SELECT manifest FROM images JOIN index_manifests USING (manifest)"
            " WHERE image_index = ?1",
            (target,),
        )
        return [self._images.get(Digest.parse(manifest)) for (manifest,) in rows]

    def _siblings(self, names: Sequence[Reference]) -> list[Image]:
        """All images that lose a name when these go."""
        return [image for name in names for image in self._images_of(name)]

    def _names(self, image: Image) -> list[Reference]:
        return [*self._images.names(image), *self._images.repo_digests(image)]

    def _untag(self, names: Sequence[Reference]) -> None:
        self._database.execute_many(
            "DELETE FROM names WHERE reference = ?", [(str(name),) for name in names]
        )

    def _delete_unnamed(self, candidates: Sequence[Image]) -> tuple[Digest, ...]:
        """Deletes those of the images that have no name left."""
        deleted: list[Digest] = []
        for image in candidates:
            if image.config in deleted or self._names(image) or self._has_children(image):
                continue
            self._database.execute("DELETE FROM images WHERE config = ?", (str(image.config),))
            deleted.append(image.config)
        # An index goes with the last image in it, unless a name still points to it.
        self._database.execute(
            "DELETE FROM image_indexes WHERE digest NOT IN (SELECT target FROM names)"
            " AND NOT EXISTS (SELECT 1 FROM index_manifests JOIN images USING (manifest)"
            " WHERE image_index = digest)"
        )
        return tuple(deleted)

    def _has_children(self, image: Image) -> bool:
        """Whether a step of a build has made another image of it."""
        row = self._database.one(
            "SELECT 1 FROM image_parents JOIN images ON images.config = image"
            " WHERE parent = ? LIMIT 1",
            (str(image.config),),
        )
        return row is not None

    def _check_unused(self, text: str, image: Image, force: bool) -> None:
        row = self._database.one(
            "SELECT id, running FROM containers WHERE image = ? ORDER BY running DESC LIMIT 1",
            (str(image.config),),
        )
        if row is None:
            return
        identifier, running = row
        if running or not force:
            way = "cannot be forced" if running else "must be forced"
            state = "running" if running else "stopped"
            raise Conflict(
                f"conflict: unable to delete {text} ({way}) - image is being used by {state} "
                f"container {identifier[:12]}",
                hint="remove the container first" if running else "",
            )
