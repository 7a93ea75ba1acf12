"""The guard of conftest.py sees what a test may leave behind."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import leftovers

SLEEP = ("sleep", "1000")


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has said that it is ready, and is ended afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_child_is_seen_until_it_ends() -> None:
    with running("sh", "-c", f"echo; exec {' '.join(SLEEP)}") as process:
        assert [line for line in leftovers.children() if f"process {process.pid}:" in line]
    assert not [line for line in leftovers.children() if f"process {process.pid}:" in line]


def test_process_that_left_its_parent_is_seen_by_its_mark(tmp_path: Path) -> None:
    environment = os.environ | {leftovers.MARK: str(tmp_path)}
    started = subprocess.run(
        ["setsid", "sh", "-c", f"{' '.join(SLEEP)} >/dev/null 2>&1 & echo $!"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    pid = int(started.stdout)
    assert [line for line in leftovers.marked_processes(tmp_path) if f"process {pid}:" in line]
    os.kill(pid, 9)


def test_mount_of_another_namespace_is_seen(tmp_path: Path) -> None:
    script = f"mount -t tmpfs none {tmp_path}; echo; exec {' '.join(SLEEP)}"
    with running("unshare", "--mount", "sh", "-c", script):
        assert leftovers.mounts_below(tmp_path) == []
        [line] = leftovers.mounts_in_any_namespace(tmp_path)
        assert "kept by process" in line


def test_mount_here_is_seen(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
    try:
        assert len(leftovers.mounts_below(tmp_path)) == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)
