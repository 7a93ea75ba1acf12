"""Children and capabilities of processes."""

import os
import subprocess

from tierce.linux import process


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


def test_process_is_told_from_another_one_with_its_number() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        started = process.start_time(child.pid)
        found = process.open_process(child.pid, started)
        assert found >= 0
        os.close(found)
        assert process.open_process(child.pid, started - 1) == -1
        child.kill()
    assert process.start_time(child.pid) == 0
    assert process.open_process(child.pid, started) == -1


def test_process_that_waits_to_be_reaped_is_gone() -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert process.start_time(child) == 0
    os.waitpid(child, 0)
