"""Whether the limits of a build make sense on this machine."""

from __future__ import annotations

from tierce.linux import resources

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.graph.ops import Limits


def check(limits: Limits) -> None:
    """Refuse, in docker's words, what cannot be held to. Raises UsageError."""
    resources.check(resources.Resources.of(limits))
