"""`tierce container wait`: until containers end, and what with."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.cli.session import Session
from tierce.client.containers import Containers
from tierce.errors import TierceError

COMMAND = Command(
    name="container wait",
    usage="CONTAINER [CONTAINER...]",
    short="Block until one or more containers stop, then print their exit codes",
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    containers, status = Containers(session.store), 0
    for name in options.arguments:
        try:
            session.print(str(containers.wait(name)))
            session.stdout.flush()
        except TierceError as error:
            session.report(error)
            status = 1
    return status
