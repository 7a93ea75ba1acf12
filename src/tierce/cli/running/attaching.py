"""`--attach`, `--detach-keys`, `--sig-proxy`: which streams of a container are ours, and how."""

from __future__ import annotations

from tierce.cli.flags import Flag, Parsed
from tierce.cli.table import load_module
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

FLAGS = (Flag("attach", "a", kind="list", help="Attach to STDIN, STDOUT or STDERR"),)

DETACH_KEYS = Flag(
    "detach-keys", kind="string", help="Override the key sequence for detaching a container"
)
SIG_PROXY = Flag(
    "sig-proxy", default=True, help="Proxy received signals to the process (default true)"
)

_STREAMS = frozenset({"stdin", "stdout", "stderr"})


def attached_streams(options: Parsed) -> frozenset[str]:
    """Those of `--attach`, or what docker takes without: output, and input if it is kept open.

    Raises UsageError.
    """
    named = frozenset(text.lower() for text in options.texts("attach"))
    if wrong := named - _STREAMS:
        raise UsageError(
            f'invalid argument "{min(wrong)}" for "-a, --attach" flag: '
            "valid streams are STDIN, STDOUT and STDERR"
        )
    if named:
        return named
    return frozenset({"stdout", "stderr"}) | ({"stdin"} if options.flag("interactive") else set())


def attached_of(options: Parsed) -> tuple[str, ...]:
    """Those streams in order; none for a container that is to begin in the background."""
    if options.given("detach") and options.flag("detach"):
        return ()
    return tuple(sorted(attached_streams(options)))


def attaches_stdin(options: Parsed) -> bool:
    """Whether the end of our input is to be that of the container's."""
    return "stdin" in attached_of(options)


def detach_keys(options: Parsed, session: Session, *, terminal: bool = True) -> str:
    """Those of the flag, else, on a terminal, those of docker's users in their config.json."""
    if options.given("detach-keys") or not terminal:
        return options.text("detach-keys")
    settings = load_module("tierce.cli.settings")  # for those on a terminal
    return str(settings.setting(session, settings.DETACH_KEYS))


def check(options: Parsed) -> None:
    """Refuses what goes together with no container in the background. Raises UsageError."""
    attached_streams(options)
    if options.flag("detach") and options.given("attach"):
        raise UsageError("conflicting options: cannot specify both --attach and --detach")
