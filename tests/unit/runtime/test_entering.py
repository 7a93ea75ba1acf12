"""Starting programs where another process lives: what they have, and when they end."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.errors import ContainerError
from tierce.linux.cgroups import Cgroup
from tierce.runtime.entering import Child, Namespaces, Program, groups_to_enter
from tierce.runtime.monitor import ProcessId

NOTHING = Cgroup(())
INSIDE = ("mnt", "pid")


@pytest.fixture
def keeper() -> Iterator[ProcessId]:
    """A process with mounts and process numbers of its own, which is process 1 there."""
    with subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.read(1)  # it is where it will stay
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield ProcessId.of(int(child))


def run(keeper: ProcessId, *words: str, descriptor: int = -1) -> tuple[int, str]:
    """Run a program there; its status as wait(2) gives it, and what it wrote."""
    out, writer = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        program = Program(f"/bin/{words[0]}", descriptor, words, (nothing, writer, nothing))
        child = Child(program, {"ONLY": "this"}, keeper, NOTHING)
    finally:
        os.close(nothing)
        os.close(writer)
    with open(out, encoding="utf-8") as file:
        text = file.read()
    return child.reap(), text


def test_program_is_in_the_namespaces_and_we_stay_outside(keeper: ProcessId) -> None:
    before = os.readlink("/proc/self/ns/pid_for_children")
    script = "readlink /proc/self/ns/mnt; readlink /proc/self/ns/pid; echo $ONLY $HOME; umask"
    status, text = run(keeper, "sh", "-c", script)
    inside = [os.readlink(f"/proc/{keeper.pid}/ns/{kind}") for kind in INSIDE]
    assert (status, text.split()) == (0, [*inside, "this", "0022"])
    assert os.readlink("/proc/self/ns/pid_for_children") == before


def test_status_is_the_programs_own(keeper: ProcessId) -> None:
    assert os.waitstatus_to_exitcode(run(keeper, "sh", "-c", "exit 7")[0]) == 7
    assert os.waitstatus_to_exitcode(run(keeper, "sh", "-c", "kill -9 $$")[0]) == -9


def test_program_has_three_descriptors_and_no_ignored_signals(keeper: ProcessId) -> None:
    leak = os.open("/", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        script = "ls /proc/self/fd; grep SigIgn /proc/self/status"
        _, text = run(keeper, "sh", "-c", script)
    finally:
        os.close(leak)
    *numbers, _, ignored = text.split()
    assert numbers == ["0", "1", "2", "3"]  # the last one is the directory that ls reads
    assert int(ignored, 16) & (1 << signal.SIGPIPE - 1) == 0


def test_what_cannot_be_started_says_why(keeper: ProcessId) -> None:
    with pytest.raises(ContainerError, match="start /bin/not-there: No such file or directory"):
        run(keeper, "not-there")


def test_process_that_has_ended_is_not_entered(keeper: ProcessId) -> None:
    for gone in (ProcessId(keeper.pid, keeper.started + 1), ProcessId(1 << 22, 1)):
        with pytest.raises(ContainerError, match="it is not running"):
            run(gone, "true")


def test_groups_that_are_none_of_a_container_are_not_entered() -> None:
    assert groups_to_enter(os.getpid()) == NOTHING
    with pytest.raises(ContainerError, match="it is not running"):
        groups_to_enter(1 << 22)


def test_program_does_not_outlive_who_has_started_it(keeper: ProcessId) -> None:
    """Also when that is killed."""
    script = (
        "import os, sys\n"
        "from tierce.linux.cgroups import Cgroup\n"
        "from tierce.runtime.entering import Child, Program\n"
        "from tierce.runtime.monitor import ProcessId\n"
        "keeper = ProcessId(int(sys.argv[1]), int(sys.argv[2]))\n"
        "program = Program('/bin/sleep', -1, ('sleep', '600'), (0, 2, 2))\n"
        "print(Child(program, {}, keeper, Cgroup(())).pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", script, str(keeper.pid), str(keeper.started)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
        process.communicate()
    try:
        assert select.select([child], [], [], 60)[0]
    finally:
        os.close(child)


def test_thread_stays_where_we_could_not_come_back(
    keeper: ProcessId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for ordinary users: the program must live on although the caller's thread goes on."""
    monkeypatch.setattr(Namespaces, "can_return", False)
    before = os.readlink("/proc/self/ns/pid_for_children")
    status, text = run(keeper, "sh", "-c", "readlink /proc/self/ns/pid; exit 3")
    assert os.waitstatus_to_exitcode(status) == 3
    assert text.strip() == os.readlink(f"/proc/{keeper.pid}/ns/pid")
    assert os.readlink("/proc/self/ns/pid_for_children") == before
    with pytest.raises(ContainerError, match="No such file or directory"):
        run(keeper, "not-there")
