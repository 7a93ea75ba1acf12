"""Sources that are elsewhere: asked once, all at a time, and fetched when they are needed."""

import threading

import pytest

from tierce.errors import BuildError, Cancelled
from tierce.solver.progress import VertexFinished
from unit.solver.fakes import World, remote, run, scratch


@pytest.fixture
def world() -> World:
    world = World()
    world.elsewhere = {"tree": "commit 1", "file": "content 1"}
    return world


def test_source_is_resolved_then_fetched_for_the_step_that_needs_it(world: World) -> None:
    assert world.solve(run("copy", scratch(), remote("tree"))) == ["copy(, commit 1)"]
    assert world.runs == {"resolve tree": 1, "tree": 1, "copy": 1}


def test_unchanged_source_is_resolved_but_not_fetched_again(world: World) -> None:
    world.solve(run("copy", scratch(), remote("tree")))
    world.snapshots.clear()
    world.snapshots |= {2: "copy(, commit 1)"}
    world.runs.clear()
    assert world.solve(run("copy", scratch(), remote("tree"))) == ["copy(, commit 1)"]
    assert world.runs == {"resolve tree": 1}


def test_changed_source_is_fetched_and_its_users_run_again(world: World) -> None:
    world.solve(run("copy", scratch(), remote("tree")))
    world.elsewhere["tree"] = "commit 2"
    assert world.solve(run("copy", scratch(), remote("tree"))) == ["copy(, commit 2)"]
    assert world.runs == {"resolve tree": 2, "tree": 2, "copy": 2}


def test_source_that_resolving_fetched_is_kept_and_not_fetched_twice(world: World) -> None:
    assert world.solve(run("copy", scratch(), remote("file"))) == ["copy(, content 1)"]
    assert world.runs == {"resolve file": 1, "file": 1, "copy": 1}
    assert world.records.names() == ["file", "copy"]


def test_two_names_of_the_same_content_share_what_was_fetched(world: World) -> None:
    world.elsewhere["mirror"] = "commit 1"
    world.solve(run("copy", scratch(), remote("tree")))
    world.solve(run("other", scratch(), remote("mirror")))
    assert world.runs["mirror"] == 0


def test_sources_are_resolved_at_the_same_time(world: World) -> None:
    together = threading.Barrier(2, timeout=60)
    for name in ("tree", "file"):
        world.actions[f"resolve {name}"] = lambda _step, _texts: str(together.wait())
    world.solve(run("copy", scratch(), remote("tree"), remote("file")))
    assert world.runs["resolve tree"] == world.runs["resolve file"] == 1


def test_source_that_cannot_be_resolved_fails_the_build_in_its_own_step(world: World) -> None:
    def fail(_step: object, _texts: object) -> str:
        raise BuildError("fetch https://x: no such host")

    world.actions["resolve tree"] = fail
    with pytest.raises(BuildError, match="no such host"):
        world.solve(run("copy", scratch(), remote("tree")))
    [end] = [event for event in world.of("tree") if isinstance(event, VertexFinished)]
    assert end.error == "fetch https://x: no such host"
    assert world.runs["copy"] == 0


def test_failure_of_one_source_cancels_those_that_are_being_resolved(world: World) -> None:
    def fail(_step: object, _texts: object) -> str:
        raise BuildError("down")

    def wait(step: object, _texts: object) -> str:
        assert step.cancelled.wait(60)  # type: ignore[attr-defined]
        raise Cancelled("cancelled")

    world.actions |= {"resolve tree": fail, "resolve file": wait}
    with pytest.raises(BuildError, match="down"):
        world.solve(run("copy", scratch(), remote("tree"), remote("file")))
