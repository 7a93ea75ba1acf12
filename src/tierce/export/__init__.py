"""What a build gives: an image in the store, or what else was asked for."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.export import cache, pushing
    from tierce.export.delivery import deliver
    from tierce.export.outputs import check_outputs

__all__ = ["cache", "check_outputs", "deliver", "pushing"]

_HOMES = {"check_outputs": "outputs", "deliver": "delivery"}


def __getattr__(name: str) -> object:
    # Most builds make an image in the store and need none of what the other outputs do (PEP 562).
    if name in {"cache", "pushing"}:
        return __import__(f"tierce.export.{name}", fromlist=("",))
    if name in _HOMES:
        return getattr(__import__(f"tierce.export.{_HOMES[name]}", fromlist=("",)), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
