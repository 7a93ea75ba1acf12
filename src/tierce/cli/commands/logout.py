"""`tierce logout`: credentials of a registry away."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.client.registries import Registries

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="logout",
    usage="[SERVER]",
    short="Log out from a registry",
    maximum=1,
    details="If no server is specified, Docker Hub is the default.",
)


def run(options: Parsed, session: Session) -> int:
    """Log out. As docker, it ends well also when nothing was stored."""
    server = options.arguments[0] if options.arguments else ""
    done = Registries(session.environ).log_out(server)
    session.print(f"Removing login credentials for {done.host}")
    if done.errors:
        session.warn("WARNING: could not erase credentials:")
        for error in done.errors:
            session.report(error)
    return 0
