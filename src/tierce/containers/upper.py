"""The writable layer of a container: what the container itself has written there.

What was made there for mounts is not the container's. While it runs that is left out; when it has
ended, it is removed.
"""

from __future__ import annotations

from contextlib import contextmanager

from tierce.containers.create import directory_of
from tierce.errors import ContainerError
from tierce.runtime import stubs
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.layer.live import LiveLayer
    from tierce.store import Store
    from tierce.store.containers import ContainerRow
    from tierce.store.snapshots.base import Active


class Upper(Value):
    """A writable layer, while it is looked at."""

    active: Active
    layer: LiveLayer


@contextmanager
def open_upper(store: Store, row: ContainerRow) -> Iterator[Upper]:
    """The writable layer of a container that may be running, for the block.

    Raises ContainerError, NotFound, LayerError.
    """
    if row.snapshot is None:
        raise ContainerError(f"read files of container {row.name}: it has none of its own")
    active = store.snapshots.get_active(row.snapshot)
    record = stubs.read(f"{directory_of(store, row.id)}/{stubs.NAME}")
    hidden, deleted = stubs.hidden_in(store.snapshots.writable(active), record)
    with store.snapshots.live(active, hidden=hidden, deleted=deleted) as layer:
        yield Upper(active, layer)
