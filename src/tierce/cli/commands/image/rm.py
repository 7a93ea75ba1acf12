"""`tierce image rm`: names and images away."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.images import Images
from tierce.errors import NotFound, TierceError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image rm",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    short="Remove one or more images",
    flags=(
        Flag("force", "f", help="Force removal of the image"),
        Flag("no-prune", help="Do not delete untagged parents"),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    """Remove what can be; one that cannot be does not keep the others. Those are reported."""
    images = Images(session.store)
    force = options.flag("force")
    status = 0
    for name in options.arguments:
        try:
            removed = images.remove(name, force=force, prune_parents=not options.flag("no-prune"))
        except TierceError as error:
            session.report(error)
            if not (force and isinstance(error, NotFound)):
                status = 1
            continue
        for reference in removed.untagged:
            session.print(f"Untagged: {reference.familiar}")
        for image_id in removed.deleted:
            session.print(f"Deleted: {image_id}")
    return status
