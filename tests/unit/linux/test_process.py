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
