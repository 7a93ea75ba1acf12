"""`tierce manifest push`: a list of manifests to its registry."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.manifests import Manifests
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="manifest push",
    usage="[OPTIONS] MANIFEST_LIST",
    short="Push a manifest list to a repository",
    flags=(
        Flag("insecure", hidden=True),
        Flag("purge", "p", help="Remove the local manifest list after push"),
    ),
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    name = Reference.parse(options.arguments[0]).with_default_tag()
    purge = options.flag("purge")
    session.print(str(Manifests(session.environ).push(session.store, name, purge=purge)))
    return 0
