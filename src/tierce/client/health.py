"""The health of containers, asked for once."""

from __future__ import annotations

from tierce.containers import probing
from tierce.containers.health import Health, ProbeResult
from tierce.containers.stop import resolve
from tierce.oci.config import Healthcheck
from tierce.store import Store

__all__ = ["Health", "Healthcheck", "ProbeResult", "probe"]


def probe(store: Store, name: str) -> Health | None:
    """Run the check of a container once, and note the answer; what is known of it then.

    None for one without a check, or that does not run. Raises NotFound, InvalidValue, StoreError.
    """
    return probing.probe(store, resolve(store, name))
