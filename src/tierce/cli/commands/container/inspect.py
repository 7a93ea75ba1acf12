"""`tierce container inspect`: all that is known of containers."""

from __future__ import annotations

from tierce.cli.containerdoc import container_document
from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.inspecting import inspect_all
from tierce.client.containers import Containers

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="container inspect",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Display detailed information on one or more containers",
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag("size", "s", help="Display total file sizes"),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    containers = Containers(session.store)
    sizes = options.flag("size")
    return inspect_all(
        session,
        options.arguments,
        options.text("format"),
        lambda name: container_document(session, containers, containers.inspect(name), sizes=sizes),
    )
