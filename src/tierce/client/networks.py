"""The networks of this machine: what containers can be on, and which are."""

from __future__ import annotations

import hashlib
import re

from tierce.client.filters import flag, has_labels, parse_filters
from tierce.containers import listing
from tierce.containers.leaving import bridge_of
from tierce.errors import NotFound, UsageError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.containers.listing import ContainerView
    from tierce.runtime.subnets import Subnet
    from tierce.store import Store

NAMES = ("bridge", "host", "none")
_DRIVERS = {"bridge": "bridge", "host": "host", "none": "null"}
_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_SCOPE = "local"


class NetworkView(Value):
    """A network as it is now. `id` is the same on all machines.

    Only "bridge" has a `subnet`, once a container has been on it since the boot: that was when
    it was `created`, in seconds since the epoch. `interface` is that of the machine.
    `containers` are those that run on it, of this store alone.
    """

    name: str
    id: str
    driver: str
    scope: str = _SCOPE
    created: float = 0.0
    subnet: Subnet | None = None
    interface: str = ""
    containers: tuple[ContainerView, ...] = ()


class Networks:
    """The networks that containers of one store can be on. All raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, filters: Sequence[str] = ()) -> Sequence[NetworkView]:
        """The networks, by name; `filters` as in `network ls --filter`. Raises UsageError."""
        wanted = parse_filters(filters, _FILTERS)
        for kind in wanted.get("type", ()):
            if kind not in {"builtin", "custom"}:
                raise UsageError(f"invalid filter 'type={kind}'", hint="one of builtin, custom")
        dangling = [flag("dangling", text) for text in wanted.get("dangling", ())]
        return [view for view in self._views() if _fits(view, wanted) and True not in dangling]

    def inspect(self, name: str) -> NetworkView:
        """A network by its name, its id or the beginning of that. Raises NotFound."""
        views = self._views()
        found = [view for view in views if name in {view.name, view.id}]
        found = found or [view for view in views if name and view.id.startswith(name)]
        if len(found) != 1:
            raise NotFound("network", name, f"network {name} not found")
        return found[0]

    def _views(self) -> Sequence[NetworkView]:
        running = [view for view in listing.views(self._store) if view.running]
        bridge = bridge_of(self._store)
        subnet = bridge.known_subnet()
        return [
            NetworkView(
                name,
                network_id(name),
                _DRIVERS[name],
                created=bridge.created if name == "bridge" else 0.0,
                subnet=subnet if name == "bridge" else None,
                interface=bridge.bridge if name == "bridge" else "",
                containers=tuple([view for view in running if view.network == name]),
            )
            for name in NAMES
        ]


def network_id(name: str) -> str:
    """The id of a network, the same everywhere."""
    return hashlib.sha256(f"tierce network {name}".encode()).hexdigest()


def _fits(view: NetworkView, wanted: dict[str, list[str]]) -> bool:
    def any_of(name: str, *, fits: Sequence[str]) -> bool:
        return name not in wanted or any(text in fits for text in wanted[name])

    return (
        any_of("driver", fits=[view.driver])
        and any_of("scope", fits=[view.scope])
        and any_of("type", fits=["builtin"])
        and ("id" not in wanted or any(_matches(text, view.id) for text in wanted["id"]))
        and ("name" not in wanted or any(_matches(text, view.name) for text in wanted["name"]))
        and has_labels({}, wanted.get("label", ()))
    )


def _matches(pattern: str, text: str) -> bool:
    """A regular expression, which a part of the text is, as with docker."""
    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise UsageError(f"invalid filter '{pattern}': {error}") from error
