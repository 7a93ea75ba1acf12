"""`tierce image ls`: the images, one row for each name."""

from __future__ import annotations

from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import render_rows
from tierce.cli.format.units import ago, go_time, human_size
from tierce.cli.format.values import Struct
from tierce.client.images import Images, ListedImage

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.cli.session import Session

COMMAND = Command(
    name="image ls",
    usage="[OPTIONS] [REPOSITORY[:TAG]]",
    short="List images",
    flags=(
        Flag("all", "a", help="Show all images (default hides intermediate images)"),
        Flag("digests", help="Show digests"),
        Flag(
            "filter",
            "f",
            kind="list",
            shown="filter",
            help="Filter output based on conditions provided",
        ),
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("no-trunc", help="Don't truncate output"),
        Flag("quiet", "q", help="Only show image IDs"),
    ),
    maximum=1,
)

NONE = "<none>"
HEADERS = {
    "Containers": "CONTAINERS",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "SharedSize": "SHARED SIZE",
    "Size": "SIZE",
    "Tag": "TAG",
    "UniqueSize": "UNIQUE SIZE",
}
COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
COLUMNS_WITH_DIGEST = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")


def run(options: Parsed, session: Session) -> int:
    images = Images(session.store).list(
        options.texts("filter"),
        pattern="".join(options.arguments),
        all=options.flag("all"),
    )
    form, truncate = options.text("format"), not options.flag("no-trunc")
    if options.flag("quiet") and form in {"", "table"}:
        ids = dict.fromkeys(shown_id(listed, truncate=truncate) for listed in images)
        session.stdout.write("".join(f"{image_id}\n" for image_id in ids))
        return 0
    digests = options.flag("digests")
    if digests and form.startswith("table ") and "{{.Digest}}" not in form:
        form += r"\t{{.Digest}}"
    rows = [
        row(listed, *names, truncate=truncate)
        for listed in images
        for names in names_of(listed, digests=digests, in_rows=digests or "{{.Digest}}" in form)
    ]
    columns = COLUMNS_WITH_DIGEST if digests else COLUMNS
    session.stdout.write(render_rows(form, rows, headers=HEADERS, columns=columns))
    return 0


def names_of(
    listed: ListedImage, *, digests: bool, in_rows: bool
) -> Iterator[tuple[str, str, str]]:
    """Repository, tag and digest of each row of an image.

    Digests of a repository stand beside its tags (`in_rows`), or have no rows; those of one
    without tags have a row each if they are asked for (`digests`), else one together.
    """
    if not listed.names and not listed.digests:
        yield NONE, NONE, NONE
    known: dict[str, list[str]] = {}
    for reference in listed.digests:
        known.setdefault(reference.familiar_name, []).append(str(reference.digest))
    tagged = set()
    for name in listed.names:
        tagged.add(name.familiar_name)
        beside = known.get(name.familiar_name, []) if in_rows else []
        for digest in beside or [NONE]:
            yield name.familiar_name, name.tag or NONE, digest
    for repository, found in known.items():
        if repository not in tagged:
            for digest in found if digests else [""]:
                yield repository, NONE, digest


def row(listed: ListedImage, repository: str, tag: str, digest: str, *, truncate: bool) -> Struct:
    created = listed.created
    return Struct(
        "formatter.imageContext",
        {
            "Containers": "N/A",
            "CreatedAt": lambda: go_time(created) if created else "N/A",
            "CreatedSince": lambda: ago(created) if created else "N/A",
            "Digest": digest,
            "ID": shown_id(listed, truncate=truncate),
            "Repository": repository,
            "SharedSize": "N/A",
            "Size": human_size(listed.image.size, 3),
            "Tag": tag,
            "UniqueSize": "N/A",
        },
        escape_html=True,
    )


def shown_id(listed: ListedImage, *, truncate: bool) -> str:
    return listed.image.id.short if truncate else str(listed.image.id)
