"""`tierce container attach`: our streams on those of a running container."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.running.attaching import DETACH_KEYS, detach_keys
from tierce.cli.session import Session
from tierce.client.attachments import Attachments, AttachOptions

COMMAND = Command(
    name="container attach",
    usage="[OPTIONS] CONTAINER",
    short="Attach local standard input, output, and error streams to a container",
    flags=(
        DETACH_KEYS,
        Flag("no-stdin", help="Do not attach STDIN"),
        Flag("sig-proxy", default=True, help="Proxy all received signals to the process"),
    ),
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    """Attach; the exit status is that of the container's process."""
    session.stdout.flush()
    return Attachments(session.store).attach(
        options.arguments[0],
        AttachOptions(
            stdin=not options.flag("no-stdin"),
            keys=detach_keys(options, session),
            signals=options.flag("sig-proxy"),
        ),
    )
