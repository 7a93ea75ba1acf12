"""How much memory builds take, however large what they build is."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from support.program import Tierce, write_context

MEBIBYTE = 1 << 20
LIMIT = 200 * MEBIBYTE

FILES = 50_000
LAYER_BYTES = 2048 * MEBIBYTE
NEEDED_BYTES = 3 * LAYER_BYTES


# A process begins with the peak of the one that it was spawned from (exec_mmap in the kernel), and
# that of pytest may be anything: a small process in between spawns the program and tells its peak.
MEASURE = """
import os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(usage.ru_maxrss * 1024))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_of_build(program: Tierce, context: Path) -> int:
    """The most that the process of a build had in memory, in bytes."""
    told = context.parent / "peak"
    program.run(
        *("build", "-q", "-t", "app", str(context)),
        prefix=(sys.executable, "-S", "-c", MEASURE, str(told)),
    )
    return int(told.read_text())


def test_context_of_50000_files_takes_less_than_200_mib(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nCOPY . /all\nRUN true\n")
    for number in range(FILES):
        if number % 500 == 0:
            directory = context / f"directory{number // 500}"
            directory.mkdir()
            descriptor = os.open(directory, os.O_RDONLY)
        file = os.open(f"file{number}", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor)
        os.write(file, b"%d\n" % number)
        os.close(file)
        if number % 500 == 499:
            os.close(descriptor)
    assert peak_of_build(tierce, context) < LIMIT
    assert peak_of_build(tierce, context) < LIMIT
    (context / "directory7/file3501").write_text("changed")
    assert peak_of_build(tierce, context) < LIMIT


def test_layer_of_2_gib_takes_less_than_200_mib(tierce: Tierce, tmp_path: Path) -> None:
    if (free := shutil.disk_usage(tmp_path).free) < NEEDED_BYTES:
        pytest.skip(f"needs {NEEDED_BYTES} bytes of disk, there are {free}")
    dockerfile = f"FROM golden-base\nRUN head -c {LAYER_BYTES} /dev/zero > /big\n"
    context = write_context(tmp_path / "context", dockerfile)
    assert peak_of_build(tierce, context) < LIMIT
    # Pytest keeps the directories of several runs.
    shutil.rmtree(tierce.root / "snapshots")
