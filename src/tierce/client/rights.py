"""What containers may do and use, from Python: `RunRequest.rights`."""

from __future__ import annotations

from tierce.containers.devices import number_of
from tierce.containers.rights import Rights, default_cgroup_namespace, missing, prepared
from tierce.containers.stop import resolve
from tierce.containers.updating import update
from tierce.linux.resources import RATES, Resources
from tierce.runtime.bundle import MASKED_PATHS, READ_ONLY_PATHS

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.store import Store

__all__ = [
    "MASKED_PATHS",
    "RATES",
    "READ_ONLY_PATHS",
    "Limits",
    "Resources",
    "Rights",
    "default_cgroup_namespace",
    "missing",
    "number_of",
    "prepared",
]


class Limits:
    """What the containers of one store may use, which are named as in `Containers`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def update(self, name: str, changes: Resources, *, cpus: int = 0) -> tuple[str, ...]:
        """Change those limits that `changes` has, now and for later; warnings of what cannot be.

        `cpus`, in billionths of a processor, is what the quota there stands for, if it does.
        Raises UsageError, Conflict, NotFound, InvalidValue.
        """
        return update(self._store, resolve(self._store, name), changes, cpus=cpus)
