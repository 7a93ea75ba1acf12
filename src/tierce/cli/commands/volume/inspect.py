"""`tierce volume inspect`: all that is known of volumes."""

from __future__ import annotations

from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.inspecting import inspect_all
from tierce.cli.volumedoc import volume_document
from tierce.client.volumes import Volumes

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="volume inspect",
    usage="[OPTIONS] VOLUME [VOLUME...]",
    short="Display detailed information on one or more volumes",
    flags=(Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    volumes = Volumes(session.store)
    return inspect_all(
        session,
        options.arguments,
        options.text("format"),
        lambda name: volume_document(volumes.inspect(name)),
    )
