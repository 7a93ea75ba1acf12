"""`tierce container rm`: containers and their writable layers are removed."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.session import Session
from tierce.client.containers import Containers
from tierce.errors import NotFound

COMMAND = Command(
    name="container rm",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Remove one or more containers",
    flags=(
        Flag("force", "f", help="Force the removal of a running container (uses SIGKILL)"),
        Flag("volumes", "v", help="Remove anonymous volumes associated with the container"),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    """Remove; by force, one that is not there is reported and no failure, as with docker."""
    containers, force = Containers(session.store), options.flag("force")
    volumes = options.flag("volumes")
    missing = 0

    def remove(name: str) -> None:
        nonlocal missing
        try:
            containers.remove(name, force=force, volumes=volumes)
        except NotFound:
            missing += 1
            raise

    failed = 0
    for name in options.arguments:
        failed += do_each(session, [name], remove)
    return 1 if failed - (missing if force else 0) else 0
