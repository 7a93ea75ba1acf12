"""`tierce image tag`: one more name for an image."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.client.images import Images

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image tag",
    usage="SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    short="Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    minimum=2,
    maximum=2,
)


def run(options: Parsed, session: Session) -> int:
    source, target = options.arguments
    Images(session.store).tag(source, target)
    return 0
