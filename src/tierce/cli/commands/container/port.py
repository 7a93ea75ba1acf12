"""`tierce container port`: by which ports of this machine those of a container are reached."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.cli.ports import port_lines
from tierce.client.containers import Containers
from tierce.errors import NotFound, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="container port",
    usage="CONTAINER [PRIVATE_PORT[/PROTO]]",
    short="List port mappings or a specific mapping for the container",
    minimum=1,
    maximum=2,
)


def run(options: Parsed, session: Session) -> int:
    name, *asked = options.arguments
    view = Containers(session.store).inspect(name).view
    published = view.endpoint.ports if view.endpoint else ()
    if not asked:
        session.stdout.write("".join(f"{line}\n" for line in port_lines(published)))
        return 0
    number, _, protocol = asked[0].partition("/")
    if not number.isdecimal():
        raise UsageError(f"invalid port '{asked[0]}'")
    wanted = f"{int(number)}/{protocol.lower() or 'tcp'}"
    found = port_lines([port for port in published if port.name == wanted])
    if not found:
        raise NotFound("port", wanted, f"no public port '{asked[0]}' published for {name}")
    session.stdout.write("".join(f"{line.partition(' -> ')[2]}\n" for line in found))
    return 0
