"""The images of a store: listing, looking inside, naming, removing."""

from __future__ import annotations

import tierce.store
from tierce.client.filters import (
    NamePattern,
    created_seconds,
    flag,
    has_labels,
    moment,
    parse_filters,
)
from tierce.errors import InvalidValue, NotFound
from tierce.oci.reference import Reference
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tierce.oci.config import ImageConfig
    from tierce.oci.digest import Digest
    from tierce.oci.platform import Platform
    from tierce.store import Store
    from tierce.store.image_removal import Removed
    from tierce.store.images import Image
    from tierce.store.snapshots.base import LayerDirectories

    Check = Callable[["ListedImage"], bool]

LIST_FILTERS = ("before", "dangling", "label", "label!", "reference", "since", "until")
PRUNE_FILTERS = ("label", "label!", "until")


class ListedImage(Value):
    """An image in a list.

    `names` have tags, `digests` the digests under which registries know it; both are those that
    the filters let through. `created` is in seconds since the epoch, None if the image has no time.
    """

    image: Image
    names: tuple[Reference, ...]
    digests: tuple[Reference, ...]
    created: float | None


class ImageDetails(Value):
    """Everything about an image but its files.

    `last_tagged` is in seconds since the epoch, None for an image that never had a name.
    """

    image: Image
    config: ImageConfig
    names: tuple[Reference, ...]
    digests: tuple[Reference, ...]
    last_tagged: float | None


class HistoryEntry(Value):
    """A step that made the image. `image` is the image ID as of it, where one is known.

    `created` is in seconds since the epoch; `size` in bytes of the files of its layer.
    """

    image: Digest | None
    created: float | None
    created_by: str
    size: int
    comment: str


class Pruned(Value):
    """What a prune removed, and the bytes on disk that it freed."""

    removed: tuple[Removed, ...]
    size: int


