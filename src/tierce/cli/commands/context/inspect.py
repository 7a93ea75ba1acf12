"""`tierce context inspect`: all that there is to know of contexts."""

from __future__ import annotations

from tierce.cli.contexts import DEFAULT, context_document
from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.inspecting import inspect_all
from tierce.cli.session import Session

COMMAND = Command(
    name="context inspect",
    usage="[OPTIONS] [CONTEXT] [CONTEXT...]",
    short="Display detailed information on one or more contexts",
    flags=(Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),),
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    names = options.arguments or [DEFAULT]
    form = options.text("format")
    return inspect_all(session, names, form, lambda name: context_document(session, name))
