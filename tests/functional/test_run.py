"""`tierce container run`, as its users and their scripts see it."""

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, PROGRAM, Tierce
from support.terminal import Terminal
from tierce.containers.state import ContainerState
from tierce.store import Store
from tierce.store.containers import ContainerRow

RUN = ("container", "run", "--rm")


def rows(program: Tierce) -> list[ContainerRow]:
    with Store.open(program.root) as store:
        return list(store.containers.list())


def remove_rows(program: Tierce) -> None:
    """As `container rm` will do it."""
    from tierce.containers.sweep import remove

    with Store.open(program.root) as store:
        for row in store.containers.list():
            remove(store, row)


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


# Status


def test_output_goes_where_it_was_written_to(shared: Tierce) -> None:
    found = shared.run(*RUN, BASE, "sh", "-c", "echo out; echo err >&2; exit 3", status=3)
    assert (found.stdout, found.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("status", [0, 1, 42, 125, 255])
def test_exit_status_is_the_process_own(shared: Tierce, status: int) -> None:
    assert shared.run(*RUN, BASE, "sh", "-c", f"exit {status}", status=status).stderr == ""


def test_process_ended_by_a_signal_gives_128_and_its_number(shared: Tierce) -> None:
    shared.run(*RUN, BASE, "sh", "-c", "trap - TERM; sh -c 'kill -9 $$'; exit $?", status=137)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((BASE, "/bin/nope"), 127, 'exec: "/bin/nope": stat /bin/nope: no such file or directory'),
        ((BASE, "nope"), 127, 'exec: "nope": executable file not found in $PATH'),
        ((BASE, "/etc/passwd"), 126, 'exec: "/etc/passwd": permission denied'),
        ((BASE, "/etc"), 126, 'exec: "/etc": is a directory'),
        (("-u", "nobody-there", BASE, "true"), 125, "unable to find user nobody-there"),
        (("--pull", "never", "not-there:1", "true"), 125, "no such image"),
        (("--bogus", BASE), 125, "unknown flag: --bogus"),
        (("--network", "nowhere", BASE), 125, "network nowhere not found"),
        (("-w", "relative", BASE), 125, "it needs to be an absolute path"),
        (("-v", "na?me:/data", BASE), 125, "includes invalid characters for a local volume name"),
        (("--name", "a/b", BASE), 125, "Invalid container name (a/b)"),
        (("--mount", "type=bind,src=/not/there,dst=/x", BASE), 125, "does not exist: /not/there"),
        (("--env-file", "/not/there", BASE), 125, "open /not/there: no such file"),
    ],
)
def test_what_cannot_run_says_why_and_leaves_nothing(
    shared: Tierce, words: tuple[str, ...], status: int, message: str
) -> None:
    found = shared.run(*RUN, *words, status=status)
    assert message in found.stderr
    assert found.stderr.startswith("tierce: ")
    assert found.stdout == ""
    assert rows(shared) == []


