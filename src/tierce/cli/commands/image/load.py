"""`tierce image load`: images out of an archive."""

from __future__ import annotations

from tierce.cli.commands.image.save import platforms_of
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.transfer import TransferLines
from tierce.client.archives import Archives, Progress
from tierce.errors import ArchiveError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image load",
    usage="[OPTIONS]",
    short="Load an image from a tar archive or STDIN",
    flags=(
        Flag("input", "i", kind="string", help="Read from tar archive file, instead of STDIN"),
        Flag("platform", kind="list",
             help="Load only the given platform(s). Formatted as a comma-separated list of"
             ' "os[/arch[/variant]]" (e.g., "linux/amd64,linux/arm64/v8")'),
        Flag("quiet", "q", help="Suppress the load output"),
    ),
)  # fmt: skip


def run(options: Parsed, session: Session) -> int:
    """Load; a line for each name, or for the ID of an image without one."""
    source = options.text("input")
    if not source and session.stdin.isatty():
        raise ArchiveError("requested load from stdin, but stdin is empty")
    shown = session.stderr.isatty() and not options.flag("quiet")
    with TransferLines(session.stderr) as lines:

        def show(progress: Progress) -> None:
            lines.show(progress.name, "Loading layer", progress.current, progress.total)

        loaded = Archives(session.store).load(
            source or session.stdin.buffer,
            platforms=platforms_of(options),
            on_progress=show if shown else None,
        )
    for each in loaded:
        replaced = dict(each.replaced)
        for name in each.names:
            if name in replaced:
                session.print(
                    f"The image {name.familiar} already exists, renaming the old one with ID "
                    f"{replaced[name]} to empty string"
                )
            session.print(f"Loaded image: {name.familiar}")
        if not each.names:
            session.print(f"Loaded image ID: {each.image.id}")
    return 0
