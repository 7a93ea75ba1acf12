"""`tierce container create`: a container of an image, to be started later."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.cli.running.network import tell_of_network
from tierce.cli.running.pulling import with_image
from tierce.cli.running.request import FLAGS, request_of
from tierce.cli.running.rightsflags import with_rights
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
    request = with_rights(request_of(options, session.environ), options, session)
    request = tell_of_network(request, session)
    containers = Containers(session.store)
    session.print(with_image(options, session, lambda: containers.create(request)))
    return 0