class Images:
    """The images of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(
        self, filters: Sequence[str] = (), *, pattern: str = "", all: bool = False
    ) -> Sequence[ListedImage]:
        """The images, newest first. Only with `all`: those between the steps of a build, and of
        an image for several platforms those that do not suit this machine best.

        `filters` are as on the command line: `dangling=true`, `label=name=value`, `label!=name`,
        `before=IMAGE`, `since=IMAGE`, `reference=PATTERN`, `until=24h`; those of one name are
        alternatives only for `reference`. `pattern` is one more reference.
        Raises UsageError, NotFound for an image that a filter names.
        """
        wanted = parse_filters(filters, LIST_FILTERS)
        patterns = [*wanted.pop("reference", []), *([pattern] if pattern else [])]
        checks = self._checks(wanted)
        images = self._store.catalog.list()
        names = self._store.catalog.all_names()
        variants = set() if all else self._variants(names)
        between = set() if all else set(self._store.catalog.parents().values())
        found = []
        for image in images:
            if image.config in variants:
                continue
            if image.config in between and image.config not in names:
                continue
            listed = listed_image(image, names.get(image.config, ()))
            if patterns:
                listed = matching(listed, [NamePattern(text) for text in patterns])
                if not listed.names and not listed.digests:
                    continue
            if all or listed.names or listed.digests or not self._is_intermediate(image):
                found.append(listed)
        found = [listed for listed in found if all_pass(checks, listed)]
        return sorted(found, key=lambda listed: listed.created or 0.0, reverse=True)

    def inspect(self, text: str, platform: Platform | None = None) -> ImageDetails:
        """The image that a name or ID means. Raises NotFound, InvalidValue."""
        image = self._store.images.resolve(text, platform)
        return ImageDetails(
            image,
            self._store.images.config(image),
            tuple(self._store.images.names(image)),
            tuple(self._store.images.repo_digests(image)),
            self._store.images.last_tagged(image),
        )

    def directories(self, config: ImageConfig) -> LayerDirectories | None:
        """Where the files of an image's layers are, after unpacking them; None without layers.

        Raises NotFound for lost content, StoreError, StoreFull.
        """
        snapshots = self._store.snapshots
        with self._store.leases.take("show layers"):
            snapshot = snapshots.for_layers(config.diff_ids)
            return None if snapshot is None else snapshots.directories(snapshot.id)

    def history(self, text: str, platform: Platform | None = None) -> Sequence[HistoryEntry]:
        """The steps that made an image, the last one first. Raises NotFound."""
        image = self._store.images.resolve(text, platform)
        config = self._store.images.config(image)
        sizes = iter(self._layer_sizes(config))
        entries = [
            HistoryEntry(
                None,
                created_seconds(step.created),
                step.created_by,
                0 if step.empty_layer else next(sizes, 0),
                step.comment,
            )
            for step in config.history
        ]
        # Images that no builder made may have fewer steps than layers, or none.
        entries += [HistoryEntry(None, None, "", size, "") for size in sizes]
        for step, known in self._images_of_steps(image).items():
            if step <= len(entries):
                entries[step - 1] = entries[step - 1].replace(image=known)
        entries.reverse()
        if entries:
            entries[0] = entries[0].replace(image=image.config)
        return entries

    def tag(self, source: str, target: str) -> Reference:
        """Give an image one more name; return that in full.

        Raises NotFound, InvalidValue for a name that is none, or has a digest.
        """
        reference = Reference.parse(target)
        if reference.digest is not None:
            raise InvalidValue(f"tag image: {target} has a digest", value=target)
        reference = reference.with_default_tag()
        with self._store.leases.take("tag image"):
            image = self._store.images.resolve(source)
            self._store.images.tag(reference, image.index or image.manifest)
        return reference

    def remove(self, text: str, *, force: bool = False, prune_parents: bool = True) -> Removed:
        """Remove a name or an image, as docker does, and free what nothing else needs.

        With `prune_parents` the unnamed images go too that steps of a build left below it.
        Raises NotFound, Conflict.
        """
        parents = self._intermediate_parents(text) if prune_parents else []
        removed = self._store.images.remove(text, force=force)
        deleted = list(removed.deleted)
        if deleted:
            for parent in parents:
                if self._is_free(parent):
                    deleted += self._store.images.remove(str(parent.config)).deleted
            self._store.collect()
        return removed.replace(deleted=tuple(deleted))

    def prune(self, filters: Sequence[str] = (), *, all: bool = False) -> Pruned:
        """Remove images without a name or, with `all`, those that no container uses.

        `filters` are `label=…`, `label!=…` and `until=…`. Raises UsageError.
        """
        accept = self.acceptable(filters)
        removed = tierce.store.prune_images(self._store, unnamed_only=not all, accept=accept)
        return Pruned(tuple(removed), self._store.collect().size)

    def acceptable(self, filters: Sequence[str]) -> Callable[[Image], bool]:
        """Says of an image whether the filters of a prune let it go. Raises UsageError."""
        checks = self._checks(parse_filters(filters, PRUNE_FILTERS))
        return lambda image: all_pass(checks, listed_image(image, ()))

    def _variants(self, names: Mapping[Digest, Sequence[Reference]]) -> set[Digest]:
        """Images that share every name, an index's, with one that suits this machine better."""
        owners: dict[Reference, list[Digest]] = {}
        for config, known in names.items():
            for name in known:
                owners.setdefault(name, []).append(config)
        # Names of the same images mean the same one of them; an index often has several names.
        groups = {tuple(configs): name for name, configs in owners.items()}
        chosen: set[Digest] = set()
        for configs, name in groups.items():
            image = self._store.catalog.find(str(name)) if len(configs) > 1 else None
            chosen.update(configs if image is None else [image.config])
        return names.keys() - chosen

    def _checks(self, filters: Mapping[str, Sequence[str]]) -> Sequence[Check]:
        """What an image must pass; those that must read its config come last."""
        checks = [dangling_is(flag("dangling", text)) for text in filters.get("dangling", ())]
        checks += [older_than(moment(text)) for text in filters.get("until", ())]
        checks += [older_than(self._created(text)) for text in filters.get("before", ())]
        checks += [newer_than(self._created(text)) for text in filters.get("since", ())]
        wanted, unwanted = filters.get("label", ()), filters.get("label!", ())
        if wanted:
            checks.append(lambda listed: has_labels(self._labels(listed), wanted))
        for label in unwanted:
            checks.append(self._lacks(label))
        return checks

    def _lacks(self, label: str) -> Check:
        return lambda listed: not has_labels(self._labels(listed), (label,))

    def _created(self, text: str) -> float:
        return created_seconds(self._store.images.resolve(text).created) or 0.0

    def _labels(self, listed: ListedImage) -> dict[str, str]:
        return dict(self._store.images.config(listed.image).config.labels)

    def _layer_sizes(self, config: ImageConfig) -> Sequence[int]:
        snapshots = self._store.snapshots
        with self._store.leases.take("show history"):
            snapshot = snapshots.for_layers(config.diff_ids)
            return [] if snapshot is None else [x.size for x in snapshots.chain(snapshot.id)]

    def _images_of_steps(self, image: Image) -> Mapping[int, Digest]:
        """The images that an image was made of, by how many steps they have; the last of each."""
        parents = self._store.images.parents()
        known: dict[int, Digest] = {}
        current = parents.get(image.config)
        while current is not None:
            step = self._store.images.find(str(current))
            assert step is not None
            known.setdefault(len(self._store.images.config(step).history), current)
            current = parents.get(current)
        return known

    def _is_intermediate(self, image: Image) -> bool:
        """Whether an unnamed image stands between the steps of another one."""
        return self._is_step(image) and bool(self._store.images.children(image))

    def _is_step(self, image: Image) -> bool:
        """Whether docker's builder, or ours in its form, made the image for a single step."""
        try:
            return bool(self._store.images.config(image).container)
        except (NotFound, InvalidValue):
            return False

    def _intermediate_parents(self, text: str) -> Sequence[Image]:
        """The unnamed images that an image was made of step by step, the nearest first."""
        image = self._store.images.find(text)
        if image is None:
            return []
        named = self._store.images.all_names()
        made_of = self._store.images.parents()
        steps: list[Image] = []
        current = made_of.get(image.config)
        while current is not None and current not in named:
            step = self._store.images.find(str(current))
            assert step is not None
            steps.append(step)
            current = made_of.get(current)
        parents = [
            other
            for other in self._store.images.list()
            if other.config not in named
            and self._is_step(other)
            and any(child.config == image.config for child in self._store.images.children(other))
        ]
        return steps + sorted(parents, key=lambda parent: parent.size, reverse=True)

    def _is_free(self, image: Image) -> bool:
        images = self._store.images
        if self._store.containers.using(str(image.config)):
            return False
        if image.config in images.parents().values():
            return False
        return not self._is_step(image) or not images.children(image)


def listed_image(image: Image, names: Sequence[Reference]) -> ListedImage:
    return ListedImage(
        image,
        tuple(name for name in names if name.digest is None),
        tuple(name for name in names if name.digest is not None),
        created_seconds(image.created),
    )


def matching(listed: ListedImage, patterns: Sequence[NamePattern]) -> ListedImage:
    """The image with only those names that one of the patterns fits."""

    def fits(name: Reference) -> bool:
        return any(pattern.matches(name) for pattern in patterns)

    return listed.replace(
        names=tuple(filter(fits, listed.names)), digests=tuple(filter(fits, listed.digests))
    )


def is_dangling(listed: ListedImage) -> bool:
    return not listed.names and not listed.digests


def dangling_is(dangling: bool) -> Check:
    return lambda listed: is_dangling(listed) == dangling


def older_than(when: float) -> Check:
    return lambda listed: (listed.created or 0.0) < when


def newer_than(when: float) -> Check:
    return lambda listed: (listed.created or 0.0) > when


def all_pass(checks: Sequence[Check], listed: ListedImage) -> bool:
    return all(check(listed) for check in checks)
