"""What containers may do and use, from Python: `RunRequest.rights`."""

from __future__ import annotations

from tierce.containers.devices import number_of
from tierce.containers.rights import Rights, default_cgroup_namespace, missing, prepared
from tierce.linux.resources import RATES, Resources
from tierce.runtime.bundle import MASKED_PATHS, READ_ONLY_PATHS

__all__ = [
    "MASKED_PATHS",
    "RATES",
    "READ_ONLY_PATHS",
    "Resources",
    "Rights",
    "default_cgroup_namespace",
    "missing",
    "number_of",
    "prepared",
]
