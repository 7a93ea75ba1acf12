"""`tierce container cp`: files out of a container, or into it."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.format.units import human_size
from tierce.client.container_files import ContainerFiles
from tierce.errors import ContainerError, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="container cp",
    usage="[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n"
    "        tierce container cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    short="Copy files/folders between a container and the local filesystem",
    flags=(
        Flag("archive", "a", help="Archive mode (copy all uid/gid information)"),
        Flag("follow-link", "L", help="Always follow symlinks in SRC_PATH"),
        Flag("quiet", "q", help="Suppress progress output during copy"),
    ),
    minimum=2,
    maximum=2,
)


def run(options: Parsed, session: Session) -> int:
    """Copy; how much it was is told on a terminal, unless it is to be quiet."""
    source, target = options.arguments
    if not source:
        raise UsageError("source can not be empty")
    if not target:
        raise UsageError("destination can not be empty")
    here, path = split(source)
    there, to = split(target)
    if here and there:
        raise UsageError("copying between containers is not supported")
    if not here and not there:
        raise UsageError("must specify at least one container source")
    if (here and not path) or (there and not to):
        raise UsageError("bad parameter: path cannot be empty")
    files, follow = ContainerFiles(session.store), options.flag("follow-link")
    try:
        if here:
            session.stdout.flush()
            sink = session.stdout.buffer if to == "-" else to
            size = files.copy_out(here, path, sink, follow=follow)
        else:
            stream = session.stdin.buffer if path == "-" else path
            chown = options.flag("archive")
            size = files.copy_in(there, stream, to, follow=follow, chown=chown)
    except ContainerError as error:
        raise ContainerError(error.message, status=1, hint=error.hint) from error
    told = session.stdout.isatty() and not options.flag("quiet") and "-" not in {path, to}
    if told:
        session.warn(f"Successfully copied {human_size(size, 3)} to {target}")
    return 0


def split(argument: str) -> tuple[str, str]:
    """The container, or nothing, and the path: as scp(1) tells them apart."""
    container, colon, path = argument.partition(":")
    if argument.startswith("/") or not colon or container.startswith("."):
        return "", argument
    return container, path
