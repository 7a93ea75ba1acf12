"""`tierce container start`: containers that do not run are started."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.running.attaching import DETACH_KEYS, detach_keys
from tierce.cli.session import Session
from tierce.client.attachments import Attachments, AttachOptions
from tierce.client.containers import Containers
from tierce.errors import UsageError

COMMAND = Command(
    name="container start",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Start one or more stopped containers",
    flags=(
        Flag("attach", "a", help="Attach STDOUT/STDERR and forward signals"),
        DETACH_KEYS,
        Flag("interactive", "i", help="Attach container's STDIN"),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    """Start; with -a or -i, the exit status is that of the container's process."""
    if not options.flag("attach") and not options.flag("interactive"):
        return do_each(session, options.arguments, Containers(session.store).start)
    if len(options.arguments) > 1:
        raise UsageError("you cannot start and attach multiple containers at once")
    session.stdout.flush()
    wanted = AttachOptions(
        stdin=options.flag("interactive"), keys=detach_keys(options, session), signals=True
    )
    return Attachments(session.store).start_attached(options.arguments[0], wanted)
