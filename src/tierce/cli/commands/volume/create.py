"""`tierce volume create`: a directory that outlives containers."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.volumes import Volumes
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="volume create",
    usage="[OPTIONS] [VOLUME]",
    short="Create a volume",
    flags=(
        Flag("driver", "d", kind="string", default="local", help="Specify volume driver name"),
        Flag("label", kind="map", help="Set metadata for a volume"),
        Flag("name", kind="string", hidden=True),
        Flag("opt", "o", kind="map", help="Set driver specific options"),
    ),
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    """Make one, or find it; its name goes to standard output."""
    name = options.text("name")
    if name and options.arguments:
        raise UsageError(
            "conflicting options: cannot specify a volume-name through both --name and as a "
            "positional arg"
        )
    if options.text("driver") != "local":
        raise UsageError(f"volume driver {options.text('driver')}: there is only local")
    name = name or "".join(options.arguments)
    made = Volumes(session.store).create(
        name,
        labels={key: value or "" for key, value in options.pairs("label")},
        options={key: value or "" for key, value in options.pairs("opt")},
    )
    session.print(made.volume.name)
    return 0
