"""What groups have used, from the files of both versions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tierce.linux import usage
from tierce.linux.cgroups import CgroupMount, CgroupSetup, own_paths
from tierce.linux.usage import Usage


def write(directory: Path, files: dict[str, str]) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(content)
    return str(directory)


def test_version_1(tmp_path: Path) -> None:
    directory = write(
        tmp_path / "group",
        {
            "cpuacct.usage": "123456789\n",
            "memory.usage_in_bytes": "10000000\n",
            "memory.limit_in_bytes": "67108864\n",
            "memory.stat": "cache 5\ninactive_file 1\ntotal_inactive_file 4000000\n",
            "pids.current": "7\n",
            "blkio.throttle.io_service_bytes_recursive": (
                "8:0 Read 100\n8:0 Write 20\n8:0 Sync 120\n8:16 Read 3\n8:16 Write 4\nTotal 247\n"
            ),
        },
    )
    groups = dict.fromkeys(("cpuacct", "memory", "pids", "blkio"), (1, directory))
    assert usage.measure(groups) == Usage(123456789, 6000000, 67108864, 103, 24, 7)


def test_version_2(tmp_path: Path) -> None:
    directory = write(
        tmp_path / "group",
        {
            "cpu.stat": "usage_usec 2500\nuser_usec 2000\n",
            "memory.current": "10000000\n",
            "memory.max": "max\n",
            "memory.stat": "anon 5\ninactive_file 1000000\n",
            "pids.current": "3\n",
            "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=1\n8:16 rbytes=1 wbytes=2\n",
        },
    )
    groups = dict.fromkeys(("", "cpu", "memory", "pids", "blkio"), (2, directory))
    found = usage.measure(groups)
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found == Usage(2500000, 9000000, found.memory_limit, 11, 22, 3)
    assert 0 < found.memory_limit <= whole


def test_controllers_that_are_missing_count_as_nothing() -> None:
    found = usage.measure({})
    assert found == Usage(memory_limit=found.memory_limit)


def test_group_that_is_gone_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        usage.measure({"pids": (1, str(tmp_path / "gone"))})


def test_groups_of_others_are_not_taken_for_a_containers_own(tmp_path: Path) -> None:
    setup = CgroupSetup("unified", (CgroupMount(2, str(tmp_path), "/"),))
    assert usage.groups_of(os.getpid(), "no-such-mark", setup) == {}
    (tmp_path / "cgroup.controllers").write_text("memory io\n")
    directory = (2, str(tmp_path) + own_paths().get((), "/"))
    found = usage.groups_of(os.getpid(), "/", setup)
    assert found == dict.fromkeys(("", "memory", "blkio"), directory)


def test_network_of_the_host_is_nobodys_own() -> None:
    assert usage.network_bytes(os.getpid()) == (0, 0)


def test_network_of_a_process_is_counted_without_its_loopback() -> None:
    words = ["unshare", "-n", sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert usage.network_bytes(process.pid) == (0, 0)
        process.communicate(b"\n")
