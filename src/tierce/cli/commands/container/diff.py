"""`tierce container diff`: what a container has changed in the files of its image."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.client.container_files import ContainerFiles

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="container diff",
    usage="CONTAINER",
    short="Inspect changes to files or directories on a container's filesystem",
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    """Show the changes: A for added, C for changed, D for deleted."""
    for change in ContainerFiles(session.store).diff(options.arguments[0]):
        session.print(f"{change.kind} /{change.path}")
    return 0
