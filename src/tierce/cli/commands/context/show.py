"""`tierce context show`: the name of the context in use."""

from __future__ import annotations

from tierce.cli.contexts import DEFAULT
from tierce.cli.flags import Command, Parsed
from tierce.cli.session import Session

COMMAND = Command(name="context show", usage="", short="Print the name of the current context")


def run(options: Parsed, session: Session) -> int:
    session.print(DEFAULT)
    return 0
