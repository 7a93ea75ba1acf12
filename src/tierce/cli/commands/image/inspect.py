"""`tierce image inspect`: all that is known of images."""

from __future__ import annotations

from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.imagedoc import image_document
from tierce.cli.inspecting import inspect_all
from tierce.client.images import Images
from tierce.oci.platform import Platform

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.format.values import Struct
    from tierce.cli.session import Session

COMMAND = Command(
    name="image inspect",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    short="Display detailed information on one or more images",
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag(
            "platform",
            kind="string",
            help="Inspect a specific platform of the multi-platform image",
        ),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    images = Images(session.store)
    given = options.text("platform")
    platform = Platform.parse(given) if given else None

    def find(name: str) -> Struct:
        return image_document(session, images, images.inspect(name, platform))

    return inspect_all(session, options.arguments, options.text("format"), find)
