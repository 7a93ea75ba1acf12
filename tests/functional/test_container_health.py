"""Health checks, as they are asked for, run and shown."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import inspected, nothing_outlives, run_file, start, until
from support.program import BASE, Tierce, outcome_of, write_context
from support.users import Rootless, has_subordinate_ids, made_user

AT_ONCE = ("--health-interval", "100ms")


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test, and nothing of one is left."""
    with nothing_outlives(shared):
        yield shared


def health(program: Tierce, name: str) -> dict[str, object]:
    return dict(json.loads(inspected(program, name, "{{json .State.Health}}")))


def until_status(program: Tierce, name: str, status: str) -> None:
    until(lambda: inspected(program, name, "{{.State.Health.Status}}") == status)


def until_answers(program: Tierce, name: str, count: int) -> None:
    until(lambda: int(inspected(program, name, "{{len .State.Health.Log}}")) >= count)


def test_container_is_starting_then_well_then_not(program: Tierce, tmp_path: Path) -> None:
    command = "test -e /data/asked && { echo fine; test -e /data/well; }"
    start(
        program,
        *("--name", "web", "-v", f"{tmp_path}:/data", "--health-cmd", command, *AT_ONCE),
        *("--health-retries", "2", "--health-start-period", "1h", "--health-start-interval"),
        *("100ms", BASE, "sleep", "600"),
    )
    assert "(health: starting)" in program.run("ps").stdout
    until_answers(program, "web", 2)
    assert inspected(program, "web", "{{.State.Health.Status}}") == "starting"
    (tmp_path / "well").touch()
    (tmp_path / "asked").touch()
    until_status(program, "web", "healthy")
    assert "(healthy)" in program.run("ps").stdout
    found = health(program, "web")
    assert found["FailingStreak"] == 0
    log = found["Log"]
    assert isinstance(log, list)
    assert {*log[-1]} == {"Start", "End", "ExitCode", "Output"}
    assert (log[-1]["ExitCode"], log[-1]["Output"]) == (0, "fine\n")
    (tmp_path / "well").unlink()
    until_status(program, "web", "unhealthy")
    assert "(unhealthy)" in program.run("ps").stdout
    assert int(str(health(program, "web")["FailingStreak"])) >= 2
    until_answers(program, "web", 5)
    assert len(json.loads(inspected(program, "web", "{{json .State.Health.Log}}"))) == 5


def test_lists_are_filtered_by_health(program: Tierce) -> None:
    start(program, "--name", "good", "--health-cmd", "true", *AT_ONCE, BASE, "sleep", "600")
    start(program, "--name", "ill", "--health-cmd", "false", "--health-retries", "1", *AT_ONCE,
          BASE, "sleep", "600")  # fmt: skip
    start(program, "--name", "new", "--health-cmd", "true", BASE, "sleep", "600")
    start(program, "--name", "plain", BASE, "sleep", "600")
    until_status(program, "good", "healthy")
    until_status(program, "ill", "unhealthy")

    def names(status: str) -> str:
        form = ("--format", "{{.Names}}")
        return program.run("ps", "-f", f"health={status}", *form).stdout.strip()

    assert [names(status) for status in ("healthy", "unhealthy", "starting", "none")] == (
        ["good", "ill", "new", "plain"]
    )
    program.run("ps", "-f", "health=odd", status=2)


def test_check_of_the_image_is_run_as_the_containers_user(program: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context",
        f"FROM {BASE}\n"
        'SHELL ["/bin/sh", "-e", "-c"]\n'
        "WORKDIR /srv\n"
        "ENV WHO=me\n"
        "HEALTHCHECK --interval=100ms --retries=7 CMD false; echo unreached\n",
    )
    program.build(context, "-t", "checked")
    start(program, "--name", "own", "-u", "12:34", "checked", "sleep", "600")
    until_answers(program, "own", 1)
    assert inspected(program, "own", "{{(index .State.Health.Log 0).Output}}") == ""
    assert json.loads(inspected(program, "own", "{{json .Config.Healthcheck}}")) == {
        "Test": ["CMD-SHELL", "false; echo unreached"],
        "Interval": 100_000_000,
        "Retries": 7,
    }
    command = "id -u; pwd; echo $WHO"
    start(
        program,
        *("--name", "other", "-u", "12:34", "--health-cmd", command, "checked", "sleep", "600"),
    )
    until_answers(program, "other", 1)
    log = json.loads(inspected(program, "other", "{{json .State.Health.Log}}"))
    assert log[0]["Output"] == "12\n/srv\nme\n"
    assert inspected(program, "other", "{{.Config.Healthcheck.Retries}}") == "7"
    identifier = start(program, "--name", "no", "--no-healthcheck", "checked", "sleep", "600")
    assert "Health" not in json.loads(inspected(program, "no", "{{json .State}}"))
    assert not run_file(program, identifier, "keeper").exists()


