"""`tierce container cleanup`: what conmon calls when a container has ended."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.cli.session import Session
from tierce.client.containers import Containers

COMMAND = Command(
    name="container cleanup",
    usage="CONTAINER",
    short="Clear up after a container that has ended",
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    Containers(session.store).clean_up(options.arguments[0])
    return 0
