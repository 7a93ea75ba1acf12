"""What the build cache consists of, item by item: `builder du`, and what `builder prune` removes.

Bytes are those on disk. Each file belongs to one item: a layer to the oldest record of a step that
made it. What images or containers have too is `shared`: it is counted with them, and removing the
record frees nothing of it. The sizes of all other items add up to what `system df` calls build
cache.
"""

from __future__ import annotations

import os

from tierce.store.usage import Measurements
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.store.store import Store

REGULAR = "regular"
CACHE_MOUNT = "exec.cachemount"
CONTEXT = "source.local"
REPOSITORY = "source.git.checkout"
FAILED = "failed"
INTERNAL = "internal"
TYPES = (REGULAR, CACHE_MOUNT, CONTEXT, REPOSITORY, FAILED, INTERNAL)
"""As in BuildKit, but for "failed": the file system of a step that did not succeed."""

_NOBODY = 1 << 62


class CacheItem(Value):
    """One thing that is kept for builds. Times are in seconds since 1970.

    `parents` are the items that it stands on. A `mutable` one may change while builds go on.
    `name` is what it is removed by: of a record its number, of a file its name, empty for what
    goes when nothing refers to it any more.
    """

    id: str
    type: str
    name: str
    description: str
    size: int
    created: float
    last_used: float
    uses: int = 0
    parents: tuple[str, ...] = ()
    shared: bool = False
    in_use: bool = False
    mutable: bool = False
    snapshot: int | None = None


class CacheUsage(Value):
    """All items: those of steps first, the oldest of each type before later ones."""

    items: tuple[CacheItem, ...]

    @property
    def total(self) -> int:
        """Bytes on disk, with what is shared."""
        return sum(each.size for each in self.items)

    @property
    def shared(self) -> int:
        """Bytes that images or containers have too."""
        return sum(each.size for each in self.items if each.shared)

    @property
    def private(self) -> int:
        """Bytes of the build cache alone."""
        return self.total - self.shared

    @property
    def reclaimable(self) -> int:
        """Bytes of what no build uses now."""
        return sum(each.size for each in self.items if not each.in_use)


def cache_usage(store: Store) -> CacheUsage:
    """Every item with its size. Walks the whole store. Raises StoreError."""
    measured = Measurements(store)
    measured.measure()
    oldest = store.leases.oldest_living() or _NOBODY
    return CacheUsage(
        (
            *_layers(store, measured, oldest),
            *_mounts(store, measured, oldest),
            *_files(measured, store.paths.contexts, CONTEXT, "local source for context"),
            *_files(measured, store.paths.repositories, REPOSITORY, "git repository"),
        )
    )


def _layers(store: Store, measured: Measurements, oldest: int) -> Iterator[CacheItem]:
    """Records, failed steps, and layers beneath them that no step of theirs has made."""
    shared = measured.shared_paths()
    left = measured.layer_paths()
    chains = {row.id: row for row in store.snapshots.list()}
    owners: dict[int, str] = {}

    def take(snapshot: int) -> tuple[int, bool]:
        """Bytes of a layer that nobody else was counted for, and whether others have it too."""
        layer = chains[snapshot]
        paths = measured.paths_of(snapshot, layer.diff_id) & left
        left.difference_update(paths)
        mine = paths - shared
        if mine or not paths:
            return measured.sum(mine), False
        return measured.sum(paths), True

    def parents_of(snapshot: int | None) -> tuple[str, ...]:
        number = None if snapshot is None else chains[snapshot].parent
        while number is not None:
            if number in owners:
                return (owners[number],)
            number = chains[number].parent
        return ()

    leases = dict(store.database.all("SELECT id, lease FROM records"))
    for record in store.records.list():
        snapshot = record.snapshot if record.snapshot in chains else None
        size, is_shared = take(snapshot) if snapshot is not None else (0, False)
        yield CacheItem(
            id=str(record.id),
            type=REGULAR,
            name=str(record.id),
            description=record.name,
            size=size,
            created=record.created,
            last_used=record.last_used,
            uses=record.uses,
            parents=parents_of(snapshot),
            shared=is_shared,
            in_use=leases.get(record.id, 0) >= oldest,
            snapshot=snapshot,
        )
        if snapshot is not None:
            owners.setdefault(snapshot, str(record.id))
    for step in store.failed_steps.list():
        if step.snapshot in chains:
            yield CacheItem(
                id=step.short,
                type=FAILED,
                name=step.id,
                description=f"failed: {step.name}",
                size=take(step.snapshot)[0],
                created=step.created,
                last_used=step.created,
                parents=parents_of(step.snapshot),
                snapshot=step.snapshot,
            )
    for number, layer in chains.items():
        paths = measured.paths_of(number, layer.diff_id) & left
        left -= paths
        if paths - shared:
            yield CacheItem(
                id=f"layer-{number}",
                type=REGULAR,
                name="",
                description=f"layer {layer.diff_id.short if layer.diff_id else ''}".rstrip(),
                size=measured.sum(paths - shared),
                created=layer.created,
                last_used=layer.created,
                snapshot=number,
            )
    rest = measured.sum(left - shared)
    if rest:
        yield CacheItem("content", INTERNAL, "", "content of no step", rest, 0.0, 0.0)


def _mounts(store: Store, measured: Measurements, oldest: int) -> Iterator[CacheItem]:
    rows = store.database.all(
        "SELECT id, name, created, last_used, uses, lease FROM cache_mounts WHERE ready ORDER BY id"
    )
    for number, name, created, last_used, uses, lease in rows:
        yield CacheItem(
            id=f"mount-{number}",
            type=CACHE_MOUNT,
            name=name,
            description=f"cached mount {name} from exec",
            size=measured.sum({str(store.paths.cache_mount(number))}),
            created=created,
            last_used=last_used,
            uses=uses,
            in_use=lease >= oldest,
            mutable=True,
        )


def _files(
    measured: Measurements, directory: os.PathLike[str], kind: str, description: str
) -> Iterator[CacheItem]:
    """What is kept in a directory, each by the name of a hash."""
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return  # an older store, which never had any
    for entry in found:
        try:
            changed = entry.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:
            continue  # it was just replaced
        yield CacheItem(
            id=f"{kind.split('.')[1]}-{entry.name}",
            type=kind,
            name=entry.name,
            description=description,
            size=measured.sum({entry.path}),
            created=changed,
            last_used=changed,
            mutable=True,
        )
