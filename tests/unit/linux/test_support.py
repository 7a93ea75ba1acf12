"""Limits that the cgroups here cannot keep are told of, in docker's words."""

from pathlib import Path

import pytest

from tierce.errors import UsageError
from tierce.linux import resources, support
from tierce.linux.cgroups import CgroupMount, CgroupSetup
from tierce.linux.resources import Resources
from tierce.linux.support import Support

NOTHING = Support(1, ())
MANY = Resources(
    memory=64 << 20,
    memory_reservation=32 << 20,
    memory_swappiness=10,
    oom_killer=False,
    pids=5,
    cpu_shares=10,
    cpu_quota=5000,
    cpuset_cpus="0",
    blkio_weight=100,
    device_weights=((8, 0, 100),),
    device_rates=(("read_bps", 8, 0, 1), ("write_iops", 8, 0, 2)),
)


def test_every_limit_without_its_controller_is_left_out_and_told_of() -> None:
    left, warnings = support.adapt(MANY, NOTHING)
    assert left.controllers == ()
    told = [
        *("memory limit capabilities", "memory swappiness capabilities"),
        *("memory soft limit capabilities", "OomKillDisable", "PIDs limit capabilities"),
        *("CPU shares", "CPU CFS scheduler", "cpuset", "Block I/O weight or"),
        *("Block I/O weight_device", "BPS Block I/O read limit", "IOPS Block write limit"),
    ]
    assert len(warnings) == len(told)
    for words, warning in zip(told, warnings):
        assert warning.startswith(f"Your kernel does not support {words}")


def test_share_of_processors_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(UsageError, match="NanoCPUs can not be set"):
        support.adapt(Resources(cpu_quota=5000, cpu_period=10000), NOTHING, whole_cpus=True)


def test_memory_is_limited_without_swap_where_swap_is_not_counted() -> None:
    here = Support(1, (("memory", frozenset({"memory.limit_in_bytes"})),))
    left, warnings = support.adapt(Resources(memory=64 << 20), here)
    assert (left.memory, left.memory_swap) == (64 << 20, -1)
    (warning,) = warnings
    assert warning == (
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
        "Memory limited without swap."
    )


def test_limits_of_version_2_are_those_that_it_has() -> None:
    files = frozenset({"memory.max", "memory.swap.max", "memory.low", "io.max", "cpu.max"})
    here = Support(2, (("memory", files), ("blkio", files), ("cpu", files), ("pids", files)))
    wanted = Resources(
        memory=64 << 20, memory_swappiness=3, pids=9, device_rates=(("read_bps", 8, 0, 1),)
    )
    left, warnings = support.adapt(wanted, here)
    assert left == wanted.replace(memory_swappiness=-1)
    assert [warning for warning in warnings if "swappiness" in warning] == list(warnings)


def test_no_killer_without_a_limit_of_memory_is_warned_about() -> None:
    here = Support(1, (("memory", frozenset({"memory.oom_control"})),))
    left, warnings = support.adapt(Resources(oom_killer=False), here)
    assert not left.oom_killer
    assert "OOM killer is disabled for the container, but no memory limit is set" in warnings[0]


def test_files_are_those_of_a_group_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "group" / "memory.limit_in_bytes").touch()
    setup = CgroupSetup("legacy", (CgroupMount(1, str(tmp_path), "/", ("memory",)),))
    assert support.detect(setup).has("memory", "memory.limit_in_bytes")
    assert not support.detect(setup).has("memory", "memory.memsw.limit_in_bytes")
    assert not support.detect(setup).has("pids")


def test_hierarchy_of_names_alone_limits_nothing(tmp_path: Path) -> None:
    setup = CgroupSetup("unified", (CgroupMount(2, str(tmp_path), "/"),))
    assert support.detect(setup).files == ()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Resources(memory_reservation=5 << 20), "Minimum memory reservation allowed is 6MB"),
        (
            Resources(memory=8 << 20, memory_reservation=9 << 20),
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (Resources(memory_swappiness=101), "valid memory swappiness range is 0-100"),
        (Resources(blkio_weight=9), "Range of blkio weight is from 10 to 1000"),
        (Resources(device_weights=((8, 0, 1001),)), "Range of blkio weight is from 10 to 1000"),
    ],
)
def test_limits_that_cannot_be(wanted: Resources, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resources.check(wanted)


def test_files_of_both_versions() -> None:
    assert resources.legacy_settings(MANY, "memory") == [
        ("memory.limit_in_bytes", str(64 << 20)),
        ("memory.memsw.limit_in_bytes", str(128 << 20)),
        ("memory.soft_limit_in_bytes", str(32 << 20)),
        ("memory.swappiness", "10"),
        ("memory.oom_control", "1"),
    ]
    assert resources.legacy_settings(MANY, "pids") == [("pids.max", "5")]
    assert resources.legacy_settings(Resources(pids=-1), "pids") == [("pids.max", "max")]
    assert resources.legacy_settings(MANY, "blkio") == [
        ("blkio.weight", "100"),
        ("blkio.weight_device", "8:0 100"),
        ("blkio.throttle.read_bps_device", "8:0 1"),
        ("blkio.throttle.write_iops_device", "8:0 2"),
    ]
    assert resources.unified_settings(MANY, "pids") == [("pids.max", "5")]
    assert resources.unified_settings(MANY, "blkio") == [
        ("io.bfq.weight", "100"),
        ("io.bfq.weight", "8:0 100"),
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:0 wiops=2"),
    ]
    assert ("memory.low", str(32 << 20)) in resources.unified_settings(MANY, "memory")
