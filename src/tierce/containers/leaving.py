"""Taking containers that have ended off their network.

What lists and ends containers looks here first whether there is anything to do, and loads what
knows networks only if there is.
"""

from __future__ import annotations

import os

from tierce import runtime
from tierce.store.paths import namespace_owner

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tierce.runtime.network import BridgeNetwork
    from tierce.store import Store


def bridge_of(store: Store) -> BridgeNetwork:
    """The network "bridge" that the containers of a store are on."""
    if namespace_owner(os.environ) is not None:
        return runtime.PastaNetwork(store.paths.networks, os.environ)
    return runtime.BridgeNetwork(store.paths.networks, os.environ)


def is_attached(store: Store, identifier: str) -> bool:
    """Whether a container has something on a network, or has left something there."""
    return os.path.exists(f"{store.paths.networks}/endpoints/{identifier}")


def leave(store: Store, identifier: str) -> None:
    """Releases what a container had on its network; for who holds its lock. Idempotent.

    Its processes have ended. What cannot be released now, is by a later `sweep`.
    """
    if is_attached(store, identifier):
        bridge_of(store).take_down(identifier)


def sweep(store: Store, running: Collection[str], may_leave: Callable[[str], None]) -> None:
    """Has `may_leave` look at containers of this store that have something on a network.

    Not at those that are `running`. What containers had whose store is no more is released.
    """
    try:
        names = os.listdir(f"{store.paths.networks}/endpoints")
    except FileNotFoundError:
        return
    names = [name for name in names if name not in running]
    if not names:
        return
    network = bridge_of(store)
    network.notes.remove_unused_locks(names)
    names = [name for name in names if not name.startswith(".")]
    for identifier in network.notes.left_by(store.paths.database, names):
        note = network.notes.read(identifier)
        if note is not None and note.owner == store.paths.database:
            may_leave(identifier)
        else:
            network.take_down(identifier)
