"""Containers that do not run away, from Python."""

from __future__ import annotations

from tierce.client.filters import has_labels, moment, parse_filters
from tierce.containers import pruning
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.containers.state import ContainerState
    from tierce.store import Store
    from tierce.store.containers import ContainerRow

PRUNE_FILTERS = ("label", "label!", "until")


class ContainersPruned(Value):
    """The ids of the containers that a prune removed, and the bytes on disk that it freed."""

    ids: tuple[str, ...]
    size: int


def prune_containers(store: Store, filters: Sequence[str] = ()) -> ContainersPruned:
    """Remove all containers that do not run; their volumes stay.

    `filters` are `label=…`, `label!=…` and `until=…`, the time they were made. Raises UsageError.
    """
    wanted = parse_filters(filters, PRUNE_FILTERS)
    until = min((moment(text) for text in wanted.get("until", ())), default=float("inf"))

    def accept(row: ContainerRow, state: ContainerState) -> bool:
        labels = dict(state.labels)
        if any(has_labels(labels, [text]) for text in wanted.get("label!", ())):
            return False
        return row.created < until and has_labels(labels, wanted.get("label", ()))

    return ContainersPruned(*pruning.prune(store, accept))
