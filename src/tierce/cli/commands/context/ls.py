"""`tierce context ls`: the one context there is."""

from __future__ import annotations

from tierce.cli.contexts import DEFAULT, DESCRIPTION, endpoint
from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import aligned, render_rows
from tierce.cli.format.values import Struct
from tierce.cli.session import Session

COMMAND = Command(
    name="context ls",
    usage="[OPTIONS]",
    short="List contexts",
    flags=(
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("quiet", "q", help="Only show context names"),
    ),
)

HEADERS = {
    "Current": "CURRENT",
    "Description": "DESCRIPTION",
    "DockerEndpoint": "DOCKER ENDPOINT",
    "Error": "ERROR",
    "Name": "NAME",
}
COLUMNS = ("Name", "Description", "DockerEndpoint", "Error")


def run(options: Parsed, session: Session) -> int:
    form = options.text("format")
    if options.flag("quiet"):
        session.print(DEFAULT)
        return 0
    row = {
        "Current": True,
        "Description": DESCRIPTION,
        "DockerEndpoint": endpoint(session),
        "Error": "",
        "Name": DEFAULT,
    }
    if form in {"", "table"}:
        # The mark behind the name is of the usual table alone.
        cells = [f"{DEFAULT} *", *(str(row[name]) for name in COLUMNS[1:])]
        session.stdout.write(aligned([[HEADERS[name] for name in COLUMNS], cells]))
        return 0
    struct = Struct("formatter.clientContextContext", row, escape_html=True)
    session.stdout.write(render_rows(form, [struct], headers=HEADERS, columns=COLUMNS))
    return 0
