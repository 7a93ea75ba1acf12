"""What commands of an ordinary user begin with: a user namespace (see `client.rootless`)."""

from __future__ import annotations

from tierce.client import rootless
from tierce.errors import RuntimeUnavailable

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.flags import Parsed
    from tierce.cli.table import Found

_HELP = frozenset({"-h", "--help"})


def gain(found: Found, options: Parsed) -> None:
    """Enters the namespace of the store that the command will work on. Raises StoreError.

    Where there can be none, the command begins without: what it needs one for will say so.
    """
    if not _HELP.isdisjoint(found.rest[:1]):
        return
    try:
        rootless.enter(options.text("root"))
    except RuntimeUnavailable:
        return
