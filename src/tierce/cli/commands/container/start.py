"""`tierce container start`: containers that do not run are started, in the background."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.logging import print_logs
from tierce.cli.session import Session
from tierce.client.containers import Containers
from tierce.errors import UsageError

COMMAND = Command(
    name="container start",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Start one or more stopped containers",
    flags=(Flag("attach", "a", help="Show STDOUT/STDERR until the container ends"),),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    """Start; with -a, the exit status is that of the container's process."""
    containers = Containers(session.store)
    if not options.flag("attach"):
        return do_each(session, options.arguments, containers.start)
    if len(options.arguments) > 1:
        raise UsageError("you cannot start and attach multiple containers at once")
    [name] = options.arguments
    return containers.start_attached(name, lambda lines: print_logs(session, lines))
