"""`tierce stats`: what containers use of the machine."""

import json
import re
from collections.abc import Iterator

import pytest

from support.program import BASE, Tierce

BUSY = "echo ready; while :; do :; done"
IDLE = "echo ready; trap 'exit 0' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", identifier)


def start(program: Tierce, name: str, script: str, *flags: str) -> str:
    """A container in the background whose process is at its work."""
    words = ("run", "-d", "--name", name, "--network", "none", *flags, BASE, "sh", "-c", script)
    identifier = program.run(*words).stdout.strip()
    with program.running("logs", "-f", name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    return identifier


def test_table_is_dockers(program: Tierce) -> None:
    identifier = start(program, "busy", BUSY, "-m", "64m")
    program.run("create", "--name", "stopped", BASE, "true")
    header, row, *rest = program.run("stats", "--no-stream").stdout.splitlines()
    assert re.split(" {2,}", header) == [
        *("CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %"),
        *("NET I/O", "BLOCK I/O", "PIDS"),
    ]
    cells = re.split(" {2,}", row)
    assert cells[:2] == [identifier[:12], "busy"]
    assert float(cells[2].removesuffix("%")) > 0
    assert re.fullmatch(r"[\d.]+[KM]iB / 64MiB", cells[3])
    assert cells[5] == "0B / 0B"
    assert cells[7] == "1"
    assert rest == []


def test_those_that_do_not_run_use_nothing(program: Tierce) -> None:
    program.run("create", "--name", "stopped", BASE, "true")
    found = program.run("stats", "--no-stream", "--format", "json", "stopped").stdout
    assert json.loads(found) | {"ID": ""} == {
        "BlockIO": "0B / 0B",
        "CPUPerc": "0.00%",
        "Container": "stopped",
        "ID": "",
        "MemPerc": "0.00%",
        "MemUsage": "0B / 0B",
        "Name": "stopped",
        "NetIO": "0B / 0B",
        "PIDs": "0",
    }
    form = "{{.Name}} {{.PIDs}}"
    assert program.run("stats", "--no-stream", "--all", "--format", form).stdout == "stopped 0\n"
    assert program.run("stats", "--no-stream", "--format", form).stdout == ""


def test_container_in_the_foreground_is_counted_without_what_runs_it(program: Tierce) -> None:
    words = ("run", "--rm", "--name", "here", "--network", "none", BASE, "sh", "-c", IDLE)
    with program.running(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        form = "{{.Name}} {{.PIDs}}"
        found = program.run("stats", "--no-stream", "--format", form, "here").stdout
        assert found in {"here 1\n", "here 2\n"}  # the shell, and sometimes its sleep
        program.run("stop", "here")
        process.communicate()


def test_stream_goes_on_until_the_container_is_gone(program: Tierce) -> None:
    start(program, "idle", IDLE)
    with program.running("stats", "--format", "{{.Name}} {{.PIDs}}", "idle") as process:
        assert process.stdout is not None
        for _ in range(2):
            line = process.stdout.readline()
            assert re.fullmatch("(\033\\[2J)?(\033\\[J)?\033\\[Hidle [12]\033\\[K\n", line)
        program.run("rm", "-f", "idle")
        process.communicate()
        assert process.returncode == 0


def test_container_that_is_not_there(program: Tierce) -> None:
    refused = program.run("stats", "--no-stream", "nobody", status=1).stderr
    assert "no such container: nobody" in refused.lower()
    refused = program.run("stats", "--no-stream", "--format", "{{.Nope", status=1).stderr
    assert "template parsing error" in refused
