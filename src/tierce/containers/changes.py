"""What a container has changed in the files of its image: `container diff`."""

from __future__ import annotations

from tierce.containers.upper import open_upper
from tierce.layer.changes import live_changes

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.layer.changes import Change
    from tierce.store import Store
    from tierce.store.containers import ContainerRow


def changes(store: Store, row: ContainerRow) -> list[Change]:
    """The changes, by path; also of a container that runs, at about this moment.

    Raises ContainerError, NotFound, LayerError.
    """
    with store.leases.ensure("container diff"), open_upper(store, row) as upper:
        return list(live_changes(upper.layer, store.snapshots.view(upper.active.parent)))


def size_of(store: Store, row: ContainerRow) -> int:
    """Bytes of the files that a container has added or changed. Raises as `changes`."""
    return sum(change.entry.size for change in changes(store, row) if change.entry is not None)
