"""`tierce exec`: commands in running containers, and what they must not get hold of."""

import json
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, Tierce, outcome_of, write_context
from support.terminal import Terminal

FOREVER = "echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", identifier)


@pytest.fixture(params=["background", "foreground"])
def where(program: Tierce, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container that is called `it`, in the background or in the foreground."""
    words = ("--name", "it", "-e", "MADE=with", "-w", "/tmp", BASE, "sh", "-c", FOREVER)
    if request.param == "background":
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


def process_1(program: Tierce, name: str) -> int:
    return int(program.run("inspect", "-f", "{{.State.Pid}}", name).stdout)


def waits_for(pid: int) -> int:
    return os.pidfd_open(pid)


# What it does


def test_command_has_the_streams_and_its_status_is_that_of_exec(
    program: Tierce, where: str
) -> None:
    found = program.run("exec", "it", "sh", "-c", "echo out; echo err >&2; exit 3", status=3)
    assert (found.stdout, found.stderr) == ("out\n", "err\n")
    assert program.run("exec", "-i", "it", "cat", text="said\n").stdout == "said\n"
    assert program.run("exec", "it", "cat", text="not heard\n").stdout == ""
    program.run("exec", "it", "sh", "-c", "kill -9 $$", status=137)


def test_command_is_in_the_containers_namespaces_and_groups_with_no_more_rights(
    program: Tierce, where: str
) -> None:
    script = (
        "for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; "
        "grep -v '^0:' /proc/self/cgroup; grep -E '^(Cap|NoNew|Seccomp|Groups)' /proc/self/status; "
        "umask"
    )
    inside = program.run("exec", "it", "sh", "-c", script).stdout
    assert "tierce-" in inside
    pid = process_1(program, "it")
    namespaces = [os.readlink(f"/proc/{pid}/ns/{n}")
                  for n in ("mnt", "pid", "net", "ipc", "uts", "cgroup")]  # fmt: skip
    groups = [line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
              if not line.startswith("0:")]  # fmt: skip
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    rights = [line.rstrip() for line in status
              if re.match("Cap|NoNew|Seccomp|Groups", line)]  # fmt: skip
    expected = [*namespaces, *groups, *rights, "0022"]
    assert [line.rstrip() for line in inside.splitlines()] == expected


def test_environment_directory_and_user_are_the_containers_unless_given(
    program: Tierce, where: str, tmp_path: Path
) -> None:
    assert program.run("exec", "it", "sh", "-c", "echo $MADE $HOME; pwd; id -u").stdout == (
        "with /root\n/tmp\n0\n"
    )
    file = tmp_path / "env"
    file.write_text("FILE=file\nBOTH=file\n")
    found = program.run(
        *("exec", "--env-file", str(file), "-e", "BOTH=flag", "-e", "MADE=now", "-w", "/etc"),
        *("-u", "app", "it", "sh", "-c", "echo $FILE $BOTH $MADE $HOME $SECRET; pwd; id -un"),
        environment={"SECRET": "ours"},
    )
    home = program.run("exec", "it", "sh", "-c", "grep ^app: /etc/passwd | cut -d: -f6").stdout
    assert found.stdout == f"file flag now {home.strip()}\n/etc\napp\n"
    assert program.run("exec", "-u", "1234:5678", "it", "id").stdout.startswith("uid=1234 gid=5678")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("it", "nope"), 127, 'exec: "nope": executable file not found in $PATH'),
        (("it", "/bin/nope"), 127, "no such file or directory"),
        (("it", "/etc/passwd"), 126, "permission denied"),
        (("it", "/etc"), 126, "is a directory"),
        (("-w", "/not/there", "it", "true"), 127, 'chdir to cwd ("/not/there") set in config.json'),
        (("-w", "relative", "it", "true"), 125, "it needs to be an absolute path"),
        (("-u", "nobody-there", "it", "true"), 1, "unable to find user nobody-there"),
        (("nobody", "true"), 1, "no such container: nobody"),
        (("it",), 125, "requires at least 2 arguments"),
        (("--bogus", "it", "true"), 125, "unknown flag: --bogus"),
        (("--detach-keys", "ctrl-1", "it", "true"), 125, "invalid detach keys (ctrl-1)"),
        (("-it", "it", "true"), 1, "the input device is not a TTY"),
    ],
)
def test_what_cannot_run_says_why_in_dockers_words(
    program: Tierce, words: tuple[str, ...], status: int, message: str
) -> None:
    program.run("run", "-d", "--name", "it", BASE, "sh", "-c", FOREVER)
    found = program.run("exec", *words, status=status)
    assert message in found.stderr
    assert found.stdout == ""


def test_container_must_run_and_not_be_paused(program: Tierce) -> None:
    identifier = program.run("create", "--name", "it", BASE, "sleep", "600").stdout.strip()
    message = f"container {identifier} is not running"
    assert message in program.run("exec", "it", "true", status=1).stderr
    program.run("start", "it")
    program.run("pause", "it")
    assert "is paused, unpause the container before exec" in (
        program.run("exec", "it", "true", status=1).stderr
    )
    program.run("kill", "it")
    assert message in program.run("exec", "it", "true", status=1).stderr


def test_large_output_comes_whole_and_a_background_process_holds_nothing_up(
    program: Tierce, where: str
) -> None:
    found = program.run("exec", "it", "sh", "-c", "yes 0123456789 | head -n 200000; sleep 600 &")
    assert len(found.stdout.splitlines()) == 200000


def test_privileged_command_has_what_capabilities_there_are(program: Tierce, where: str) -> None:
    script = "grep CapBnd /proc/self/status"
    usual = program.run("exec", "it", "sh", "-c", script).stdout
    found = program.run("exec", "--privileged", "it", "sh", "-c", script)
    more = found.stdout
    ours = next(line for line in Path("/proc/self/status").read_text().splitlines()
                if line.startswith("CapBnd"))  # fmt: skip
    assert int(more.split()[1], 16) > int(usual.split()[1], 16)
    assert int(more.split()[1], 16) == int(ours.split()[1], 16)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    lacks = int(ours.split()[1], 16) != (1 << last + 1) - 1
    assert ("This machine does not give CAP_" in found.stderr) == lacks


def test_detached_command_goes_on_alone(program: Tierce, where: str) -> None:
    script = "test -t 1 && echo terminal > /tmp/said; mkfifo /tmp/go; echo > /tmp/go; exit 4"
    for flags in (("-d",), ("-dt",), ("-dit",)):
        found = program.run("exec", *flags, "it", "sh", "-c", script)
        assert (found.stdout, found.stderr) == ("", "")
        listed = json.loads(program.run("inspect", "it").stdout)[0]["ExecIDs"]
        assert len(listed) == 1
        assert re.fullmatch("[0-9a-f]{64}", listed[0])
        wait = "while ! test -p /tmp/go; do sleep 0.01; done; read x < /tmp/go; cat /tmp/said"
        status = 0 if "t" in flags[0] else 1
        said = program.run("exec", "it", "sh", "-c", wait, status=status).stdout
        assert said == ("terminal\n" if "t" in flags[0] else "")
        program.run("exec", "it", "rm", "-f", "/tmp/go", "/tmp/said")
    program.run("exec", "-d", "it", "nope", status=127)


def test_command_that_ends_is_no_longer_listed(program: Tierce, where: str) -> None:
    assert json.loads(program.run("inspect", "it").stdout)[0]["ExecIDs"] is None
    with program.start("exec", "-i", "it", "sh", "-c", "echo in; cat", stdin=subprocess.PIPE) as at:
        assert at.stdout is not None
        assert at.stdout.readline() == "in\n"
        assert len(json.loads(program.run("inspect", "it").stdout)[0]["ExecIDs"]) == 1
        assert outcome_of(at, "").status == 0
    assert json.loads(program.run("inspect", "it").stdout)[0]["ExecIDs"] is None


# Terminals


def test_terminal_is_one_of_its_own_with_our_size(program: Tierce, where: str) -> None:
    terminal = Terminal(program, "exec", "-it", "it", "sh")
    try:
        terminal.read_until("[#$] ")
        terminal.type("stty size; echo $TERM; tty\r")
        terminal.read_until(r"30 100\s+xterm\s+/dev/pts/\d")
        terminal.resize(40, 120)
        terminal.type("stty size\r")
        terminal.read_until("40 120")
        terminal.type("exit 5\r")
        assert terminal.process.wait(60) == 5
        assert terminal.restored()
    finally:
        terminal.close()


def test_detach_keys_leave_the_command_alive(program: Tierce, where: str) -> None:
    terminal = Terminal(program, "exec", "-it", "--detach-keys", "ctrl-x,y", "it", "sh")
    try:
        terminal.read_until("[#$] ")
        terminal.type('echo $$ > /tmp/shell; echo no""ted\r')
        terminal.read_until("noted\r\n")
        terminal.type("\x18y")
        terminal.read_until("read escape sequence")
        assert terminal.process.wait(60) == 1
        assert terminal.restored()
    finally:
        terminal.close()
    assert program.run("exec", "it", "sh", "-c", "kill -0 $(cat /tmp/shell) && echo alive").stdout
    program.run("exec", "it", "sh", "-c", "kill -9 $(cat /tmp/shell)")


# Ends


def test_container_that_is_stopped_ends_the_command(program: Tierce, where: str) -> None:
    with program.start("exec", "it", "sh", "-c", "echo in; sleep 600") as at:
        assert at.stdout is not None
        assert at.stdout.readline() == "in\n"
        if where == "foreground":
            program.run("kill", "it")
            assert outcome_of(at).status == 137
            program.run("start", "it")
        else:
            program.run("stop", "-t", "0", "it")
            assert outcome_of(at).status == 137


def test_killed_exec_leaves_no_helper_and_the_command_goes_on(program: Tierce, where: str) -> None:
    with program.start("exec", "it", "sh", "-c", "echo in; exec sleep 600") as at:
        assert at.stdout is not None
        assert at.stdout.readline() == "in\n"
        helpers = [waits_for(pid) for pid in children_of(at.pid)]
        assert helpers
        at.kill()
        outcome_of(at)
        for helper in helpers:
            assert select.select([helper], [], [], 60)[0]
            os.close(helper)
    assert "sleep 600" in program.run("exec", "it", "ps").stdout


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_interrupted_exec_ends_at_once(program: Tierce, where: str) -> None:
    with program.start("exec", "it", "sh", "-c", "echo in; exec sleep 600") as at:
        assert at.stdout is not None
        assert at.stdout.readline() == "in\n"
        at.send_signal(signal.SIGINT)
        assert outcome_of(at).status == 130


# Attacks


def test_command_has_no_descriptor_but_its_three_streams(program: Tierce, where: str) -> None:
    """Also not those that whoever calls us has left open for us."""
    found = subprocess.run(
        [
            *("sh", "-c", 'exec 7</ 8</etc/passwd; exec "$@"', "sh", *command(program)),
            *("exec", "it", "sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done; true"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    targets = [re.sub(r"\[\d+\]", "", line) for line in found.stdout.splitlines()]
    # The shell itself has the directory that it lists open.
    assert [line for line in targets if line not in {"/dev/null", "pipe:"}] in ([], ["/proc/1/fd"])


def command(program: Tierce) -> list[str]:
    from support.program import PROGRAM

    return [str(PROGRAM), "--root", str(program.root)]


@pytest.mark.parametrize("path", ["/proc/self/fd/{}", "/proc/1/fd/{}", "/proc/self/fd/{}/..",
                                  "/proc/thread-self/fd/{}", "/tmp/link{}"])  # fmt: skip
def test_working_directory_of_a_leaked_descriptor_leads_nowhere(program: Tierce, path: str) -> None:
    """CVE-2024-21626: `-w /proc/self/fd/N` stood in a directory of the host."""
    links = "for n in 3 4 5 6 7 8 9 10 11 12; do ln -s /proc/self/fd/$n /tmp/link$n; done"
    program.run("run", "-d", "--name", "it", BASE, "sh", "-c", f"{links}; {FOREVER}")
    until_ready(program, "it")
    for number in range(13):
        found = program.start("exec", "-w", path.format(number), "it", "cat", "../../../etc/shadow")
        outcome = outcome_of(found)
        assert outcome.status != 0
        assert "root:" not in outcome.stdout


def test_working_directory_that_becomes_a_magic_link_leads_nowhere(program: Tierce) -> None:
    """The container changes it between our look at it and the runtime's."""
    swap = (
        "cd /tmp; for n in 3 4 5 6 7 8 9 10 11; do ln -s /proc/self/fd/$n magic$n; done;"
        "mkdir work; echo ready; while :; do for n in 3 4 5 6 7 8 9 10 11; do "
        "rmdir work; mv magic$n work; mv work magic$n; mkdir work; done; done"
    )
    program.run("run", "-d", "--name", "it", BASE, "sh", "-c", swap)
    until_ready(program, "it")
    for _ in range(15):
        with program.start("exec", "-w", "/tmp/work", "it", "ls", "../../../..") as at:
            outcome = outcome_of(at)
        assert outcome.status != 0 or "home" not in outcome.stdout or is_root_of(outcome.stdout)


def is_root_of(listed: str) -> bool:
    """Whether this is the list of the container's own root: ours has what it has not."""
    return set(listed.split()) != set(os.listdir("/"))


def until_ready(program: Tierce, name: str) -> None:
    with program.running("logs", "-f", name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()


def test_runtime_cannot_be_overwritten_from_the_container(program: Tierce, tmp_path: Path) -> None:
    """CVE-2019-5736: by `/proc/PID/exe` of the runtime that is just entering the container."""
    attack = (
        "echo ready; while :; do for p in /proc/[0-9]*; do "
        "case $(readlink $p/exe) in *crun*|*runc*|*memfd*) echo seen >> /tmp/seen; "
        "(echo bad > $p/exe) 2> /dev/null && echo written >> /tmp/written;; esac; done; done"
    )
    program.run("run", "-d", "--name", "it", BASE, "sh", "-c", attack)
    until_ready(program, "it")
    for _ in range(15):
        program.run("exec", "it", "true")
        program.run("exec", "it", "/proc/self/exe", status=127)
    assert program.run("exec", "it", "sh", "-c", "cat /tmp/written 2>&1; true").stdout != "written"
    program.run("exec", "it", "test", "-e", "/tmp/written", status=1)


def test_interpreter_of_proc_self_exe_does_not_run_the_runtime(
    program: Tierce, tmp_path: Path
) -> None:
    """The other half of CVE-2019-5736: the command is a script whose interpreter is the runtime."""
    context = write_context(
        tmp_path, f"FROM {BASE}\nCOPY bad /bin/bad\nRUN chmod 755 /bin/bad\n",
        {"bad": "#!/proc/self/exe --version\n"},
    )  # fmt: skip
    program.build(context, "-t", "bad")
    program.run("run", "-d", "--name", "it", "bad", "sleep", "600")
    with program.start("exec", "it", "/bin/bad") as at:
        outcome = outcome_of(at)
    # What it may run is the copy in memory that nobody can write to.
    assert "bad > " not in outcome.stdout
    program.run("exec", "it", "true")


def test_files_of_the_container_lead_exec_nowhere(program: Tierce) -> None:
    """/etc/passwd and /etc/group as FIFOs, devices and links to the host's."""
    program.run("run", "-d", "--name", "it", BASE, "sh", "-c", FOREVER)
    program.run("exec", "it", "sh", "-c", "rm /etc/group; mkfifo /etc/group")
    assert program.run("exec", "-u", "app", "it", "id", "-u").stdout
    program.run(
        "exec", "it", "sh", "-c", "rm /etc/passwd; ln -s ../../../proc/1/root/x /etc/passwd"
    )
    assert (
        "unable to find user app" in program.run("exec", "-u", "app", "it", "id", status=1).stderr
    )
    program.run("exec", "it", "sh", "-c", "rm /etc/passwd; mknod /etc/passwd c 1 5")
    assert (
        "unable to find user app" in program.run("exec", "-u", "app", "it", "id", status=1).stderr
    )
