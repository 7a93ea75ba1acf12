"""`tierce manifest create`: begin a list of manifests."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.manifests import Manifests
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="manifest create",
    usage="MANIFEST_LIST MANIFEST [MANIFEST...]",
    short="Create a local manifest list for annotating and pushing to a registry",
    flags=(
        Flag("amend", "a", help="Amend an existing manifest list"),
        Flag("insecure", hidden=True),
    ),
    minimum=2,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    name, *members = [Reference.parse(text).with_default_tag() for text in options.arguments]
    Manifests(session.environ).create(name, members, amend=options.flag("amend"))
    session.print(f"Created manifest list {name}")
    return 0
