"""`tierce network inspect`: all that is known of networks."""

from __future__ import annotations

from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.inspecting import inspect_all
from tierce.cli.networkdoc import network_document
from tierce.client.networks import Networks

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="network inspect",
    usage="[OPTIONS] NETWORK [NETWORK...]",
    short="Display detailed information on one or more networks",
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag("verbose", "v", help="Verbose output for diagnostics"),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    networks = Networks(session.store)
    return inspect_all(
        session,
        options.arguments,
        options.text("format"),
        lambda name: network_document(networks.inspect(name)),
    )
