"""`tierce image tags` (`tag ls`): the tags that a repository has in its registry."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.client.remoteimages import RemoteImages
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image tags",
    usage="REPOSITORY",
    short="List the tags of a repository in its registry",
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    """A tag on each line, sorted."""
    for tag in RemoteImages(session.environ).tags(Reference.parse(options.arguments[0])):
        session.print(tag)
    return 0
