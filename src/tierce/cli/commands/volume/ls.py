"""`tierce volume ls`: the volumes, one row each."""

from __future__ import annotations

from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import render_rows
from tierce.cli.volumedoc import VOLUME_HEADERS, volume_row
from tierce.client.volumes import Volumes

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="volume ls",
    usage="[OPTIONS]",
    short="List volumes",
    flags=(
        Flag(
            "filter",
            "f",
            kind="list",
            shown="filter",
            help='Provide filter values (e.g. "dangling=true")',
        ),
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("quiet", "q", help="Only display volume names"),
    ),
)

COLUMNS = ("Driver", "Name")


def run(options: Parsed, session: Session) -> int:
    views = Volumes(session.store).list(options.texts("filter"))
    form = options.text("format")
    if options.flag("quiet") and form in {"", "table"}:
        session.stdout.write("".join(f"{view.volume.name}\n" for view in views))
        return 0
    rows = [volume_row(view) for view in views]
    session.stdout.write(render_rows(form, rows, headers=VOLUME_HEADERS, columns=COLUMNS))
    return 0
