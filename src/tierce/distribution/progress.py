"""What is told while images move: in docker's words, for whoever shows it."""

from __future__ import annotations

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    Report = Callable[["Step"], object]
    """Called from several threads."""


class Step(Value):
    """Something that a transfer has come to.

    `id` is the short name of a layer, or a tag; empty for what is about all. Where there is a
    `total`, `current` of so many bytes are done, and it is told again and again.
    """

    text: str
    id: str = ""
    current: int = 0
    total: int = 0


def untold(_step: Step) -> None:
    """For those who do not want to know."""
