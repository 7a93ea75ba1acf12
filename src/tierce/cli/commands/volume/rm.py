"""`tierce volume rm`: volumes are removed, with their files."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.volumes import Volumes
from tierce.errors import NotFound

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="volume rm",
    usage="[OPTIONS] VOLUME [VOLUME...]",
    short="Remove one or more volumes",
    flags=(Flag("force", "f", help="Force the removal of one or more volumes"),),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    """Remove; by force, one that is not there is as good as removed, and one in use stays."""
    volumes, force = Volumes(session.store), options.flag("force")

    def remove(name: str) -> None:
        try:
            volumes.remove(name)
        except NotFound:
            if not force:
                raise

    return do_each(session, options.arguments, remove)
