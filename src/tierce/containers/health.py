"""Whether a container is well: how that is asked, and what was answered.

See HEALTHCHECK of the Dockerfile reference, and `docker run --health-cmd`. The answers are in a
file of the container's directory, which its keeper (see `keeper`) has written anew for each.
"""

from __future__ import annotations

import json
import os

from tierce.errors import UsageError
from tierce.oci.config import Healthcheck
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

STARTING, HEALTHY, UNHEALTHY, NO_CHECK = "starting", "healthy", "unhealthy", "none"

FILE = "health"
LOG_ENTRIES = 5
OUTPUT_BYTES = 4096
"""How much of what a probe writes is kept; docker's number, as the one before."""

_MILLISECOND = 1_000_000
SECOND = 1_000_000_000
_INTERVAL, _TIMEOUT, _START_INTERVAL, _RETRIES = 30 * SECOND, 30 * SECOND, 5 * SECOND, 3

_LEAST = ("interval_ns", "timeout_ns", "start_period_ns", "start_interval_ns")
_NAMES = ("Interval", "Timeout", "StartPeriod", "StartInterval")


class ProbeResult(Value):
    """One answer. Times in seconds since the epoch; -1 is the exit code of what did not end."""

    start: float
    end: float
    exit_code: int
    output: str


class Health(Value):
    """What is known: STARTING, HEALTHY or UNHEALTHY; failures in a row; the last answers."""

    status: str = STARTING
    failing_streak: int = 0
    log: tuple[ProbeResult, ...] = ()

    def after(self, result: ProbeResult, check: Healthcheck, *, started: float) -> Health:
        """With one answer more, of a container that was `started` then.

        Before the first success, failures within the start period do not count.
        """
        log = (*self.log, result)[-LOG_ENTRIES:]
        if result.exit_code == 0:
            return Health(HEALTHY, 0, log)
        patient = self.status == STARTING
        if patient and result.start - started < check.start_period_ns / SECOND:
            return self.replace(log=log)
        streak = self.failing_streak + 1
        status = UNHEALTHY if streak >= (check.retries or _RETRIES) else self.status
        return Health(status, streak, log)


def merged(asked: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    """What a container has of a request and its image; what is not asked for is the image's.

    None when there is nothing to be run. Raises UsageError for what makes no sense.
    """
    if asked is None or image is None:
        found = asked or image
    else:
        found = Healthcheck(
            *(getattr(asked, name) or getattr(image, name) for name in Healthcheck._fields)
        )
    if found is None or not found.test:
        return None
    for field, name in zip(_LEAST, _NAMES):
        if 0 < abs(getattr(found, field)) < _MILLISECOND or getattr(found, field) < 0:
            raise UsageError(f"{name} in Healthcheck cannot be less than 1ms")
    if found.retries < 0:
        raise UsageError("Retries in Healthcheck cannot be negative")
    return found


def encoded(check: Healthcheck) -> tuple[tuple[str, ...], int, int, int, int, int]:
    """What is remembered of a check: what a `Healthcheck` is made of."""
    return (
        check.test,
        *(check.interval_ns, check.timeout_ns, check.start_period_ns, check.start_interval_ns),
        check.retries,
    )


def is_run(check: Healthcheck | None) -> bool:
    """Whether there is something to be run: not for NONE, nor for a kind that nobody knows."""
    return check is not None and len(check.test) > 1 and check.test[0] in {"CMD", "CMD-SHELL"}


def command_of(check: Healthcheck, shell: tuple[str, ...]) -> tuple[str, ...]:
    """What is run in the container; `shell` is the image's for commands, or empty."""
    kind, *words = check.test
    return (*(shell or ("/bin/sh", "-c")), *words) if kind == "CMD-SHELL" else tuple(words)


def timeout_of(check: Healthcheck) -> float:
    """How long a probe may take, in seconds."""
    return (check.timeout_ns or _TIMEOUT) / SECOND


def schedule(check: Healthcheck) -> dict[str, float]:
    """What the keeper is told of when to probe, in seconds."""
    return {
        "interval": (check.interval_ns or _INTERVAL) / SECOND,
        "start_interval": (check.start_interval_ns or _START_INTERVAL) / SECOND,
        "start_period": check.start_period_ns / SECOND,
    }


def read_health(directory: str) -> Health | None:
    """What is known of the container with this directory; None when nobody has asked yet."""
    try:
        with open(f"{directory}/{FILE}", encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    log = tuple(ProbeResult(*entry) for entry in found["log"])
    return Health(found["status"], found["failing_streak"], log)


def write_health(directory: str, health: Health) -> None:
    """Replaces what is known; whoever reads meanwhile reads one or the other."""
    log = [[getattr(entry, name) for name in entry._fields] for entry in health.log]
    found = {"status": health.status, "failing_streak": health.failing_streak, "log": log}
    path = f"{directory}/{FILE}"
    with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(found, file)
    os.replace(f"{path}.new", path)


def reset(directory: str) -> None:
    """What is known right after a start: nothing but what was answered before it."""
    known = read_health(directory)
    write_health(directory, Health(log=known.log if known else ()))
