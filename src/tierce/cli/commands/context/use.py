"""`tierce context use`: the one context there is can be chosen, and no other."""

from __future__ import annotations

from tierce.cli.contexts import DEFAULT, check_context
from tierce.cli.flags import Command, Parsed
from tierce.cli.session import Session

COMMAND = Command(
    name="context use",
    usage="CONTEXT",
    short="Set the current docker context",
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    check_context(options.arguments[0])
    session.print(DEFAULT)
    session.warn(f'Current context is now "{DEFAULT}"')
    return 0
