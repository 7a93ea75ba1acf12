"""`tierce image import`: an image from the tar of a root file system."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.imports import import_image, is_url
from tierce.oci.epoch import EPOCH, parse_epoch
from tierce.oci.platform import Platform

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

    from tierce.cli.session import Session

COMMAND = Command(
    name="image import",
    usage="[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    short="Import the contents from a tarball to create a filesystem image",
    flags=(
        Flag("change", "c", kind="list",
             help="Apply Dockerfile instruction to the created image"),
        Flag("message", "m", kind="string", help="Set commit message for imported image"),
        Flag("platform", kind="string", help="Set platform if server is multi-platform capable"),
    ),
    minimum=1,
    maximum=2,
)  # fmt: skip


def run(options: Parsed, session: Session) -> int:
    """Import; the image ID goes to standard output."""
    source, name, *_ = [*options.arguments, ""]
    platform = options.text("platform") or session.environ.get("DOCKER_DEFAULT_PLATFORM", "")
    image = import_image(
        session.store,
        session.stdin.buffer if source == "-" else source,
        name,
        changes=options.texts("change"),
        message=options.text("message") or f"Imported from {shown_source(source)}",
        platform=Platform.parse(platform) if platform else None,
        created=source_date_epoch(session.environ),
    )
    session.print(str(image.id))
    return 0


def shown_source(source: str) -> str:
    """How the comment in the history names the source: a file of this machine is nobody's."""
    return source if is_url(source) else "-"


def source_date_epoch(environ: Mapping[str, str]) -> float | None:
    """The time that reproducible images carry, if there is one. Raises UsageError."""
    text = environ.get(EPOCH, "")
    return parse_epoch(text) if text else None
