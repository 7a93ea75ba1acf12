"""`tierce container stop`: containers end in time, or are killed."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.session import Session
from tierce.client.containers import Containers

COMMAND = Command(
    name="container stop",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Stop one or more running containers",
    flags=(
        Flag("signal", "s", kind="string", help="Signal to send to the container"),
        Flag(
            "timeout",
            "t",
            kind="int",
            default=0,
            help="Seconds to wait before killing the container (-1: for ever)",
        ),
        Flag("time", kind="int", default=0, hidden=True),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    containers, signal = Containers(session.store), options.text("signal")
    given = [name for name in ("timeout", "time") if options.given(name)]
    seconds = options.integer(given[0]) if given else None
    return do_each(
        session,
        options.arguments,
        lambda name: containers.stop(name, signal=signal, seconds=seconds),
    )
