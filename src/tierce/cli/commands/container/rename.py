"""`tierce container rename`: a container gets another name."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.cli.session import Session
from tierce.client.containers import Containers

COMMAND = Command(
    name="container rename",
    usage="CONTAINER NEW_NAME",
    short="Rename a container",
    minimum=2,
    maximum=2,
)


def run(options: Parsed, session: Session) -> int:
    name, to = options.arguments
    Containers(session.store).rename(name, to)
    return 0
