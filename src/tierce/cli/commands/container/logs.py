"""`tierce container logs`: what a container has written."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.logging import print_logs
from tierce.cli.session import Session
from tierce.client.containers import Containers, LogOptions
from tierce.client.filters import moment
from tierce.errors import UsageError

COMMAND = Command(
    name="container logs",
    usage="[OPTIONS] CONTAINER",
    short="Fetch the logs of a container",
    flags=(
        Flag("details", help="Show extra details provided to logs"),
        Flag("follow", "f", help="Follow log output"),
        Flag(
            "since",
            kind="string",
            help='Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative '
            '(e.g. "42m" for 42 minutes)',
        ),
        Flag(
            "tail",
            "n",
            kind="string",
            default="all",
            help="Number of lines to show from the end of the logs",
        ),
        Flag("timestamps", "t", help="Show timestamps"),
        Flag(
            "until",
            kind="string",
            help='Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative '
            '(e.g. "42m" for 42 minutes)',
        ),
    ),
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    containers = Containers(session.store)
    name = options.arguments[0]
    details = shown_details(containers.log_details(name)) if options.flag("details") else None
    asked = LogOptions(
        follow=options.flag("follow"),
        since=time_of(options.text("since")),
        until=time_of(options.text("until")),
        tail=tail_of(options.text("tail")),
        joined=True,
        times=options.flag("timestamps"),
        prefix=b"" if details is None else f"{details} ".encode(),
    )
    print_logs(session, containers.logs(name, asked))
    return 0


def shown_details(found: dict[str, str]) -> str:
    """`name=value,…`, as in the query of an address."""
    from urllib.parse import quote_plus  # 6 ms, for a rare flag

    return ",".join(f"{quote_plus(name)}={quote_plus(found[name])}" for name in sorted(found))


def time_of(text: str) -> int | None:
    """Nanoseconds since the epoch, None for no time. Raises UsageError."""
    return round(moment(text) * 1_000_000_000) if text else None


def tail_of(text: str) -> int | None:
    """A number of lines, None for all: what is no number, and what is negative, as in docker."""
    if text == "all":
        return None
    try:
        count = int(text)
    except ValueError:
        raise UsageError(f"invalid number of lines: {text}", hint='a number, or "all"') from None
    return count if count >= 0 else None
