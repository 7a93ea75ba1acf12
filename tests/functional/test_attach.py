"""`attach`, `start -a` and `-i`, `run -it`: streams of containers that outlive whoever looks."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, Tierce, outcome_of
from support.terminal import Terminal

DETACH = "\x10\x11"
"""ctrl-p, ctrl-q."""


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", identifier)


def status(program: Tierce, name: str) -> str:
    return program.run("inspect", "-f", "{{.State.Status}}", name).stdout.strip()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def say(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


# Pipes


def test_several_attach_at_once_and_see_the_same(program: Tierce) -> None:
    program.run("run", "-d", "-i", "--name", "it", BASE, "sh", "-c", "while read x; do echo $x; "
                "echo $x >&2; [ $x = end ] && exit 3; done")  # fmt: skip
    with (
        program.start("attach", "it", stdin=subprocess.PIPE) as first,
        program.start("attach", "it", stdin=subprocess.PIPE) as second,
    ):
        say(first, "one\n")
        assert line_of(first) == "one\n"
        # Attached is who sees what it has said itself; it may have seen what was said before.
        say(second, "two\n")
        while line_of(second) != "two\n":
            assert second.poll() is None
        assert line_of(first) == "two\n"
        say(first, "end\n")
        for process in (second, first):
            outcome = outcome_of(process)
            assert (outcome.status, outcome.stdout) == (3, "end\n")
            assert outcome.stderr.endswith("two\nend\n")


def test_input_stays_open_for_the_next_one(program: Tierce) -> None:
    """`run -d -i` keeps it, whoever has no more to say."""
    program.run("run", "-d", "-i", "--name", "it", BASE, "cat")
    with program.start("attach", "it", stdin=subprocess.PIPE) as first:
        say(first, "one\n")
        assert line_of(first) == "one\n"
        first.kill()
        outcome_of(first)
    with program.start("attach", "it", stdin=subprocess.PIPE) as second:
        say(second, "two\n")
        assert line_of(second) == "two\n"
        assert status(program, "it") == "running"
        program.run("kill", "it")
        assert outcome_of(second).status == 137
    config = program.run("inspect", "-f", "{{.Config.OpenStdin}} {{.Config.StdinOnce}}", "it")
    assert config.stdout == "true false\n"


def test_created_container_is_started_with_our_input_to_its_end(program: Tierce) -> None:
    program.run("create", "-i", "--name", "it", BASE, "sh", "-c", "cat; echo err >&2; exit 4")
    config = program.run("inspect", "-f", "{{.Config.OpenStdin}} {{.Config.StdinOnce}}", "it")
    assert config.stdout == "true true\n"
    for flags in (("-ai",), ("-i",), ("-a", "-i")):
        found = program.run("start", *flags, "it", text="in\nput", status=4)
        assert (found.stdout, found.stderr) == ("in\nput", "err\n")
    assert status(program, "it") == "exited"


def test_first_words_of_a_started_container_are_not_missed(program: Tierce) -> None:
    program.run("create", "--name", "it", BASE, "sh", "-c", "yes 0123456789 | head -n 200000")
    for _ in range(3):
        assert len(program.run("start", "-a", "it").stdout.splitlines()) == 200000


def test_large_input_goes_through_whole(program: Tierce) -> None:
    program.run("create", "-i", "--name", "it", BASE, "sha256sum")
    text = "".join(f"line {number}\n" for number in range(200000))
    import hashlib

    expected = hashlib.sha256(text.encode()).hexdigest()
    assert program.run("start", "-ai", "it", text=text).stdout == f"{expected}  -\n"


def test_attached_without_stdin_says_nothing(program: Tierce) -> None:
    program.run("run", "-d", "-i", "--name", "it", BASE, "sh", "-c", "read x; echo got $x")
    with program.start("attach", "--no-stdin", "it", stdin=subprocess.PIPE) as process:
        say(process, "unheard\n")
        with program.start("attach", "it", stdin=subprocess.PIPE) as other:
            say(other, "heard\n")
            assert line_of(other) == "got heard\n"
            assert outcome_of(other).status == 0
        outcome = outcome_of(process)
        assert outcome.stdout in {"got heard\n", ""}  # as it came before or after the words


@pytest.mark.parametrize("how", ["attach", "start", "run"])
def test_signals_go_to_the_container(program: Tierce, how: str) -> None:
    script = "trap 'echo got it; exit 7' TERM; read x; echo ready; while :; do sleep 0.05; done"
    words = ("-i", "--name", "it", BASE, "sh", "-c", script)
    if how == "attach":
        program.run("run", "-d", *words)
        command: tuple[str, ...] = ("attach", "it")
    elif how == "start":
        program.run("create", *words)
        command = ("start", "-ai", "it")
    else:
        command = ("run", "-a", "stdin", "-a", "stdout", *words)
    with program.start(*command, stdin=subprocess.PIPE) as process:
        say(process, "go\n")
        assert line_of(process) == "ready\n"
        process.send_signal(signal.SIGTERM)
        outcome = outcome_of(process)
    assert (outcome.status, outcome.stdout) == (7, "got it\n")


@pytest.mark.parametrize("how", ["attach", "run"])
def test_without_sig_proxy_a_signal_ends_us_alone(program: Tierce, how: str) -> None:
    words = ("-i", "--name", "it", BASE, "sh", "-c", "read x; echo ready; sleep 600")
    if how == "attach":
        program.run("run", "-d", *words)
        command: tuple[str, ...] = ("attach", "--sig-proxy=false", "it")
    else:
        command = ("run", "--sig-proxy=false", *words)
    with program.start(*command, stdin=subprocess.PIPE) as process:
        say(process, "go\n")
        assert line_of(process) == "ready\n"
        process.send_signal(signal.SIGINT)
        assert outcome_of(process).status == 130
    assert status(program, "it") == "running"


def test_chosen_streams_alone_are_shown(program: Tierce) -> None:
    script = "echo out; echo err >&2; exit 2"
    found = program.run("run", "--rm", "-a", "stderr", BASE, "sh", "-c", script, status=2)
    assert (found.stdout, found.stderr) == ("", "err\n")
    found = program.run("run", "--rm", "-a", "STDOUT", BASE, "sh", "-c", script, status=2)
    assert (found.stdout, found.stderr) == ("out\n", "")
    message = "cannot specify both --attach and --detach"
    assert message in program.run("run", "-d", "-a", "stdout", BASE, status=125).stderr
    message = "valid streams are STDIN, STDOUT and STDERR"
    assert message in program.run("run", "-a", "std", BASE, status=125).stderr


def test_container_of_an_attached_run_goes_with_its_end_and_its_status_is_known(
    program: Tierce,
) -> None:
    for number in (0, 3):
        found = program.run("run", "--rm", "-a", "stdout", BASE, "sh", "-c", f"exit {number}",
                            status=number)  # fmt: skip
        assert found.stderr == ""
        assert program.run("ps", "-aq").stdout == ""


def test_killed_attached_run_leaves_its_container_to_itself(program: Tierce) -> None:
    words = ("-i", "--name", "it", BASE, "sh", "-c", "read x; echo ready; read x; exit 5")
    with program.start("run", "--sig-proxy=false", *words, stdin=subprocess.PIPE) as process:
        say(process, "go\n")
        assert line_of(process) == "ready\n"
        process.kill()
        outcome_of(process)
    # It was given its input once, and that has ended.
    assert program.run("wait", "it").stdout == "5\n"
    assert status(program, "it") == "exited"


def test_what_does_not_run_is_not_attached_to(program: Tierce) -> None:
    program.run("create", "--name", "it", BASE, "sleep", "600")
    message = "cannot attach to a stopped container, start it first"
    assert message in program.run("attach", "it", status=1).stderr
    program.run("start", "it")
    program.run("pause", "it")
    message = "cannot attach to a paused container, unpause it first"
    assert message in program.run("attach", "it", status=1).stderr
    assert "no such container: nobody" in program.run("attach", "nobody", status=1).stderr
    program.run("run", "-d", "-it", "--name", "term", BASE, "sh")
    message = "the input device is not a TTY"
    assert message in program.run("attach", "term", status=1).stderr


def test_run_without_a_terminal_of_ours_makes_nothing(program: Tierce) -> None:
    found = program.run("run", "--rm", "-it", BASE, "true", status=125)
    assert "the input device is not a TTY" in found.stderr
    assert program.run("ps", "-aq").stdout == ""


def test_container_of_somebodys_foreground_says_where_its_streams_are(program: Tierce) -> None:
    with program.start("run", "--name", "it", BASE, "sh", "-c", "echo ready; sleep 600") as front:
        assert line_of(front) == "ready\n"
        found = program.run("attach", "it", status=1)
        assert "its streams are those of the command that runs it" in found.stderr
        assert "tierce logs -f it" in found.stderr
        program.run("kill", "it")
        outcome_of(front)


# Terminals


def test_terminal_is_left_by_keys_and_come_back_to(program: Tierce) -> None:
    terminal = Terminal(program, "run", "--rm", "-it", "--name", "it", BASE, "sh")
    try:
        terminal.read_until("[#$] ")
        terminal.type("stty size\r")
        terminal.read_until("30 100")
        terminal.resize(40, 120)
        terminal.type("stty size\r")
        terminal.read_until("40 120")
        terminal.type(DETACH)
        assert terminal.process.wait(60) == 0
        assert terminal.restored()
    finally:
        terminal.close()
    assert status(program, "it") == "running"
    terminal = Terminal(program, "attach", "--detach-keys", "q", "it")
    try:
        terminal.read_until("[#$] ")  # drawn anew
        terminal.type("stty size\r")
        terminal.read_until("30 100")  # of the terminal that looks at it now
        terminal.type("q")
        terminal.read_until("read escape sequence")
        assert terminal.process.wait(60) == 1
    finally:
        terminal.close()
    terminal = Terminal(program, "attach", "it")
    try:
        terminal.read_until("[#$] ")
        terminal.type("exit 6\r")
        assert terminal.process.wait(60) == 6
    finally:
        terminal.close()
    assert program.run("ps", "-aq").stdout == ""


def test_terminal_of_a_started_container_has_our_size(program: Tierce) -> None:
    program.run("create", "-it", "--name", "it", BASE, "sh", "-c", "stty size; read x; exit 9")
    terminal = Terminal(program, "start", "-ai", "it")
    try:
        terminal.read_until("30 100")
        terminal.type("\r")
        assert terminal.process.wait(60) == 9
        assert terminal.restored()
    finally:
        terminal.close()


def test_keys_that_only_begin_the_sequence_reach_the_container(program: Tierce) -> None:
    terminal = Terminal(program, "run", "--rm", "-it", BASE, "sh", "-c",
                        "stty raw -echo; echo ready; head -c 2 | od -An -tx1")  # fmt: skip
    try:
        terminal.read_until("ready")
        terminal.type("\x10")
        terminal.type("x")
        terminal.read_until("10 78")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.close()


def test_container_whose_terminal_is_gone_lives_on(program: Tierce) -> None:
    terminal = Terminal(program, "run", "-it", "--name", "it", BASE, "sh")
    try:
        terminal.read_until("[#$] ")
        os.kill(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait(60)
    finally:
        terminal.close()
    assert status(program, "it") == "running"
    program.run("exec", "it", "true")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("create",), "false true true false"),
        (("create", "-i"), "true true true true"),
        (("create", "-i", "-a", "stderr"), "false false true false"),
        (("run", "-d", "-i"), "false false false false"),
        (("run",), "false true true false"),
    ],
)
def test_inspect_says_which_streams_were_to_be_ours(
    program: Tierce, words: tuple[str, ...], shown: str
) -> None:
    program.run(*words, "--name", "it", BASE, "true")
    fields = ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce")
    form = " ".join(f"{{{{.Config.{field}}}}}" for field in fields)
    assert program.run("inspect", "-f", form, "it").stdout == f"{shown}\n"


def test_keys_are_those_of_dockers_config(program: Tierce, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"detachKeys": "ctrl-x", "auths": {}}')
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    terminal = Terminal(program, "run", "-it", "--name", "it", BASE, "sh", environment=environment)
    try:
        terminal.read_until("[#$] ")
        terminal.type("\x18")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.close()
    assert status(program, "it") == "running"
    (tmp_path / "config.json").write_text("{")
    found = program.run("attach", "it", status=1, environment=environment)
    assert f"WARNING: read {tmp_path}/config.json: it is no JSON" in found.stderr
