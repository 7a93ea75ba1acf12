"""`tierce image save`: images into an archive."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.archives import Archives
from tierce.errors import ArchiveError
from tierce.oci.platform import Platform

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image save",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    short="Save one or more images to a tar archive (streamed to STDOUT by default)",
    flags=(
        Flag("output", "o", kind="string", help="Write to a file, instead of STDOUT"),
        Flag("platform", kind="list",
             help="Save only the given platform(s). Formatted as a comma-separated list of"
             ' "os[/arch[/variant]]" (e.g., "linux/amd64,linux/arm64/v8")'),
        Flag("format", kind="string", default="docker",
             help='Format of the archive ("docker", "oci"); an OCI layout may go to a directory'),
    ),
    minimum=1,
    maximum=None,
)  # fmt: skip


def run(options: Parsed, session: Session) -> int:
    """Save; the archive goes to standard output unless a file is named."""
    output = options.text("output")
    if not output and session.stdout.isatty():
        raise ArchiveError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    session.stdout.flush()
    Archives(session.store).save(
        options.arguments,
        output or session.stdout.buffer,
        format=options.text("format"),
        platforms=platforms_of(options),
    )
    return 0


def platforms_of(options: Parsed) -> list[Platform]:
    """What --platform names: a list, or given several times. Raises InvalidValue."""
    texts = [part for text in options.texts("platform") for part in text.split(",")]
    return [Platform.parse(text) for text in texts]
