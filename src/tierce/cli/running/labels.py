"""`--label`, `--label-file`; and what docker's scripts say that means nothing, or nothing yet."""

from __future__ import annotations

from tierce.cli.flags import Flag, Parsed
from tierce.client.running import read_env_file
from tierce.errors import UsageError

FLAGS = (
    Flag("disable-content-trust", default=True, hidden=True, help="Skip image verification"),
    Flag("label", "l", kind="map", help="Set meta data on a container"),
    Flag("label-file", kind="list", help="Read in a line delimited file of labels"),
    Flag("restart", kind="string", default="no",
         help='Restart policy to apply when a container exits ("no")'),
)  # fmt: skip


def labels_of(options: Parsed) -> tuple[tuple[str, str], ...]:
    """Labels of the files, then those of the flags; a name alone has an empty value.

    Raises UsageError.
    """
    found: list[tuple[str, str]] = []
    for path in options.texts("label-file"):
        found += read_env_file(path, {}, absent="")
    found += [(name, value or "") for name, value in options.pairs("label")]
    return tuple(dict(found).items())


def check_restart(options: Parsed) -> None:
    """Refuses policies: nobody watches over containers that have ended. Raises UsageError."""
    policy = options.text("restart")
    if policy not in {"", "no"}:
        raise UsageError(
            f"restart policy {policy}: not supported",
            hint="a service manager can restart it: tierce start -a in a unit of systemd",
        )
