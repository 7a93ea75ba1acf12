"""Limits as files of both versions of cgroups, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tierce.errors import UsageError
from tierce.linux import resources
from tierce.linux.resources import Resources

MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("limits", "legacy", "unified"),
    [
        (
            {"memory": 64 * MEBIBYTE},
            [("memory.limit_in_bytes", "67108864"), ("memory.memsw.limit_in_bytes", "134217728")],
            [("memory.max", "67108864"), ("memory.swap.max", "67108864")],
        ),
        (
            {"memory": 64 * MEBIBYTE, "memory_swap": 64 * MEBIBYTE},
            [("memory.limit_in_bytes", "67108864"), ("memory.memsw.limit_in_bytes", "67108864")],
            [("memory.max", "67108864"), ("memory.swap.max", "0")],
        ),
        (
            {"memory": 64 * MEBIBYTE, "memory_swap": -1},
            [("memory.limit_in_bytes", "67108864"), ("memory.memsw.limit_in_bytes", "-1")],
            [("memory.max", "67108864"), ("memory.swap.max", "max")],
        ),
        ({"cpu_shares": 1024}, [("cpu.shares", "1024")], [("cpu.weight", "39")]),
        (
            {"cpu_quota": 50_000, "cpu_period": 100_000},
            [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000")],
            [("cpu.max", "50000 100000")],
        ),
        ({"cpu_quota": 50_000}, [("cpu.cfs_quota_us", "50000")], [("cpu.max", "50000 100000")]),
        ({"cpu_period": 50_000}, [("cpu.cfs_period_us", "50000")], [("cpu.max", "max 50000")]),
        ({"cpu_quota": -1}, [("cpu.cfs_quota_us", "-1")], [("cpu.max", "max 100000")]),
        (
            {"cpuset_cpus": "0-1", "cpuset_mems": "0"},
            [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
            [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
        ),
    ],
)
def test_settings(
    limits: dict[str, Any], legacy: resources.Settings, unified: resources.Settings
) -> None:
    wanted = Resources(**limits)
    [controller] = wanted.controllers
    assert resources.legacy_settings(wanted, controller) == legacy
    assert resources.unified_settings(wanted, controller) == unified


@pytest.mark.parametrize(
    ("shares", "weight"), [(0, 1), (2, 1), (1 << 18, 10_000), (1 << 30, 10_000)]
)
def test_shares_are_within_the_range_of_weights(shares: int, weight: int) -> None:
    assert resources.weight_of(shares) == weight


def test_no_limit_needs_no_controller() -> None:
    assert Resources().controllers == ()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"memory": 6 * MEBIBYTE - 1}, "Minimum memory limit allowed is 6MB"),
        (
            {"memory": 8 * MEBIBYTE, "memory_swap": 7 * MEBIBYTE},
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            {"memory_swap": 8 * MEBIBYTE},
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        ({"memory_swap": -2}, "invalid memory-swap value: -2"),
        (
            {"cpu_period": 999},
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (
            {"cpu_period": 1_000_001},
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        ({"cpu_quota": 999}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"cpu_shares": -1}, "invalid cpu-shares value: -1: must be > 0"),
        ({"cpuset_cpus": "a"}, "Invalid value a for cpuset cpus"),
        ({"cpuset_cpus": "3-1"}, "Invalid value 3-1 for cpuset cpus"),
        ({"cpuset_cpus": "0,,1"}, "Invalid value 0,,1 for cpuset cpus"),
        ({"cpuset_mems": "-1"}, "Invalid value -1 for cpuset mems"),
        ({"cpuset_cpus": "0-999999999"}, "Invalid value 0-999999999 for cpuset cpus"),
    ],
)
def test_impossible_limits_are_refused_in_dockers_words(
    limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        resources.check(Resources(**limits))
    assert caught.value.message == message


def test_processors_that_the_machine_lacks_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "online").write_text("0-1,4\n")
    monkeypatch.setattr(resources, "_PROCESSORS", str(tmp_path / "online"))
    monkeypatch.setattr(resources, "_NODES", str(tmp_path / "online"))
    resources.check(Resources(cpuset_cpus="0,4", cpuset_mems="1"))
    with pytest.raises(
        UsageError, match="CPUs are not available - requested 0-2, available: 0-1,4"
    ):
        resources.check(Resources(cpuset_cpus="0-2"))
    with pytest.raises(UsageError, match="Requested memory nodes are not available"):
        resources.check(Resources(cpuset_mems="7"))
    (tmp_path / "online").unlink()
    resources.check(Resources(cpuset_mems="7"))


def test_swap_that_nobody_limits_need_not_be_accounted(tmp_path: Path) -> None:
    (tmp_path / "memory.limit_in_bytes").touch()
    limited = Resources(memory=64 * MEBIBYTE)
    settings = resources.legacy_settings(limited, "memory")
    resources.write_settings(str(tmp_path), settings, optional=resources.optional_files(limited))
    assert (tmp_path / "memory.limit_in_bytes").read_text() == "67108864"
    explicit = Resources(memory=64 * MEBIBYTE, memory_swap=64 * MEBIBYTE)
    with pytest.raises(FileNotFoundError) as caught:
        resources.write_settings(
            str(tmp_path),
            resources.legacy_settings(explicit, "memory"),
            optional=resources.optional_files(explicit),
        )
    assert caught.value.filename.endswith("memory.memsw.limit_in_bytes")


@pytest.mark.parametrize(
    ("name", "text", "killed"),
    [
        ("memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n", True),
        ("memory.events", "low 0\nmax 9\noom 0\noom_kill 0\n", False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", True),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", False),
        ("other", "", False),
    ],
)
def test_kills_are_counted(tmp_path: Path, name: str, text: str, killed: bool) -> None:
    (tmp_path / name).write_text(text)
    assert resources.killed_for_memory(str(tmp_path)) is killed


def test_group_that_has_used_all_its_memory(tmp_path: Path) -> None:
    assert not resources.has_hit_its_limit(str(tmp_path))
    (tmp_path / "memory.limit_in_bytes").write_text("67108864\n")
    (tmp_path / "memory.max_usage_in_bytes").write_text("60000000\n")
    assert not resources.has_hit_its_limit(str(tmp_path))
    (tmp_path / "memory.max_usage_in_bytes").write_text("67108000\n")
    assert resources.has_hit_its_limit(str(tmp_path))
