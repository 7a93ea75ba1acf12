"""What containers may do and use, from Python: `RunRequest.rights`."""

from __future__ import annotations

from tierce.containers.devices import number_of
from tierce.containers.rights import Rights, prepared
from tierce.linux.resources import RATES, Resources

__all__ = ["RATES", "Resources", "Rights", "number_of", "prepared"]
