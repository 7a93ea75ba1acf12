"""What containers use of the machine, from Python."""

from __future__ import annotations

from tierce.containers import listing, stats, stop
from tierce.containers.stats import Sample
from tierce.store import Store

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Sample", "Stats"]


class Stats:
    """The use of the containers of one store, which are named as in `Containers`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def samples(self, names: Sequence[str] = (), *, all: bool = False) -> list[Sample]:
        """What these containers have used until now, or those that run, or `all`.

        The load of processors is seen from two samples. Raises NotFound, InvalidValue, StoreError.
        """
        if names:
            rows = [stop.resolve(self._store, name) for name in names]
        else:
            views = listing.views(self._store)
            chosen = [view.id for view in views if all or view.running]
            rows = [row for row in self._store.containers.list() if row.id in chosen]
        return [stats.sample(self._store, row) for row in rows]
