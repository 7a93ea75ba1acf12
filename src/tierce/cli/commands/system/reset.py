"""`tierce system reset`: the store away, wholly."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.format.units import human_size
from tierce.cli.prompt import confirmed
from tierce.client.reset import paths_of, reset

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="system reset",
    usage="[OPTIONS]",
    short="Remove the store with all that is in it",
    flags=(Flag("force", "f", help="Do not prompt for confirmation"),),
)


def run(options: Parsed, session: Session) -> int:
    paths = paths_of(session.root)  # before anything is asked
    warning = [
        f"WARNING! This will remove the store {paths.root}:",
        "  - all containers, also those that run",
        "  - all images",
        "  - all volumes",
        "  - all build cache",
        "",
    ]
    if not options.flag("force") and not confirmed(session, "\n".join(warning)):
        return 0
    done = reset(session.root)
    if done.left:
        session.warn(f"left in {done.root}, as not of the store: {', '.join(done.left)}")
    session.print(f"Total reclaimed space: {human_size(done.size)}")
    return 0
