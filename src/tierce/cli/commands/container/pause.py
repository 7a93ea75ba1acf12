"""`tierce container pause`: the processes of containers are held up."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Parsed
from tierce.cli.session import Session
from tierce.client.containers import Containers

COMMAND = Command(
    name="container pause",
    usage="CONTAINER [CONTAINER...]",
    short="Pause all processes within one or more containers",
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    return do_each(session, options.arguments, Containers(session.store).pause)
