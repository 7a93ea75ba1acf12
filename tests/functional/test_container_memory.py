"""What containers in the background cost beside their own processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import SeenContainers, nothing_outlives, start
from support.program import BASE, Tierce

MEBIBYTE = 1 << 20
COUNT = 10


@pytest.fixture
def seen(shared: Tierce) -> Iterator[SeenContainers]:
    """The containers of the test, none of which outlives it."""
    with nothing_outlives(shared) as found:
        yield found


def proportional_set_size(pid: str) -> int:
    """Bytes of a process, with its share of what it has in common with others."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise AssertionError(line)


@pytest.mark.parametrize(
    ("flags", "limit", "processes"),
    [
        ((), 3 * MEBIBYTE, 1),
        (("-t",), 3 * MEBIBYTE, 1),
        (("--health-cmd", "true"), 9 * MEBIBYTE, 2),
    ],
)
def test_idle_container_costs_less_than(
    shared: Tierce, seen: SeenContainers, flags: tuple[str, ...], limit: int, processes: int
) -> None:
    for _ in range(COUNT):
        start(shared, *flags, BASE, "sleep", "600")
    pids = [line.split()[1].rstrip(":") for line in seen.processes()]
    sizes = [proportional_set_size(pid) for pid in pids]
    assert len(pids) == processes * COUNT
    assert sum(sizes) / COUNT < limit
