"""`tierce container prune`: containers that do not run away."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.format.units import human_size
from tierce.cli.prompt import confirmed
from tierce.client.container_prune import prune_containers

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.cli.session import Session

COMMAND = Command(
    name="container prune",
    usage="[OPTIONS]",
    short="Remove all stopped containers",
    flags=(
        Flag(
            "filter",
            kind="list",
            shown="filter",
            help='Provide filter values (e.g. "until=<timestamp>")',
        ),
        Flag("force", "f", help="Do not prompt for confirmation"),
    ),
)

STOPPED = "all stopped containers"


def run(options: Parsed, session: Session) -> int:
    warning = f"WARNING! This will remove {STOPPED}."
    if not options.flag("force") and not confirmed(session, warning):
        return 0
    pruned = prune_containers(session.store, options.texts("filter"))
    session.stdout.write(deleted_containers(pruned.ids))
    session.print(f"Total reclaimed space: {human_size(pruned.size)}")
    return 0


def deleted_containers(ids: Sequence[str]) -> str:
    """What was removed, in docker's words; nothing if nothing was."""
    return "\n".join(["Deleted Containers:", *ids, "", ""]) if ids else ""
