"""`--log-driver` and `--log-opt`."""

from __future__ import annotations

from tierce.cli.flags import Flag, Parsed
from tierce.errors import UsageError

FLAGS = (
    Flag("log-driver", kind="string", help="Logging driver for the container"),
    Flag("log-opt", kind="list", help="Log driver options"),
)

_DEFAULT = "json-file"


def log_driver_of(options: Parsed) -> str:
    """The driver; who names none, or an empty one, gets the usual one."""
    return options.text("log-driver") or _DEFAULT


def log_options_of(options: Parsed) -> tuple[tuple[str, str], ...]:
    """The options, of which the last with a name counts. Raises UsageError."""
    found: dict[str, str] = {}
    for text in options.texts("log-opt"):
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise UsageError(f"invalid log opt: '{text}'", hint="write it as name=value")
        found[name] = value
    return tuple(sorted(found.items()))
