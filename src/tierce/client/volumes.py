"""The volumes of a store: made, listed, removed."""

from __future__ import annotations

import os
import re

from tierce.client.filters import flag, has_labels, parse_filters
from tierce.errors import UsageError
from tierce.store.trash import disk_usage
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.store import Store
    from tierce.store.volumes import Volume

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
LIST_FILTERS = ("dangling", "driver", "label", "name")
PRUNE_FILTERS = ("all", "label", "label!")
OPTIONS = ("device", "o", "type")


class VolumeView(Value):
    """A volume as it is now. `mountpoint` is where its files are, `users` are ids of containers.

    An anonymous one has docker's label for that.
    """

    volume: Volume
    mountpoint: str
    users: tuple[str, ...]

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        mark = ((ANONYMOUS_LABEL, ""),) if self.volume.anonymous else ()
        return tuple(sorted((*mark, *self.volume.labels)))


class VolumesPruned(Value):
    """The names of the volumes that a prune removed, and the bytes on disk that it freed."""

    names: tuple[str, ...]
    size: int


class Volumes:
    """The volumes of one store. All raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> VolumeView:
        """A volume, which may be there already; one without a name gets one.

        `options` are `type`, `device` and `o`, as for mount(8): what is mounted in the place of
        its directory. Raises InvalidValue for a bad name, UsageError for a bad option.
        """
        check_options(options or {})
        volume = self._store.volumes.create(
            name, labels=labels, options=options, anonymous=not name
        )
        with self._store.volumes.hold(volume.name):
            self._store.volumes.directory(volume.name)
        return self._view(volume)

    def list(self, filters: Sequence[str] = ()) -> Sequence[VolumeView]:
        """The volumes, by name. `filters` as in `volume ls --filter`. Raises UsageError."""
        wanted = parse_filters(filters, LIST_FILTERS)
        dangling = [flag("dangling", text) for text in wanted.get("dangling", ())]
        return [
            view
            for view in map(self._view, self._store.volumes.list())
            if all(bool(view.users) != free for free in dangling)
            and all(text == "local" for text in wanted.get("driver", ()))
            and has_labels(dict(view.labels), wanted.get("label", ()))
            and ("name" not in wanted or _matches(view.volume.name, wanted["name"]))
        ]

    def inspect(self, name: str) -> VolumeView:
        """All that is known of a volume. Raises NotFound."""
        return self._view(self._store.volumes.get(name))

    def remove(self, name: str) -> None:
        """Remove a volume with its files. Raises NotFound, Conflict when a container uses it."""
        self._store.volumes.remove(name)

    def size(self, view: VolumeView) -> int:
        """Bytes on disk of a volume's files. Walks them."""
        return disk_usage(os.path.dirname(view.mountpoint))

    def prune(self, filters: Sequence[str] = (), *, all: bool = False) -> VolumesPruned:
        """Remove the anonymous volumes that no container uses; with `all` the named ones, too.

        `filters` are `label=…`, `label!=…` and `all=…`. Raises UsageError.
        """
        wanted = parse_filters(filters, PRUNE_FILTERS)
        named = all or any(flag("all", text) for text in wanted.get("all", ()))
        names = [
            view.volume.name
            for view in self.list()
            if not view.users
            and (named or view.volume.anonymous)
            and has_labels(dict(view.labels), wanted.get("label", ()))
            and not (
                "label!" in wanted
                and any(has_labels(dict(view.labels), [text]) for text in wanted["label!"])
            )
        ]
        with self._store.database.removal():
            gone = self._store.volumes.forget_unused(names)
        return VolumesPruned(tuple(gone), self._store.volumes.clear(gone))

    def _view(self, volume: Volume) -> VolumeView:
        mountpoint = f"{self._store.paths.volume(volume.name)}/_data"
        return VolumeView(volume, mountpoint, tuple(self._store.volumes.users(volume.name)))


def check_options(options: Mapping[str, str]) -> None:
    """Refuse options of a volume that cannot be kept. Raises UsageError."""
    for name in options:
        if name not in OPTIONS:
            raise UsageError(f'invalid option: "{name}"', hint=f"one of {', '.join(OPTIONS)}")
    if not options:
        return
    for name in ("device", "type"):
        if not options.get(name):
            raise UsageError(f"missing required option: {name}")
    if options["type"] == "tmpfs":
        raise UsageError(
            "create volume: type=tmpfs: nothing keeps a volume in memory between containers",
            hint="give the container a directory in memory of its own: --tmpfs or --mount "
            "type=tmpfs",
        )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """As docker: a regular expression, which a part of the name is."""
    try:
        return any(re.search(pattern, name) for pattern in patterns)
    except re.error as error:
        raise UsageError(f"invalid filter 'name': {error}") from error
