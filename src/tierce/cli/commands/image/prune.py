"""`tierce image prune`: images that nobody uses away."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.format.units import human_size
from tierce.cli.prompt import confirmed
from tierce.client.images import Images, Pruned

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image prune",
    usage="[OPTIONS]",
    short="Remove unused images",
    flags=(
        Flag("all", "a", help="Remove all unused images, not just dangling ones"),
        Flag(
            "filter",
            kind="list",
            shown="filter",
            help='Provide filter values (e.g. "until=<timestamp>")',
        ),
        Flag("force", "f", help="Do not prompt for confirmation"),
    ),
)

ALL = "all images without at least one container associated to them"
DANGLING = "all dangling images"


def run(options: Parsed, session: Session) -> int:
    what = ALL if options.flag("all") else DANGLING
    warning = f"WARNING! This will remove {what}."
    if not options.flag("force") and not confirmed(session, warning):
        return 0
    pruned = Images(session.store).prune(options.texts("filter"), all=options.flag("all"))
    session.stdout.write(deleted_images(pruned))
    session.print(f"Total reclaimed space: {human_size(pruned.size)}")
    return 0


def deleted_images(pruned: Pruned) -> str:
    """What was removed, in docker's words; nothing if nothing was."""
    lines = []
    for removed in pruned.removed:
        lines += [f"untagged: {reference.familiar}" for reference in removed.untagged]
        lines += [f"deleted: {image_id}" for image_id in removed.deleted]
    return "\n".join(["Deleted Images:", *lines, "", ""]) if lines else ""
