"""`tierce volume prune`: volumes that no container uses away."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.format.units import human_size
from tierce.cli.prompt import confirmed
from tierce.client.volumes import Volumes
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.cli.session import Session

COMMAND = Command(
    name="volume prune",
    usage="[OPTIONS]",
    short="Remove unused local volumes",
    flags=(
        Flag("all", "a", help="Remove all unused volumes, not just anonymous ones"),
        Flag(
            "filter",
            kind="list",
            shown="filter",
            help='Provide filter values (e.g. "label=<label>")',
        ),
        Flag("force", "f", help="Do not prompt for confirmation"),
    ),
)

ALL = "all local volumes not used by at least one container"
ANONYMOUS = "anonymous local volumes not used by at least one container"


def run(options: Parsed, session: Session) -> int:
    everything, filters = options.flag("all"), options.texts("filter")
    if everything and any(text.startswith("all=") for text in filters):
        raise UsageError("conflicting options: cannot specify both --all and --filter all=1")
    warning = f"WARNING! This will remove {ALL if everything else ANONYMOUS}."
    if not options.flag("force") and not confirmed(session, warning):
        return 0
    pruned = Volumes(session.store).prune(filters, all=everything)
    session.stdout.write(deleted_volumes(pruned.names))
    session.print(f"Total reclaimed space: {human_size(pruned.size)}")
    return 0


def deleted_volumes(names: Sequence[str]) -> str:
    """What was removed, in docker's words; nothing if nothing was."""
    return "\n".join(["Deleted Volumes:", *names, "", ""]) if names else ""
