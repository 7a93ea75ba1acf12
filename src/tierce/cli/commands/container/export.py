"""`tierce container export`: all files of a container as a tar."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.container_files import ContainerFiles
from tierce.errors import ArchiveError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="container export",
    usage="[OPTIONS] CONTAINER",
    short="Export a container's filesystem as a tar archive",
    flags=(Flag("output", "o", kind="string", help="Write to a file, instead of STDOUT"),),
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    """Write the tar, to standard output unless a file is named."""
    output = options.text("output")
    if not output and session.stdout.isatty():
        raise ArchiveError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    session.stdout.flush()
    ContainerFiles(session.store).export(options.arguments[0], output or session.stdout.buffer)
    return 0
