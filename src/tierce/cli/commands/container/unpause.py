"""`tierce container unpause`: the processes of containers go on."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Parsed
from tierce.cli.session import Session
from tierce.client.containers import Containers

COMMAND = Command(
    name="container unpause",
    usage="CONTAINER [CONTAINER...]",
    short="Unpause all processes within one or more containers",
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    return do_each(session, options.arguments, Containers(session.store).unpause)
