"""Commands for one container at the same moment."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import inspected, nothing_outlives, start, until
from support.program import BASE, Tierce, outcome_of

SLOW_TO_STOP = (
    "trap 'touch /data/stopping; while ! test -e /data/go; do sleep 0.02; done; exit 7' TERM;"
    "touch /data/ready; while :; do sleep 0.02; done"
)


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test, and nothing of one is left."""
    with nothing_outlives(shared):
        yield shared


@pytest.fixture
def slow(program: Tierce, tmp_path: Path) -> Path:
    """A directory that the container "slow" has, which is asked to stop, and waits for `go`."""
    start(program, "--name", "slow", "-v", f"{tmp_path}:/data", BASE, "sh", "-c", SLOW_TO_STOP)
    until((tmp_path / "ready").exists)
    return tmp_path


def test_exec_works_while_a_container_is_stopped_and_not_after(program: Tierce, slow: Path) -> None:
    with program.running("stop", "-t", "60", "slow") as stopping:
        until((slow / "stopping").exists)
        assert program.run("exec", "slow", "echo", "still here").stdout == "still here\n"
        with program.running("exec", "slow", "sh", "-c", "echo in; sleep 600") as inside:
            assert inside.stdout is not None
            assert inside.stdout.readline() == "in\n"
            (slow / "go").touch()
            assert outcome_of(stopping).status == 0
            assert outcome_of(inside).status == 137
    assert "is not running" in program.run("exec", "slow", "true", status=1).stderr
    assert program.run("wait", "slow").stdout == "7\n"


def test_two_stops_both_return_when_it_has_ended(program: Tierce, slow: Path) -> None:
    with (
        program.running("stop", "-t", "60", "slow") as first,
        program.running("stop", "-t", "60", "slow") as second,
    ):
        until((slow / "stopping").exists)
        (slow / "go").touch()
        assert [outcome_of(each).stdout for each in (first, second)] == ["slow\n"] * 2
    assert inspected(program, "slow", "{{.State.ExitCode}}") == "7"


def test_hurried_stop_overtakes_a_patient_one(program: Tierce, slow: Path) -> None:
    with program.running("stop", "-t", "600", "slow") as patient:
        until((slow / "stopping").exists)
        assert program.run("stop", "-t", "0", "slow").stdout == "slow\n"
        assert outcome_of(patient).stdout == "slow\n"
    assert inspected(program, "slow", "{{.State.ExitCode}}") == "137"


def test_kill_of_one_that_is_being_restarted_hastens_the_restart(
    program: Tierce, slow: Path
) -> None:
    before = inspected(program, "slow", "{{.State.Pid}}")
    with program.running("restart", "-t", "600", "slow") as restarting:
        until((slow / "stopping").exists)
        assert program.run("kill", "slow").stdout == "slow\n"
        assert outcome_of(restarting).stdout == "slow\n"
    assert inspected(program, "slow") == "running"
    assert inspected(program, "slow", "{{.State.Pid}}") != before


def test_stop_ends_those_who_wait_follow_and_are_paused(program: Tierce, slow: Path) -> None:
    with (
        program.running("wait", "slow") as first,
        program.running("wait", "slow") as second,
        program.running("logs", "-f", "slow") as following,
    ):
        (slow / "go").touch()
        program.run("pause", "slow")
        program.run("stop", "slow")
        # Who begins to wait after the end gets the same answer.
        assert [outcome_of(each).stdout for each in (first, second)] == ["7\n", "7\n"]
        assert outcome_of(following).status == 0


def test_paused_container_is_removed_by_force_at_once(program: Tierce, slow: Path) -> None:
    program.run("pause", "slow")
    with program.running("logs", "-f", "slow") as following:
        assert program.run("rm", "-f", "slow").stdout == "slow\n"
        outcome_of(following)
    assert program.run("ps", "-aq").stdout == ""


@pytest.mark.parametrize("first", ["start", "rm"])
def test_start_beside_rm_is_one_before_the_other(program: Tierce, first: str) -> None:
    program.run("create", "--name", "one", BASE, "sleep", "600")
    second = {"start": "rm", "rm": "start"}[first]
    with program.running(first, "one") as one, program.running(second, "one") as other:
        found = {first: outcome_of(one), second: outcome_of(other)}
    if found["rm"].status == 0:
        assert re.search("no such container: one", found["start"].stderr)
        assert program.run("ps", "-aq").stdout == ""
    else:
        assert re.search("container is running|has been started", found["rm"].stderr)
        assert found["start"].status == 0
        assert inspected(program, "one") == "running"


def test_two_removals_remove_it_once(program: Tierce) -> None:
    start(program, "--name", "one", BASE, "sleep", "600")
    with program.running("rm", "-f", "one") as one, program.running("rm", "-f", "one") as other:
        found = [outcome_of(each) for each in (one, other)]
    assert all(each.status == 0 for each in found)
    assert any(each.stdout == "one\n" for each in found)


def test_two_starts_start_it_once(program: Tierce) -> None:
    program.run("create", "--name", "one", BASE, "sh", "-c", "echo begun; sleep 600")
    with program.running("start", "one") as one, program.running("start", "one") as other:
        assert [outcome_of(each).stdout for each in (one, other)] == ["one\n", "one\n"]
    with program.running("logs", "-f", "one") as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "begun\n"
        program.run("stop", "-t", "0", "one")
        assert outcome_of(following).stdout == ""


def test_rename_beside_start_does_both(program: Tierce) -> None:
    program.run("create", "--name", "old", BASE, "sleep", "600")
    identifier = inspected(program, "old", "{{.Id}}")
    with (
        program.running("start", identifier) as starting,
        program.running("rename", identifier, "new") as renaming,
    ):
        assert outcome_of(starting).status == 0
        assert outcome_of(renaming).status == 0
    assert inspected(program, "new") == "running"
    assert inspected(program, "new", "{{.Id}}") == identifier


def test_signals_of_several_all_arrive(program: Tierce, tmp_path: Path) -> None:
    command = (
        "trap 'echo 1 >> /data/got' USR1; trap 'echo 2 >> /data/got' USR2; touch /data/ready;"
        "while :; do sleep 0.02; done"
    )
    start(program, "--name", "one", "-v", f"{tmp_path}:/data", BASE, "sh", "-c", command)
    until((tmp_path / "ready").exists)
    with (
        program.running("kill", "-s", signal.SIGUSR1.name, "one") as one,
        program.running("kill", "-s", signal.SIGUSR2.name, "one") as other,
    ):
        assert [outcome_of(each).status for each in (one, other)] == [0, 0]
    got = tmp_path / "got"
    until(lambda: got.exists() and sorted(got.read_text().split()) == ["1", "2"])
