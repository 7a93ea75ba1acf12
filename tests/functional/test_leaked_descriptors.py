"""Descriptors that whoever calls tierce has left open, and working directories that lead to them.

With `-w /proc/self/fd/7`, a runtime stood in the directory of the machine that was open as 7
(CVE-2024-21626), and the process of the container with it.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, PROGRAM, Outcome, Tierce, write_context

LOOK = "cat secret ../secret 2> /dev/null; ls"
REFUSAL = "working directory /proc/self/fd/7: it may be outside of the container"


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", identifier)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the machine that no container is to see."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_text("the secret\n")
    return directory


def run_with(program: Tierce, directory: Path, *words: str) -> Outcome:
    """Run a command that finds the directory open as its descriptor 7."""
    done = subprocess.run(
        ["sh", "-c", 'exec 7<"$0"; exec "$@"', directory, PROGRAM, "--root", program.root, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("flags", [(), ("-a", "stdout"), ("-d",)])
@pytest.mark.parametrize("path", ["/proc/self/fd/7", "/proc/1/fd/7", "/proc/thread-self/fd/7/.."])
def test_run_does_not_stand_in_a_directory_of_the_machine(
    program: Tierce, outside: Path, flags: tuple[str, ...], path: str
) -> None:
    found = run_with(program, outside, "run", *flags, "-w", path, BASE, "sh", "-c", LOOK)
    assert found.status == 125
    assert "it may be outside of the container" in found.stderr
    assert "secret" not in found.stdout


@pytest.mark.parametrize("flags", [(), ("-a", "stdout")])
def test_link_in_a_mount_leads_nowhere(
    program: Tierce, outside: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """What is mounted is not seen when the working directory is looked at."""
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted/link").symlink_to("/proc/self/fd/7")
    words = ("-v", f"{tmp_path / 'mounted'}:/data", "-w", "/data/link", BASE, "sh", "-c", LOOK)
    found = run_with(program, outside, "run", *flags, *words)
    assert found.status != 0
    assert "secret" not in found.stdout


def test_image_does_not_say_that_a_container_is_to_stand_there(
    program: Tierce, outside: Path, tmp_path: Path
) -> None:
    dockerfile = f"FROM {BASE}\nRUN ln -s /proc/self/fd/7 /link\nWORKDIR /link\n"
    context = write_context(tmp_path / "context", dockerfile)
    program.build(context, "-t", "hostile")
    found = run_with(program, outside, "run", "hostile", "sh", "-c", LOOK)
    assert found.status == 125
    assert REFUSAL in found.stderr


def test_step_of_a_build_does_not_stand_there(
    program: Tierce, outside: Path, tmp_path: Path
) -> None:
    dockerfile = f"FROM {BASE}\nWORKDIR /proc/self/fd/7\nRUN {LOOK}; false\n"
    context = write_context(tmp_path / "context", dockerfile)
    found = run_with(program, outside, "build", "--progress", "plain", str(context))
    assert found.status != 0
    assert REFUSAL in found.stderr
    assert "the secret" not in found.stderr


@pytest.mark.parametrize("flags", [("run",), ("run", "-a", "stdout")])
def test_process_has_none_of_them(program: Tierce, outside: Path, flags: tuple[str, ...]) -> None:
    script = "for f in /proc/self/fd/*; do readlink $f; done; true"
    found = run_with(program, outside, *flags, BASE, "sh", "-c", script)
    assert found.status == 0
    assert str(outside) not in found.stdout


def test_conmon_and_runtime_have_none_of_them(program: Tierce, outside: Path) -> None:
    identifier = run_with(program, outside, "run", "-d", BASE, "sleep", "600").stdout.strip()
    pid = int(program.run("inspect", "-f", "{{.State.Pid}}", identifier).stdout)
    status = Path(f"/proc/{pid}/status").read_text()
    parent = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid"))
    for process in (str(pid), parent):
        opened = [path.readlink() for path in Path(f"/proc/{process}/fd").iterdir()]
        assert outside not in opened
