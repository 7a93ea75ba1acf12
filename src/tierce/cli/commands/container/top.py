"""`tierce container top`: the processes of a container, as ps(1) shows them."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.cli.format.rows import aligned
from tierce.cli.session import Session
from tierce.client.processes import Processes

NARROWEST_COLUMN = 20

COMMAND = Command(
    name="container top",
    usage="CONTAINER [ps OPTIONS]",
    short="Display the running processes of a container",
    minimum=1,
    maximum=None,
    interspersed=False,
)


def run(options: Parsed, session: Session) -> int:
    name, *words = options.arguments
    rows = Processes(session.store).top(name, words)
    session.stdout.write(aligned(rows, narrowest=NARROWEST_COLUMN))
    return 0
