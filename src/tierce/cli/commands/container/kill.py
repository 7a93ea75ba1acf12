"""`tierce container kill`: a signal to containers."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.session import Session
from tierce.client.containers import Containers

COMMAND = Command(
    name="container kill",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Kill one or more running containers",
    flags=(
        Flag("signal", "s", kind="string", default="KILL", help="Signal to send to the container"),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    containers, signal = Containers(session.store), options.text("signal")
    return do_each(session, options.arguments, lambda name: containers.kill(name, signal))
