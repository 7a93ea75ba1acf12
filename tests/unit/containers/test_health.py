"""What follows from the answers of a health check."""

from pathlib import Path

import pytest

from tierce.containers import health
from tierce.containers.health import (
    HEALTHY,
    STARTING,
    UNHEALTHY,
    Health,
    ProbeResult,
    command_of,
    is_run,
    merged,
    read_health,
    schedule,
    write_health,
)
from tierce.errors import UsageError
from tierce.oci.config import Healthcheck

SECOND = 1_000_000_000
CHECK = Healthcheck(("CMD", "true"), retries=2, start_period_ns=10 * SECOND)


def answers(*codes: int, begun: float = 100.0, check: Healthcheck = CHECK) -> Health:
    """What is known after these answers, one a second, of a container started at 0."""
    found = Health()
    for number, code in enumerate(codes):
        result = ProbeResult(begun + number, begun + number, code, "")
        found = found.after(result, check, started=0.0)
    return found


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ((), STARTING, 0),
        ((0,), HEALTHY, 0),
        ((1,), STARTING, 1),
        ((1, 1), UNHEALTHY, 2),
        ((0, 1), HEALTHY, 1),
        ((0, 1, -1), UNHEALTHY, 2),
        ((1, 1, 0), HEALTHY, 0),
    ],
)
def test_so_many_failures_in_a_row_are_ill_health(
    codes: tuple[int, ...], status: str, streak: int
) -> None:
    found = answers(*codes)
    assert (found.status, found.failing_streak) == (status, streak)


def test_failures_of_the_start_period_do_not_count_before_the_first_success() -> None:
    assert answers(1, 1, 1, begun=0.0).status == STARTING
    assert answers(1, 1, 1, begun=0.0).failing_streak == 0
    assert answers(0, 1, 1, begun=0.0).status == UNHEALTHY
    assert answers(1, 1, begun=9.5).failing_streak == 1


def test_three_failures_are_the_usual_number_and_five_answers_are_kept() -> None:
    check = Healthcheck(("CMD", "true"))
    assert answers(1, 1, check=check).status == STARTING
    found = answers(1, 2, 3, 4, 5, 6, check=check)
    assert found.status == UNHEALTHY
    assert [entry.exit_code for entry in found.log] == [2, 3, 4, 5, 6]


def test_what_is_not_asked_for_is_the_images() -> None:
    image = Healthcheck(("CMD", "a"), interval_ns=5 * SECOND, retries=7)
    asked = Healthcheck(("CMD-SHELL", "b"), timeout_ns=2 * SECOND)
    assert merged(asked, image) == Healthcheck(
        ("CMD-SHELL", "b"), interval_ns=5 * SECOND, timeout_ns=2 * SECOND, retries=7
    )
    assert merged(None, image) == image
    assert merged(Healthcheck((), interval_ns=SECOND), None) is None
    assert not is_run(merged(Healthcheck(("NONE",)), image))
    assert not is_run(None)


def test_times_below_a_millisecond_are_refused() -> None:
    with pytest.raises(UsageError, match="Interval in Healthcheck cannot be less than 1ms"):
        merged(Healthcheck(("CMD", "a"), interval_ns=5), None)
    with pytest.raises(UsageError, match="Timeout in Healthcheck"):
        merged(Healthcheck(("CMD", "a"), timeout_ns=-1), None)
    with pytest.raises(UsageError, match="Retries in Healthcheck"):
        merged(Healthcheck(("CMD", "a"), retries=-1), None)


def test_shell_of_the_image_runs_what_is_text() -> None:
    assert command_of(Healthcheck(("CMD", "a", "b")), ("/bin/ash", "-c")) == ("a", "b")
    assert command_of(Healthcheck(("CMD-SHELL", "a b")), ()) == ("/bin/sh", "-c", "a b")
    assert command_of(Healthcheck(("CMD-SHELL", "a")), ("/bin/ash", "-c")) == (
        *("/bin/ash", "-c", "a"),
    )


def test_usual_times_are_dockers() -> None:
    assert schedule(Healthcheck(("CMD", "a"))) == {
        "interval": 30.0,
        "start_interval": 5.0,
        "start_period": 0.0,
    }


def test_what_is_known_is_kept_and_begun_anew_with_each_start(tmp_path: Path) -> None:
    directory = str(tmp_path)
    assert read_health(directory) is None
    known = Health(UNHEALTHY, 3, (ProbeResult(1.5, 2.5, 1, "o\ufffd\udcff\n"),))
    write_health(directory, known)
    assert read_health(directory) == known
    health.reset(directory)
    assert read_health(directory) == Health(log=known.log)
    (tmp_path / "health").write_text("{cut")
    assert read_health(directory) is None
