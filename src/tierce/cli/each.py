"""Commands that do the same to each of several things, and name those that it was done to."""

from __future__ import annotations

from tierce.errors import TierceError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.cli.session import Session


def do_each(session: Session, names: Sequence[str], action: Callable[[str], object]) -> int:
    """Print each name, as it was given, when its action is done; the exit status.

    One that fails is reported, and holds up no other.
    """
    status = 0
    for name in names:
        try:
            action(name)
        except TierceError as error:
            session.report(error)
            status = 1
        else:
            session.print(name)
            session.stdout.flush()
    return status
