"""`tierce manifest rm`: lists in the making away."""

from __future__ import annotations

from tierce.cli.flags import Command, Parsed
from tierce.client.manifests import Manifests
from tierce.errors import TierceError
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="manifest rm",
    usage="MANIFEST_LIST [MANIFEST_LIST...]",
    short="Delete one or more manifest lists from local storage",
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    """Remove what can be; one that cannot be does not keep the others."""
    manifests = Manifests(session.environ)
    status = 0
    for text in options.arguments:
        try:
            manifests.remove(Reference.parse(text).with_default_tag())
        except TierceError as error:
            session.report(error)
            status = 1
    return status
