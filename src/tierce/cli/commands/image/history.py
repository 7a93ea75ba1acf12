"""`tierce image history`: the steps that made an image, and what each takes."""

from __future__ import annotations

from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import render_rows
from tierce.cli.format.units import ago, human_size, rfc3339
from tierce.cli.format.values import Struct
from tierce.cli.format.width import shorten
from tierce.client.images import HistoryEntry, Images
from tierce.oci.platform import Platform

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image history",
    usage="[OPTIONS] IMAGE",
    short="Show the history of an image",
    flags=(
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("human", "H", default=True, help="Print sizes and dates in human readable format"),
        Flag("no-trunc", help="Don't truncate output"),
        Flag("platform", kind="string", help="Show history for the given platform"),
        Flag("quiet", "q", help="Only show image IDs"),
    ),
    minimum=1,
    maximum=1,
)

HEADERS = {
    "Comment": "COMMENT",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "CreatedSince": "CREATED",
    "ID": "IMAGE",
    "Size": "SIZE",
}
COLUMNS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
WIDTH_OF_A_STEP = 45
YEAR_2000 = 946_684_800
"""Times before that are none: builds that are to be reproducible set them to the epoch."""


def run(options: Parsed, session: Session) -> int:
    platform = platform_of(options.text("platform"))
    entries = Images(session.store).history(options.arguments[0], platform)
    truncate, human = not options.flag("no-trunc"), options.flag("human")
    if options.flag("quiet"):
        session.stdout.write("".join(f"{shown_id(e, truncate=truncate)}\n" for e in entries))
        return 0
    rows = [row(entry, truncate=truncate, human=human) for entry in entries]
    form = options.text("format")
    session.stdout.write(render_rows(form, rows, headers=HEADERS, columns=COLUMNS))
    return 0


def row(entry: HistoryEntry, *, truncate: bool, human: bool) -> Struct:
    created_by = entry.created_by.replace("\t", " ")
    if truncate:
        # A step of several lines is one row.
        created_by = shorten(created_by.replace("\n", " "), WIDTH_OF_A_STEP)
    created_at = rfc3339(entry.created or 0.0)
    is_dated = entry.created is not None and entry.created > YEAR_2000
    since = ago(entry.created or 0.0) if is_dated else "N/A"
    return Struct(
        "image.historyContext",
        {
            "Comment": entry.comment,
            "CreatedAt": created_at,
            "CreatedBy": created_by,
            "CreatedSince": since if human else created_at,
            "ID": shown_id(entry, truncate=truncate),
            "Size": human_size(entry.size, 3) if human else str(entry.size),
        },
        escape_html=True,
    )


def shown_id(entry: HistoryEntry, *, truncate: bool) -> str:
    if entry.image is None:
        return "<missing>"
    return entry.image.short if truncate else str(entry.image)


def platform_of(text: str) -> Platform | None:
    return Platform.parse(text) if text else None
