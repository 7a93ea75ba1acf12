"""`tierce container create`: a container of an image, to be started later."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.cli.running.request import FLAGS, request_of
from tierce.cli.session import Session
from tierce.client.containers import Containers

COMMAND = Command(
    name="container create",
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    short="Create a new container",
    flags=FLAGS,
    minimum=1,
    maximum=None,
    interspersed=False,
)


def run(options: Parsed, session: Session) -> int:
    session.print(Containers(session.store).create(request_of(options, session.environ)))
    return 0
