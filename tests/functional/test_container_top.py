"""`tierce top`: the processes of a container, by ps of this machine."""

import subprocess
from collections.abc import Iterator

import pytest

from support.program import BASE, Tierce, outcome_of


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", identifier)


@pytest.fixture(params=["background", "foreground", "background host", "foreground host"])
def where(program: Tierce, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container that is called `it`, with two processes, in a PID namespace or in the host's."""
    place, *host = str(request.param).split()
    script = "sleep 701 & echo ready; sleep 702; true"
    flags = ("--pid", "host") if host else ()
    words = ("--name", "it", *flags, BASE, "sh", "-c", script)
    if place == "background":
        program.run("run", "-d", *words)
        yield "background"
        return
    with program.start("run", *words) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield "foreground"
        finally:
            program.run("kill", "it")
            outcome_of(process)


def test_processes_of_the_container_are_shown_and_no_others(program: Tierce, where: str) -> None:
    with program.start("exec", "-i", "it", "sh", "-c", "echo in; cat", stdin=subprocess.PIPE) as at:
        assert at.stdout is not None
        assert at.stdout.readline() == "in\n"
        found = program.run("top", "it", "-o", "pid,args").stdout.splitlines()
        assert outcome_of(at, "").status == 0
    assert found[0].split() == ["PID", "COMMAND"]
    commands = {" ".join(line.split()[1:]) for line in found[1:]}
    assert {"sleep 701", "sleep 702", "cat"} <= commands
    assert len(commands) == 4  # with the shell that waits
    first = program.run("inspect", "-f", "{{.State.Pid}}", "it").stdout.strip()
    assert first in {line.split()[0] for line in found[1:]}


def test_options_are_those_of_ps(program: Tierce, where: str) -> None:
    usual = program.run("container", "top", "it").stdout.splitlines()
    assert usual[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert usual[0].startswith(f"{'UID':20}{'PID':20}")
    assert "%CPU" in program.run("top", "it", "aux").stdout
    assert "Couldn't find PID field" in program.run("top", "it", "-o", "cmd", status=1).stderr
    assert "ps: error: unknown gnu long option" in (
        program.run("top", "it", "--bogus", status=1).stderr
    )
    assert 'specifying "ppid=PID" is not allowed' in (
        program.run("top", "it", "-o", "pid,args -o ppid=PID", status=2).stderr
    )


def test_container_must_run(program: Tierce) -> None:
    identifier = program.run("create", "--name", "it", BASE, "true").stdout.strip()
    assert f"container {identifier} is not running" in program.run("top", "it", status=1).stderr
    assert "no such container: nobody" in program.run("top", "nobody", status=1).stderr
