"""`tierce inspect`: all that is known of things of any kind."""

from __future__ import annotations

from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.imagedoc import image_document
from tierce.cli.inspecting import inspect_all
from tierce.client.images import Images
from tierce.errors import NotFound, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.format.values import Struct
    from tierce.cli.session import Session

COMMAND = Command(
    name="inspect",
    usage="[OPTIONS] NAME|ID [NAME|ID...]",
    short="Return low-level information on objects of the store",
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag("size", "s", help="Display total file sizes if the type is container"),
        Flag("type", kind="string", help="Only inspect objects of the given type"),
    ),
    minimum=1,
    maximum=None,
)

TYPES = ("image",)


def run(options: Parsed, session: Session) -> int:
    kind = options.text("type")
    if options.given("type") and kind not in TYPES:
        raise UsageError(f"unknown type: {kind}", hint=f"one of {', '.join(TYPES)}")
    images = Images(session.store)

    def find(name: str) -> Struct:
        try:
            return image_document(session, images, images.inspect(name))
        except NotFound as error:
            if kind:
                raise
            raise NotFound("object", name) from error

    return inspect_all(session, options.arguments, options.text("format"), find)