def test_no_command_is_an_error(shared: Tierce, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nENTRYPOINT []\nCMD []\n")
    shared.build(tmp_path, "-t", "no-command")
    assert "no command specified" in shared.run(*RUN, "no-command", status=125).stderr


# What the process is


def test_image_says_what_runs_and_flags_override_it(shared: Tierce, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {BASE}\nENV A=image B=image\nWORKDIR /srv\nUSER app\n"
        'ENTRYPOINT ["echo", "entry"]\nCMD ["cmd"]\n'
    )
    shared.build(tmp_path, "-t", "said")
    assert shared.run(*RUN, "said").stdout == "entry cmd\n"
    assert shared.run(*RUN, "said", "mine", "--rm").stdout == "entry mine --rm\n"
    assert shared.run(*RUN, "--entrypoint", "pwd", "said").stdout == "/srv\n"
    assert shared.run(*RUN, "--entrypoint", "", "said", "id", "-un").stdout == "app\n"
    found = shared.run(
        *RUN, *("-e", "B=flag", "-w", "/new/dir", "-u", "0", "--entrypoint", "sh", "said"),
        *("-c", "echo $A $B; pwd; id -u"),
    )  # fmt: skip
    assert found.stdout == "image flag\n/new/dir\n0\n"
    found = shared.run(*RUN, "--entrypoint=", "said", status=125)
    assert "no command specified" in found.stderr


def test_environment_has_dockers_order_of_precedence(shared: Tierce, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\n\nFILE=a b # not a comment\nBOTH=file\nOURS\nNOT_OURS\n")
    found = shared.run(
        *RUN, *("--env-file", str(file), "-e", "BOTH=flag", "-e", "PASSED", "-e", "UNSET_HERE"),
        *(BASE, "env"),
        environment={"OURS": "x", "PASSED": "y", "SECRET": "z"},
    )  # fmt: skip
    variables = dict(line.split("=", 1) for line in found.stdout.splitlines())
    assert re.fullmatch("[0-9a-f]{12}", variables.pop("HOSTNAME"))
    assert variables.pop("PATH").startswith("/usr/local/sbin:")
    assert variables == {
        "HOME": "/root",
        "FILE": "a b # not a comment",
        "BOTH": "flag",
        "OURS": "x",
        "PASSED": "y",
    }


def test_host_name_is_the_short_id_unless_given(shared: Tierce, tmp_path: Path) -> None:
    id_file = tmp_path / "id"
    script = "hostname; cat /etc/hostname; grep -c $(hostname) /etc/hosts"
    found = shared.run(*RUN, "--cidfile", str(id_file), BASE, "sh", "-c", script)
    assert re.fullmatch("[0-9a-f]{64}", id_file.read_text())
    assert found.stdout.split() == [id_file.read_text()[:12]] * 2 + ["1"]
    found = shared.run(*RUN, "-h", "web", "--add-host", "db:10.0.0.2", BASE, "cat", "/etc/hosts")
    assert found.stdout.endswith("\tweb\n10.0.0.2\tdb\n")
    found = shared.run(*RUN, "--network", "host", BASE, "hostname")
    assert found.stdout.strip() == os.uname().nodename


def test_network_none_is_without_the_hosts_interfaces(shared: Tierce) -> None:
    assert shared.run(*RUN, "--network", "none", BASE, "ls", "/sys/class/net").stdout == "lo\n"


def test_privileged_container_has_devices_and_no_seccomp(shared: Tierce) -> None:
    script = "grep Seccomp: /proc/self/status; ls /dev/kmsg; head -c 1 /dev/kmsg | wc -c"
    found = shared.run(*RUN, "--privileged", BASE, "sh", "-c", script).stdout.split()
    assert found[:3] == ["Seccomp:", "0", "/dev/kmsg"]
    shared.run(*RUN, BASE, "ls", "/dev/kmsg", status=1)


def test_read_only_container_cannot_write(shared: Tierce) -> None:
    assert "Read-only" in shared.run(*RUN, "--read-only", BASE, "touch", "/x", status=1).stderr


# Mounts


def test_volumes_are_writable_unless_said(shared: Tierce, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    volume = f"{tmp_path}:/data"
    found = shared.run(*RUN, "-v", volume, BASE, "sh", "-c", "cat /data/file; echo > /data/new")
    assert found.stdout == "host\n"
    assert (tmp_path / "new").exists()
    shared.run(*RUN, "-v", f"{volume}:ro", BASE, "touch", "/data/other", status=1)
    mount = f"type=bind,source={tmp_path}/file,target=/etc/passwd,readonly"
    assert shared.run(*RUN, "--mount", mount, BASE, "cat", "/etc/passwd").stdout == "host\n"


def test_missing_source_of_a_volume_becomes_a_directory(shared: Tierce, tmp_path: Path) -> None:
    shared.run(*RUN, "-v", f"{tmp_path}/new/dir:/data", BASE, "touch", "/data/file")
    assert (tmp_path / "new/dir/file").exists()


def test_command_can_come_from_a_volume(shared: Tierce, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho from the host\n")
    script.chmod(0o755)
    found = shared.run(*RUN, "-v", f"{tmp_path}:/mnt", BASE, "/mnt/script")
    assert found.stdout == "from the host\n"
    found = shared.run(*RUN, "-v", f"{tmp_path}:/mnt", BASE, "/mnt/nope", status=127)
    assert "no such file or directory" in found.stderr.lower()


def test_volume_of_the_image_is_a_directory(shared: Tierce, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nVOLUME /var/lib/data\n")
    shared.build(tmp_path, "-t", "volume")
    shared.run(*RUN, "volume", "test", "-d", "/var/lib/data")


# Input


def test_input_is_not_read_unless_asked_for(shared: Tierce) -> None:
    assert shared.run(*RUN, BASE, "cat", text="ours").stdout == ""
    assert shared.run(*RUN, "-i", BASE, "cat", text="theirs").stdout == "theirs"


def test_large_input_and_output_stream_through(shared: Tierce) -> None:
    text = "0123456789abcdef" * 200_000
    assert shared.run(*RUN, "-i", BASE, "cat", text=text).stdout == text


def test_end_of_input_reaches_the_process_while_it_writes(shared: Tierce) -> None:
    found = shared.run(*RUN, "-i", BASE, "sh", "-c", "cat > /tmp/x; wc -c < /tmp/x", text="12345")
    assert found.stdout.strip() == "5"


def test_process_that_ends_does_not_wait_for_input(shared: Tierce) -> None:
    with shared.start(*RUN, "-i", BASE, "true", stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 0


def test_reader_of_our_output_that_goes_away_stops_the_process(shared: Tierce) -> None:
    with shared.start(*RUN, BASE, "sh", "-c", "while echo y; do :; done; exit 7") as process:
        assert line_of(process) == "y\n"
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) in {7, 128 + signal.SIGPIPE}


def test_our_descriptors_are_not_the_process_own(shared: Tierce, tmp_path: Path) -> None:
    """Else it could read what is in the file that our output goes to."""
    output = tmp_path / "output"
    output.write_text("secret\n")
    command = [str(PROGRAM), "--root", str(shared.root), *RUN, "-u", "1000", BASE]
    command += ["sh", "-c", "ls -l /proc/self/fd/1"]
    with output.open("a") as sink:
        subprocess.run(command, stdout=sink, check=True)
    assert "pipe:" in output.read_text()
    assert output.stat().st_uid == os.getuid()


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_process(shared: Tierce, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.01; done"
    with shared.start(*RUN, BASE, "sh", "-c", script) as process:
        assert line_of(process) == "ready\n"
        process.send_signal(number)
        assert line_of(process) == f"got {name}\n"
        assert process.wait(60) == 9


def test_third_interrupt_kills_a_process_that_ignores_them(shared: Tierce) -> None:
    script = "trap 'echo ignored' INT; echo ready; while :; do sleep 0.01; done"
    with shared.start(*RUN, BASE, "sh", "-c", script) as process:
        assert line_of(process) == "ready\n"
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            assert line_of(process) == "ignored\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 137
    assert rows(shared) == []


def test_killed_tierce_leaves_no_process_and_the_next_one_no_container(shared: Tierce) -> None:
    script = "echo ready; exec sleep 86399"
    removed = shared.start(*RUN, "--name", "gone", BASE, "sh", "-c", script)
    kept = shared.start("container", "run", "--name", "kept", BASE, "sh", "-c", script)
    with removed, kept:
        sleepers = []
        for process in (removed, kept):
            assert line_of(process) == "ready\n"
            sleepers.append(os.pidfd_open(innermost(process.pid)))
            process.kill()
            process.wait()
        for sleeper in sleepers:
            assert select.select([sleeper], [], [], 60)[0], "still running"
            os.close(sleeper)
    shared.run(*RUN, BASE, "true")
    [row] = rows(shared)
    assert (row.name, row.running) == ("kept", False)
    state = ContainerState.decode(row.state)
    assert (state.status, state.exit_code) == ("exited", 137)
    remove_rows(shared)


def innermost(pid: int) -> int:
    """The process in the container, which is a child of the runtime."""
    found = [pid]
    while found:
        last, found = found, [child for pid in found for child in children_of(pid)]
    sleepers = [pid for pid in last if "86399" in Path(f"/proc/{pid}/cmdline").read_text()]
    return sleepers[0]


def children_of(pid: int) -> list[int]:
    return [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]


# What is kept


def test_container_without_rm_is_kept_with_its_status_and_name(shared: Tierce) -> None:
    shared.run("run", "--name", "web", "-l", "a=b", BASE, "sh", "-c", "exit 5", status=5)
    [row] = rows(shared)
    state = ContainerState.decode(row.state)
    assert (row.name, row.running, state.status, state.exit_code) == ("web", False, "exited", 5)
    assert ("a", "b") in state.labels
    assert state.finished >= state.started > 0
    found = shared.run(*RUN, "--name", "web", BASE, status=125)
    assert found.stderr.startswith(
        f'tierce: Conflict. The container name "/web" is already in use by container "{row.id}"'
    )
    remove_rows(shared)


def test_containers_without_names_get_different_ones(shared: Tierce) -> None:
    for _ in range(2):
        shared.run("run", BASE, "true")
    names = {row.name for row in rows(shared)}
    assert len(names) == 2
    assert all(re.fullmatch("[a-z]+_[a-z]+", name) for name in names)
    remove_rows(shared)


def test_id_file_that_is_there_is_not_overwritten(shared: Tierce, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("mine")
    found = shared.run(*RUN, "--cidfile", str(tmp_path / "id"), BASE, "true", status=125)
    assert "container ID file found" in found.stderr
    assert (tmp_path / "id").read_text() == "mine"


def test_containers_do_not_see_each_others_changes(shared: Tierce) -> None:
    shared.run(*RUN, BASE, "touch", "/changed")
    shared.run(*RUN, BASE, "test", "-e", "/changed", status=1)


def test_nothing_is_left_of_a_removed_container(shared: Tierce) -> None:
    before = sorted(os.listdir(shared.root / "snapshots"))
    shared.run(*RUN, BASE, "sh", "-c", "echo > /x")
    assert sorted(os.listdir(shared.root / "snapshots")) == before
    with Store.open(shared.root) as store:
        assert os.listdir(store.paths.bundles) == []
        assert os.listdir(store.paths.trash) == []


# Terminal


@pytest.fixture
def shell(shared: Tierce) -> Iterator[Terminal]:
    terminal = Terminal(shared, *RUN, "-it", "-e", "PS1=root@$(hostname):\\w# ", BASE, "sh")
    yield terminal
    terminal.close()


def test_shell_has_a_prompt_a_size_and_a_status(shell: Terminal) -> None:
    shell.read_until("# ")
    shell.type("tty; stty size; echo $TERM\n")
    assert "/dev/pts/0\r\n30 100\r\nxterm\r\n" in shell.read_until("xterm\r\n")
    shell.type("exit 6\n")
    assert shell.process.wait(60) == 6
    assert termios.tcgetattr(shell.slave) == shell.before


def test_size_follows_ours(shell: Terminal) -> None:
    shell.read_until("# ")
    script = "trap 'stty size' WINCH; echo set; while :; do sleep 0.01; done"
    shell.type(f'sh -c "{script}"\n')
    shell.read_until("\nset\r\n")
    fcntl.ioctl(shell.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shell.process.send_signal(signal.SIGWINCH)
    shell.read_until("40 120")


def test_interrupt_key_goes_to_the_process_in_the_container(shell: Terminal) -> None:
    shell.read_until("# ")
    shell.type("sh -c 'echo begun; exec sleep 86399'\n")
    shell.read_until("\nbegun\r\n")
    shell.type("\x03")
    shell.read_until("# ")
    shell.type("echo $?\n")
    shell.read_until("130\r\n")


def test_terminal_is_restored_when_tierce_is_terminated(shell: Terminal) -> None:
    shell.read_until("# ")
    assert termios.tcgetattr(shell.slave) != shell.before
    shell.type("trap 'exit 3' TERM; echo set\n")
    shell.read_until("\nset\r\n")
    shell.process.terminate()
    shell.type("\n")
    assert shell.process.wait(60) == 3
    assert termios.tcgetattr(shell.slave) == shell.before


def test_terminal_without_one_of_ours_is_refused_for_input(shared: Tierce) -> None:
    found = shared.run(*RUN, "-it", BASE, "true", status=125)
    assert "the input device is not a TTY" in found.stderr
    found = shared.run(*RUN, "-t", BASE, "sh", "-c", "test -t 1 && echo yes")
    assert found.stdout == "yes\n"  # and a carriage return, which Python takes away


def test_missing_command_on_a_terminal_is_told_the_same(shared: Tierce) -> None:
    found = shared.run(*RUN, "-t", BASE, "/bin/nope", status=127)
    assert found.stderr.startswith('tierce: exec: "/bin/nope": stat /bin/nope: no such file')


def test_state_is_json_that_others_can_read(shared: Tierce) -> None:
    shared.run("run", "--name", "json", BASE, "true")
    [row] = rows(shared)
    assert json.loads(row.state)["args"] == ["true"]
    remove_rows(shared)


def test_run_loads_nothing_that_works_on_layers(shared: Tierce) -> None:
    """What takes a start milliseconds and is not needed once the image is unpacked."""
    shared.run(*RUN, BASE, "true")
    found = subprocess.run(
        [sys.executable, "-X", "importtime", PROGRAM, "--root", shared.root, *RUN, BASE, "true"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    assert "tierce.runtime.crun" in loaded
    slow = {"typing", "shutil", "subprocess", "random", "tempfile", "socket", "csv"}
    slow |= {"tierce.layer.reader", "tierce.layer.apply", "tierce.builder"}
    assert loaded & slow == set()
