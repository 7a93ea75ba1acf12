"""`tierce search`: repositories of Docker Hub, or of another registry."""

from __future__ import annotations

from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import render_rows
from tierce.cli.format.values import Struct
from tierce.cli.format.width import shorten
from tierce.client.searches import LIMIT, FoundRepository, search_registry, split_term

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="search",
    usage="[OPTIONS] TERM",
    short="Search Docker Hub for images",
    flags=(
        Flag("filter", "f", kind="list", help="Filter output based on conditions provided"),
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("limit", kind="int", default=LIMIT, help="Max number of search results"),
        Flag("no-trunc", help="Don't truncate output"),
        Flag("offline", help="Reach no registry, and so fail"),
    ),
    minimum=1,
    maximum=1,
    details="""\
A term that begins with the host of a registry ("localhost:5000/app") is looked for there: by the
search of that registry or, where it has none, in the names of its repositories.""",
)

HEADERS = {
    "Description": "DESCRIPTION",
    "IsAutomated": "AUTOMATED",
    "IsOfficial": "OFFICIAL",
    "Name": "NAME",
    "StarCount": "STARS",
}
COLUMNS = ("Name", "Description", "StarCount", "IsOfficial")
_WIDTH = 45


def run(options: Parsed, session: Session) -> int:
    term = options.arguments[0]
    found = search_registry(
        session.environ,
        term,
        limit=options.integer("limit") or LIMIT,
        filters=options.texts("filter"),
        offline=options.flag("offline"),
    )
    if found.from_catalog:
        session.warn(
            f"{split_term(term)[0]} has no search: these are the names in its catalog that fit"
        )
    form, truncate = options.text("format"), not options.flag("no-trunc")
    rows = [row(each, truncate=truncate, for_json=form == "json") for each in found.repositories]
    session.stdout.write(render_rows(form, rows, headers=HEADERS, columns=COLUMNS))
    return 0


def row(found: FoundRepository, *, truncate: bool, for_json: bool) -> Struct:
    description = found.description.replace("\n", " ").replace("\r", " ").replace("\t", " ")

    def shown(value: bool) -> str:
        if for_json:
            return "true" if value else "false"
        return "[OK]" if value else ""

    return Struct(
        "registry.searchContext",
        {
            "Description": shorten(description, _WIDTH) if truncate else description,
            "IsAutomated": shown(found.is_automated),
            "IsOfficial": shown(found.is_official),
            "Name": found.name,
            "StarCount": str(found.stars),
        },
        escape_html=True,
    )
