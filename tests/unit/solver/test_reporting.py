"""Steps that are no vertices of a graph are told in the same form."""

import pytest

from tierce.errors import BuildError, Cancelled
from tierce.solver.progress import Event, VertexFinished, VertexStarted, VertexStatus
from tierce.solver.reporting import reported_step


def test_step_is_told_from_start_to_end() -> None:
    events: list[Event] = []
    with reported_step("[internal] load", events.append) as step:
        with step.part("part:", 7):
            pass
        step.done("other part:", 9)
    started, part, end_of_part, other, finished = events
    assert isinstance(started, VertexStarted)
    assert started.name == "[internal] load"
    assert isinstance(part, VertexStatus)
    assert (part.id, part.current, part.total, part.finished) == ("part:", 0, 7, 0)
    assert isinstance(end_of_part, VertexStatus)
    assert (end_of_part.current, end_of_part.started) == (7, part.started)
    assert end_of_part.finished >= part.started
    assert isinstance(other, VertexStatus)
    assert other.finished == other.started
    assert isinstance(finished, VertexFinished)
    assert finished.error == ""
    assert len({event.vertex for event in events}) == 1


def test_steps_of_the_same_name_are_told_apart() -> None:
    events: list[Event] = []
    for _ in range(2):
        with reported_step("same", events.append):
            pass
    assert len({event.vertex for event in events}) == 2


@pytest.mark.parametrize(
    ("error", "told", "canceled"),
    [(BuildError("read: failed"), "read: failed", False), (Cancelled("stopped"), "", True)],
)
def test_error_is_told_and_passed_on(error: Exception, told: str, canceled: bool) -> None:
    events: list[Event] = []
    with pytest.raises(type(error)), reported_step("load", events.append):
        raise error
    finished = events[-1]
    assert isinstance(finished, VertexFinished)
    assert (finished.error, finished.canceled) == (told, canceled)


def test_unexpected_error_ends_the_step_too() -> None:
    events: list[Event] = []
    with pytest.raises(OSError), reported_step("load", events.append):
        raise OSError("no")
    assert isinstance(events[-1], VertexFinished)
