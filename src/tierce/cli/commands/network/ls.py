"""`tierce network ls`: the networks, one row each."""

from __future__ import annotations

from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import render_rows
from tierce.cli.networkdoc import HEADERS, SHORT_ID, network_row
from tierce.client.networks import Networks

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="network ls",
    usage="[OPTIONS]",
    short="List networks",
    flags=(
        Flag(
            "filter",
            "f",
            kind="list",
            shown="filter",
            help='Provide filter values (e.g. "driver=bridge")',
        ),
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("no-trunc", help="Do not truncate the output"),
        Flag("quiet", "q", help="Only display network IDs"),
    ),
)

COLUMNS = ("ID", "Name", "Driver", "Scope")


def run(options: Parsed, session: Session) -> int:
    views = Networks(session.store).list(options.texts("filter"))
    form, truncate = options.text("format"), not options.flag("no-trunc")
    if options.flag("quiet") and form in {"", "table"}:
        names = [view.id[:SHORT_ID] if truncate else view.id for view in views]
        session.stdout.write("".join(f"{name}\n" for name in names))
        return 0
    rows = [network_row(view, truncate=truncate) for view in views]
    session.stdout.write(render_rows(form, rows, headers=HEADERS, columns=COLUMNS))
    return 0