def test_probe_that_takes_too_long_is_killed_and_fails(program: Tierce, tmp_path: Path) -> None:
    command = "echo so far; echo $$ > /data/pid; exec sleep 600"
    start(
        program,
        *("--name", "slow", "-v", f"{tmp_path}:/data", "--health-cmd", command, *AT_ONCE),
        *("--health-timeout", "300ms", BASE, "sleep", "600"),
    )
    until_answers(program, "slow", 1)
    log = json.loads(inspected(program, "slow", "{{json .State.Health.Log}}"))
    assert log[0]["ExitCode"] == -1
    assert log[0]["Output"] == "Health check exceeded timeout (300ms): so far\n"
    pid = (tmp_path / "pid").read_text().strip()
    (tmp_path / "pid").unlink()
    until((tmp_path / "pid").exists)
    assert (
        pid not in program.run("exec", "slow", "sh", "-c", "cd /proc; echo [0-9]*").stdout.split()
    )


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("exit 3", 3, ""),
        ("echo out; echo err >&2; exit 1", 1, "out\nerr\n"),
        ("sleep 600 & echo begun", 0, "begun\n"),
        ("i=0; while [ $i -lt 600 ]; do echo 0123456; i=$((i+1)); done", 0, None),
    ],
)
def test_answer_is_kept(program: Tierce, command: str, code: int, output: str | None) -> None:
    start(program, "--name", "told", "--health-cmd", command, *AT_ONCE, BASE, "sleep", "600")
    until_answers(program, "told", 1)
    log = json.loads(inspected(program, "told", "{{json .State.Health.Log}}"))
    assert log[0]["ExitCode"] == code
    assert log[0]["Output"] == ("0123456\n" * 512 + "..." if output is None else output)


def test_probe_that_cannot_be_run_fails(program: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context",
        f'FROM {BASE}\nHEALTHCHECK --interval=100ms --retries=1 CMD ["/bin/nope"]\n',
    )
    program.build(context, "-t", "bad-check")
    start(program, "--name", "bad", "bad-check", "sleep", "600")
    until_status(program, "bad", "unhealthy")
    log = json.loads(inspected(program, "bad", "{{json .State.Health.Log}}"))
    assert log[0]["ExitCode"] == -1
    assert "no such file or directory" in log[0]["Output"]


def test_what_is_paused_is_not_probed(program: Tierce) -> None:
    start(program, "--name", "held", "--health-cmd", "true", *AT_ONCE, BASE, "sleep", "600")
    until_status(program, "held", "healthy")
    program.run("pause", "held")
    last = "{{(index .State.Health.Log 0).Start}}"
    # One may be under way that began before.
    until(lambda: inspected(program, "held", last) == inspected(program, "held", last))
    assert "(Paused)" in program.run("ps").stdout
    program.run("unpause", "held")
    before = inspected(program, "held", last)
    until(lambda: inspected(program, "held", last) != before)


def test_container_that_has_ended_is_not_well_and_remembers(program: Tierce) -> None:
    identifier = start(
        program, "--name", "over", "--health-cmd", "echo x", *AT_ONCE, BASE, "sleep", "600"
    )
    until_status(program, "over", "healthy")
    number = int(run_file(program, identifier, "keeper").read_text().split()[0])
    keeper = os.pidfd_open(number)
    try:
        program.run("stop", "-t", "0", "over")
        assert select.select([keeper], [], [], 0)[0]  # it has ended
    finally:
        os.close(keeper)
    found = health(program, "over")
    assert found["Status"] == "unhealthy"
    assert found["Log"]
    program.run("start", "over")
    until_status(program, "over", "healthy")


def test_killed_keeper_is_replaced_by_the_next_command(program: Tierce) -> None:
    identifier = start(
        program, "--name", "web", "--health-cmd", "true", *AT_ONCE, BASE, "sleep", "600"
    )
    record = run_file(program, identifier, "keeper")
    before = record.read_text()
    os.kill(int(before.split()[0]), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{before.split()[0]}").exists())
    program.run("ps")
    assert record.read_text() != before
    until_status(program, "web", "healthy")


def test_container_in_the_foreground_is_probed_too(program: Tierce) -> None:
    command = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    flags = ("--name", "front", "--health-cmd", "true", *AT_ONCE)
    with program.running("run", *flags, BASE, "sh", "-c", command) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        until_status(program, "front", "healthy")
        program.run("stop", "front")
        assert outcome_of(process).status == 3
    assert health(program, "front")["Status"] == "unhealthy"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--no-healthcheck", "--health-cmd", "x"), "conflicts with --health-* options"),
        (("--health-retries", "-1"), "--health-retries cannot be negative"),
        (("--health-interval", "-1s"), "--health-interval cannot be negative"),
        (("--health-timeout", "5"), 'invalid argument "5" for "--health-timeout" flag'),
        (("--health-cmd", "x", "--health-interval", "1us"), "cannot be less than 1ms"),
    ],
)
def test_what_makes_no_sense_is_refused(
    program: Tierce, words: tuple[str, ...], message: str
) -> None:
    assert message in program.run("run", "-d", *words, BASE, "true", status=125).stderr
    assert program.run("ps", "-aq").stdout == ""


@pytest.mark.skipif(not has_subordinate_ids(), reason="no newuidmap")
def test_ordinary_user_has_health_checks_and_bounded_logs(base_archive: Path) -> None:
    with made_user() as user, Rootless(user) as program:
        program.run("load", "-q", "-i", str(program.give(base_archive, "bases.tar")))
        log = ("--log-opt", "max-size=1m", "--log-opt", "max-file=2")
        flags = ("--network", "none", "--health-cmd", "id -u", *AT_ONCE)
        program.run(
            "run", "-d", "--name", "web", *flags, *log, BASE, "sh", "-c", "echo hi; sleep 600"
        )
        form = ("inspect", "-f", "{{.State.Health.Status}}", "web")
        until(lambda: program.run(*form).stdout == "healthy\n")
        assert program.run("logs", "web").stdout == "hi\n"
        task = next(program.home.glob("**/keeper.json"))
        record = task.with_name("keeper")
        before = record.read_text()
        assert os.stat(f"/proc/{before.split()[0]}").st_uid == user.uid
        os.kill(int(before.split()[0]), signal.SIGKILL)
        until(lambda: not Path(f"/proc/{before.split()[0]}").exists())
        program.run("ps")
        assert record.read_text() != before
        program.run("rm", "-f", "web")
        assert not record.exists()
