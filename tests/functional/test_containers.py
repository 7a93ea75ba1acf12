"""Containers in the background, as their users and scripts see them."""

import json
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import nothing_outlives
from support.program import BASE, Tierce, outcome_of
from tierce.store import Store

FOR_EVER = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test, and nothing of one is left."""
    with nothing_outlives(shared):
        yield shared


def start(program: Tierce, *words: str) -> str:
    """Run a container in the background; its id."""
    found = program.run("run", "-d", *words).stdout
    assert re.fullmatch(r"[0-9a-f]{64}\n", found)
    return found.strip()


def until_ready(program: Tierce, name: str) -> None:
    """Wait for the line that FOR_EVER writes first."""
    with program.running("logs", "-f", name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()


def document(program: Tierce, name: str) -> dict[str, object]:
    [found] = json.loads(program.run("container", "inspect", name).stdout)
    return dict(found)


def state(program: Tierce, name: str, form: str = "{{.State.Status}}") -> str:
    return program.run("inspect", "-f", form, name).stdout.strip()


def monitor_of(program: Tierce, identifier: str) -> int:
    with Store.open(program.root) as store:
        return int(Path(store.paths.detached, identifier, "monitor").read_text())


# Running


def test_container_in_the_background_outlives_the_command(program: Tierce) -> None:
    identifier = start(program, "--name", "lives", BASE, "sh", "-c", FOR_EVER)
    lines = program.run("container", "ls").stdout.splitlines()
    assert re.fullmatch("CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES", lines[0])
    row = re.split(r" {2,}", lines[1])
    assert row[:3] == [identifier[:12], BASE, "\"sh -c 'trap 'exit 3…\""]
    assert row[4].startswith("Up ")
    assert row[-1] == "lives"


def test_created_container_runs_when_it_is_started(program: Tierce) -> None:
    identifier = program.run("create", "--name", "made", BASE, "sh", "-c", "echo it ran").stdout
    assert state(program, "made") == "created"
    assert program.run("ps", "-q").stdout == ""
    assert "Created" in program.run("ps", "-a").stdout
    assert program.run("start", identifier[:12]).stdout == f"{identifier[:12]}\n"
    assert program.run("wait", "made").stdout == "0\n"
    assert program.run("logs", "made").stdout == "it ran\n"


def test_start_attached_shows_this_run_alone_and_gives_its_status(program: Tierce) -> None:
    program.run("create", "--name", "again", BASE, "sh", "-c", "echo out; echo err >&2; exit 4")
    for _ in range(2):
        found = program.run("start", "-a", "again", status=4)
        assert (found.stdout, found.stderr) == ("out\n", "err\n")
    assert program.run("logs", "again").stdout == "out\nout\n"


def test_files_of_a_container_are_there_when_it_is_started_again(program: Tierce) -> None:
    program.run("create", "--name", "kept", BASE, "sh", "-c", "cat /kept; echo more >> /kept")
    program.run("start", "-a", "kept")
    assert program.run("start", "-a", "kept").stdout == "more\n"
    assert program.run("start", "-a", "kept").stdout == "more\nmore\n"


def test_container_of_the_foreground_can_be_started_again(program: Tierce) -> None:
    program.run("run", "--name", "first", BASE, "sh", "-c", "cat /kept; echo more > /kept")
    assert program.run("start", "-a", "first").stdout == "more\n"


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("/bin/nope", 127, "no such file or directory"),
        ("/etc/passwd", 126, "permission denied"),
    ],
)
def test_command_that_cannot_run_is_told_at_once(
    program: Tierce, command: str, status: int, message: str
) -> None:
    found = program.run("run", "-d", "--name", "bad", BASE, command, status=status)
    assert message in found.stderr
    assert found.stdout == ""
    assert state(program, "bad", "{{.State.Status}} {{.State.ExitCode}}") == f"created {status}"
    assert message in state(program, "bad", "{{.State.Error}}")


def test_name_is_taken_until_its_container_is_removed(program: Tierce) -> None:
    identifier = start(program, "--name", "taken", BASE, "sleep", "600")
    found = program.run("run", "--name", "taken", BASE, "true", status=125)
    assert (
        f'Conflict. The container name "/taken" is already in use by container "{identifier}"'
        in (found.stderr)
    )
    program.run("stop", "-t", "0", "taken")
    assert "taken" in program.run("container", "ls", "--all").stdout
    assert program.run("container", "rm", "taken").stdout == "taken\n"
    program.run("run", "--rm", "--name", "taken", BASE, "true")


def test_terminal_of_a_container_in_the_background_is_one(program: Tierce) -> None:
    start(program, "-t", "--name", "term", BASE, "sh", "-c", "test -t 1 && echo a terminal")
    program.run("wait", "term")
    assert program.run("logs", "term").stdout == "a terminal\n"


def test_removed_with_its_end(program: Tierce) -> None:
    identifier = start(program, "--rm", BASE, "sh", "-c", FOR_EVER)
    until_ready(program, identifier)
    assert program.run("stop", identifier[:12]).stdout == f"{identifier[:12]}\n"
    assert program.run("ps", "-aq").stdout == ""


# Ending


def test_stop_signal_is_the_containers_own_and_stop_waits(program: Tierce) -> None:
    command = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done"
    start(program, "--stop-signal", "SIGUSR1", "--name", "own", BASE, "sh", "-c", command)
    until_ready(program, "own")
    assert program.run("stop", "own").stdout == "own\n"
    assert re.search(r"Exited \(9\) .* ago", program.run("ps", "-a").stdout)
    assert program.run("stop", "own").stdout == "own\n"  # once more is as well


def test_container_that_does_not_listen_is_killed_in_time(program: Tierce) -> None:
    start(program, "--name", "deaf", BASE, "sh", "-c", "trap '' TERM; echo ready; sleep 600")
    until_ready(program, "deaf")
    program.run("stop", "-t", "0", "deaf")
    assert program.run("wait", "deaf").stdout == "137\n"


def test_kill_sends_what_it_is_told(program: Tierce) -> None:
    start(program, "--name", "hit", BASE, "sh", "-c", FOR_EVER)
    until_ready(program, "hit")
    with program.running("wait", "hit") as waiting:
        until_waiting(waiting)
        assert program.run("kill", "-s", "term", "hit").stdout == "hit\n"
        assert outcome_of(waiting).stdout == "3\n"
    found = program.run("kill", "hit", status=1)
    assert "cannot kill container: hit" in found.stderr
    assert "is not running" in found.stderr
    assert "invalid signal: nope" in program.run("kill", "-s", "nope", "hit", status=1).stderr


def until_waiting(process: "subprocess.Popen[str]") -> None:
    """Wait until a command holds on to the container that it waits for."""
    directory = Path(f"/proc/{process.pid}/fd")
    while process.poll() is None:
        for descriptor in directory.iterdir():
            try:
                if os.readlink(descriptor).endswith("/ended"):
                    return
            except FileNotFoundError:  # closed meanwhile
                continue
    raise AssertionError(outcome_of(process))


def test_wait_knows_the_status_of_one_that_goes_with_its_end(program: Tierce) -> None:
    start(program, "--rm", "--name", "gone", BASE, "sh", "-c", FOR_EVER)
    until_ready(program, "gone")
    with program.running("wait", "gone") as waiting:
        until_waiting(waiting)
        program.run("stop", "gone")
        assert outcome_of(waiting).stdout == "3\n"
    assert "no such container: gone" in program.run("wait", "gone", status=1).stderr


def test_running_container_is_removed_only_by_force(program: Tierce) -> None:
    start(program, "--name", "busy", BASE, "sleep", "600")
    found = program.run("rm", "busy", status=1)
    assert 'cannot remove container "busy": container is running' in found.stderr
    program.run("pause", "busy")
    assert "container is paused" in program.run("rm", "busy", status=1).stderr
    assert program.run("rm", "-f", "busy").stdout == "busy\n"
    found = program.run("rm", "-f", "busy")
    assert "no such container: busy" in found.stderr
    program.run("rm", "busy", status=1)


def test_restart_is_a_new_run(program: Tierce) -> None:
    start(program, "--rm", "--name", "anew", BASE, "sh", "-c", FOR_EVER)
    before = state(program, "anew", "{{.State.Pid}}")
    assert program.run("restart", "-t", "0", "anew").stdout == "anew\n"
    assert state(program, "anew", "{{.State.Pid}}") not in {before, "0"}
    assert state(program, "anew", "{{.HostConfig.AutoRemove}}") == "true"


def test_rename_frees_the_old_name(program: Tierce) -> None:
    program.run("create", "--name", "old", BASE, "true")
    program.run("create", "--name", "other", BASE, "true")
    program.run("rename", "old", "new")
    program.run("inspect", "old", status=1)
    assert document(program, "new")["Name"] == "/new"
    assert "Conflict" in program.run("rename", "new", "other", status=1).stderr
    assert "Invalid container name" in program.run("rename", "new", "a/b", status=1).stderr


def test_paused_container_stands_still_and_goes_on(program: Tierce) -> None:
    start(program, "--name", "held", BASE, "sh", "-c", FOR_EVER)
    until_ready(program, "held")
    program.run("pause", "held")
    assert "(Paused)" in program.run("ps").stdout
    assert state(program, "held") == "paused"
    assert "already paused" in program.run("pause", "held", status=1).stderr
    program.run("unpause", "held")
    assert state(program, "held") == "running"
    assert "not paused" in program.run("unpause", "held", status=1).stderr
    program.run("pause", "held")
    program.run("stop", "held")
    assert program.run("wait", "held").stdout == "3\n"


def test_container_in_the_foreground_is_reached_from_elsewhere(program: Tierce) -> None:
    with program.start("run", "--name", "front", BASE, "sh", "-c", FOR_EVER) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert "front" in program.run("ps").stdout
        assert int(state(program, "front", "{{.State.Pid}}")) > 0
        assert program.run("logs", "front").stdout == "ready\n"
        assert program.run("stop", "front").stdout == "front\n"
        assert outcome_of(process).status == 3
    assert program.run("wait", "front").stdout == "3\n"


# Listing


def test_lists_are_filtered(program: Tierce) -> None:
    program.run("create", "--name", "web-1", "--label", "tier=front", BASE, "true")
    program.run(
        "run", "--name", "web-2", "--label", "tier=back", BASE, "sh", "-c", "exit 5", status=5
    )
    start(program, "--name", "job", BASE, "sleep", "600")

    def names(*words: str) -> list[str]:
        return program.run("ps", "--format", "{{.Names}}", *words).stdout.split()

    assert names() == ["job"]
    assert names("-a") == ["job", "web-2", "web-1"]
    assert names("-n", "2") == ["job", "web-2"]
    assert names("-l") == ["job"]
    assert names("-a", "-f", "name=web") == ["web-2", "web-1"]
    assert names("-a", "-f", "label=tier=front") == ["web-1"]
    assert names("-f", "status=created", "-f", "status=running") == ["job", "web-1"]
    assert names("-f", "exited=5") == ["web-2"]
    assert names("-a", "-f", f"ancestor={BASE}") == ["job", "web-2", "web-1"]
    assert names("-a", "-f", "before=job") == ["web-2", "web-1"]
    assert names("-a", "-f", "since=web-1") == ["job", "web-2"]
    program.run("ps", "-f", "status=odd", status=2)
    program.run("ps", "-f", "odd=1", status=2)
    [row] = [json.loads(line) for line in program.run("ps", "--format", "json").stdout.splitlines()]
    assert (row["Names"], row["State"], row["Image"]) == ("job", "running", BASE)
    form = r"table {{.ID}}\t{{.Image}}\t{{.Status}}"
    assert re.match("CONTAINER ID +IMAGE +STATUS\n", program.run("ps", "--format", form).stdout)


def test_inspect_says_how_a_container_was_made(program: Tierce) -> None:
    identifier = program.run(
        *("create", "--name", "seen", "-e", "A=1", "-w", "/tmp", "-u", "1:2", "--read-only"),
        *("-v", "/tmp:/host:ro", "--label", "x=y", BASE, "echo", "a b"),
    ).stdout.strip()
    found = document(program, "seen")
    assert found["Id"] == identifier
    assert (found["Path"], found["Args"]) == ("echo", ["a b"])
    config, host = found["Config"], found["HostConfig"]
    assert isinstance(config, dict)
    assert isinstance(host, dict)
    assert "A=1" in config["Env"]
    assert (config["WorkingDir"], config["User"], config["Image"]) == ("/tmp", "1:2", BASE)
    assert config["Labels"]["x"] == "y"
    assert (host["Binds"], host["ReadonlyRootfs"]) == (["/tmp:/host:ro"], True)
    driver = found["GraphDriver"]
    assert isinstance(driver, dict)
    assert os.path.isdir(driver["Data"]["UpperDir"])
    assert json.loads(program.run("inspect", identifier[:10]).stdout) == [found]


# Logs


def test_logs_keep_streams_parts_and_times(program: Tierce) -> None:
    start(program, "--name", "told", BASE, "sh", "-c", "echo one; echo two >&2; printf part")
    program.run("wait", "told")
    found = program.run("logs", "told")
    assert (found.stdout, found.stderr) == ("one\npart", "two\n")
    assert program.run("logs", "-n", "1", "told").stdout == "part"
    timed = program.run("logs", "-t", "told").stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one", timed[0])
    assert program.run("logs", "--since", "2999-01-01T00:00:00Z", "told").stdout == ""
    assert program.run("logs", "--until", "1h", "told").stdout == ""
    moment = timed[0].split()[0]
    assert program.run("logs", "--since", "1h", "told").stdout == "one\npart"
    assert moment.endswith("Z")
    assert "no such container: nobody" in program.run("logs", "nobody", status=1).stderr


def test_tail_counts_lines_however_long_they_are(program: Tierce) -> None:
    command = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    program.run("run", "--name", "long", BASE, "sh", "-c", command)
    lines = [f"line {number}" for number in range(3000)]
    for count in (0, 1, 10, 2999, 3000, 5000):
        found = program.run("logs", "--tail", str(count), "long").stdout.splitlines()
        assert found == lines[3000 - min(count, 3000) :]


def test_followed_log_of_a_quick_writer_loses_nothing(program: Tierce) -> None:
    command = "yes 0123456789abcdef0123456789abcdef0123456789abcdef | head -n 400000; echo end >&2"
    start(program, "--name", "quick", BASE, "sh", "-c", command)
    with program.start("logs", "-f", "quick") as process:
        found = outcome_of(process)
    assert len(found.stdout.splitlines()) == 400000
    assert found.stderr == "end\n"


def test_stop_ends_who_follows_the_log(program: Tierce) -> None:
    start(
        program,
        "--name",
        "followed",
        BASE,
        "sh",
        "-c",
        f"trap 'echo bye; exit' TERM; {FOR_EVER[17:]}",
    )
    with program.running("logs", "-f", "followed") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        program.run("stop", "followed")
        assert outcome_of(process).stdout == "bye\n"


# What goes wrong


def test_killed_monitor_is_found_out_and_cleared_up_after(program: Tierce) -> None:
    identifier = start(program, "--name", "orphan", BASE, "sleep", "600")
    process = os.pidfd_open(int(state(program, "orphan", "{{.State.Pid}}")))
    os.kill(monitor_of(program, identifier), signal.SIGKILL)
    assert re.search(r"Exited \(137\)", program.run("ps", "-a").stdout)
    assert select.select([process], [], [], 0)[0]  # it has ended
    os.close(process)
    program.run("start", "orphan")
    assert state(program, "orphan") == "running"


def test_nobody_ends_a_running_container_by_the_internal_command(program: Tierce) -> None:
    identifier = start(program, "--name", "up", BASE, "sleep", "600")
    program.run("container", "cleanup", identifier)
    assert state(program, "up") == "running"
