"""`--health-*` and `--no-healthcheck`."""

from __future__ import annotations

from tierce.cli.flags import Flag, Parsed
from tierce.cli.table import load_module
from tierce.errors import InvalidValue, UsageError
from tierce.oci.config import Healthcheck

_SUFFIX = "(ms|s|m|h) (default 0s)"

FLAGS = (
    Flag("health-cmd", kind="string", help="Command to run to check health"),
    Flag("health-interval", kind="string", shown="duration",
         help=f"Time between running the check {_SUFFIX}"),
    Flag("health-retries", kind="int", default=0,
         help="Consecutive failures needed to report unhealthy"),
    Flag("health-start-interval", kind="string", shown="duration",
         help=f"Time between running the check during the start period {_SUFFIX}"),
    Flag("health-start-period", kind="string", shown="duration",
         help="Start period for the container to initialize before starting health-retries "
              f"countdown {_SUFFIX}"),
    Flag("health-timeout", kind="string", shown="duration",
         help=f"Maximum time to allow one check to run {_SUFFIX}"),
    Flag("no-healthcheck", help="Disable any container-specified HEALTHCHECK"),
)  # fmt: skip

_TIMES = ("health-interval", "health-timeout", "health-start-period", "health-start-interval")


def health_of(options: Parsed) -> Healthcheck | None:
    """What is asked for; None for nothing. Raises UsageError."""
    command, retries = options.text("health-cmd"), options.integer("health-retries")
    times = [_nanoseconds(name, options.text(name)) for name in _TIMES]
    interval, timeout, start_period, start_interval = times
    asked = bool(command or retries or any(times))
    if options.flag("no-healthcheck"):
        if asked:
            raise UsageError("--no-healthcheck conflicts with --health-* options")
        return Healthcheck(("NONE",))
    if not asked:
        return None
    for name, value in zip((*_TIMES, "health-retries"), (*times, retries)):
        if value < 0:
            raise UsageError(f"--{name} cannot be negative")
    test = ("CMD-SHELL", command) if command else ()
    return Healthcheck(test, interval, timeout, start_period, start_interval, retries)


def _nanoseconds(name: str, text: str) -> int:
    if not text:
        return 0
    try:
        return int(load_module("tierce.dockerfile.gotext").parse_duration(text))
    except InvalidValue as error:
        raise UsageError(
            f'invalid argument "{text}" for "--{name}" flag: {error.message}'
        ) from error
