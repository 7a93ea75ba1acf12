"""`--pull` of `run` and `create`: the image of a container that is not here, or not the newest."""

from __future__ import annotations

from tierce.cli.flags import Flag
from tierce.cli.table import load_module
from tierce.errors import NotFound, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from tierce.cli.flags import Parsed
    from tierce.cli.session import Session

    Result = TypeVar("Result")

ALWAYS, MISSING, NEVER = "always", "missing", "never"

FLAGS = (
    Flag("pull", kind="string", default=MISSING,
         help='Pull image before running ("always", "missing", "never")'),
    Flag("quiet", "q", help="Suppress the pull output"),
)  # fmt: skip


def with_image(options: Parsed, session: Session, action: Callable[[], Result]) -> Result:
    """Do what needs the image of a container, after it was pulled if it has to be.

    That it is missing is found out by doing it: who has the image does not pay for the question.
    """
    policy = options.text("pull")
    if policy not in {ALWAYS, MISSING, NEVER}:
        raise UsageError(
            f'invalid pull option: "{policy}": must be one of "{ALWAYS}", "{MISSING}" or "{NEVER}"'
        )
    if policy == ALWAYS:
        _pull(options, session)
        return action()
    try:
        return action()
    except NotFound as error:
        if error.kind != "image" or error.name != options.arguments[0] or policy == NEVER:
            raise
        _pull(options, session, missing=True)
    return action()


def _pull(options: Parsed, session: Session, *, missing: bool = False) -> None:
    """Pull; what is shown goes to standard error, as standard output is the container's."""
    pulling = load_module("tierce.cli.commands.image.pull")  # most containers have their image
    pulling.pull_for_container(
        options.arguments[0],
        options.text("platform"),
        session,
        quiet=options.flag("quiet"),
        missing=missing,
    )
