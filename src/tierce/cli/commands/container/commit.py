"""`tierce container commit`: an image of a container, with what it has changed in its files."""

from __future__ import annotations

from tierce.cli.commands.image.import_ import source_date_epoch
from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.container_files import ContainerFiles
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="container commit",
    usage="[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    short="Create a new image from a container's changes",
    flags=(
        Flag("author", "a", kind="string",
             help='Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
        Flag("change", "c", kind="list", help="Apply Dockerfile instruction to the created image"),
        Flag("message", "m", kind="string", help="Commit message"),
        Flag("no-pause", help="Disable pausing container during commit"),
        Flag("pause", "p", default=True, help="Pause container during commit"),
    ),
    minimum=1,
    maximum=2,
    interspersed=False,
)  # fmt: skip


def run(options: Parsed, session: Session) -> int:
    """Make the image; its ID goes to standard output."""
    if options.given("pause") and options.given("no-pause"):
        raise UsageError("conflicting options: --no-pause and --pause cannot be used together")
    container, name, *_ = [*options.arguments, ""]
    image = ContainerFiles(session.store).commit(
        container,
        name,
        author=options.text("author"),
        message=options.text("message"),
        changes=options.texts("change"),
        pause=options.flag("pause") and not options.flag("no-pause"),
        created=source_date_epoch(session.environ),
    )
    session.print(str(image.id))
    return 0
