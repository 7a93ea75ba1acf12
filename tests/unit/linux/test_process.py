"""Who a process is, and whether it still lives."""

import os
import subprocess
from pathlib import Path

from tierce.linux import process


def test_start_time_names_a_process_that_lives() -> None:
    started = process.start_time(os.getpid())
    assert started is not None
    assert process.is_alive(os.getpid(), started)
    assert not process.is_alive(os.getpid(), started + 1)


def test_zombie_has_ended() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.start_time(child.pid) is None
    child.wait()
    assert process.start_time(child.pid) is None


def test_command_with_parentheses_and_blanks_does_not_confuse(tmp_path: Path) -> None:
    command = tmp_path / "a) R 1 (b"
    command.symlink_to("/bin/sleep")
    with subprocess.Popen([command, "60"]) as child:
        started = process.start_time(child.pid)
        child.kill()
    own = process.start_time(os.getpid())
    assert started is not None
    assert own is not None
    assert started >= own


def test_children_are_found_whichever_thread_made_them() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in process.children(os.getpid())
        child.kill()
    assert process.children(child.pid) == []


def test_boot_id_is_a_uuid() -> None:
    assert len(process.boot_id()) == 36


def test_capabilities_have_their_names() -> None:
    effective = process.effective_capabilities()
    assert "CAP_CHOWN" in effective
    assert effective <= process.bounding_capabilities()
