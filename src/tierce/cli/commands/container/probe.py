"""`tierce container probe`: what the keeper of a container calls, again and again."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.cli.session import Session
from tierce.client import health

COMMAND = Command(
    name="container probe",
    usage="CONTAINER",
    short="Run the health check of a container once",
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    health.probe(session.store, options.arguments[0])
    return 0
