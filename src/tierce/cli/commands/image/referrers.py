"""`tierce image referrers`: signatures, SBOMs and the like that a registry has for an image."""

from __future__ import annotations

from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import render_rows
from tierce.cli.format.units import human_size
from tierce.cli.format.values import Struct
from tierce.client.remoteimages import RemoteImages
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image referrers",
    usage="[OPTIONS] NAME[:TAG|@DIGEST]",
    short="List what refers to an image in its registry",
    flags=(
        Flag("artifact-type", kind="string", help="Only what is of this type"),
        Flag("format", kind="string", help=FORMAT_HELP),
    ),
    minimum=1,
    maximum=1,
)

HEADERS = {"ArtifactType": "ARTIFACT TYPE", "Digest": "DIGEST", "Size": "SIZE"}


def run(options: Parsed, session: Session) -> int:
    name = Reference.parse(options.arguments[0]).with_default_tag()
    found = RemoteImages(session.environ).referrers(name, options.text("artifact-type"))
    rows = [
        Struct(
            "registry.referrerContext",
            {
                "ArtifactType": each.artifact_type or each.media_type,
                "Digest": str(each.digest),
                "Size": human_size(each.size, 3),
            },
        )
        for each in found
    ]
    form = options.text("format")
    columns = ("Digest", "ArtifactType", "Size")
    session.stdout.write(render_rows(form, rows, headers=HEADERS, columns=columns))
    return 0
