"""Flags that limit what is run: docker's grammar and refusals."""

import os
from typing import Any

import pytest

from tierce.cli import limits
from tierce.cli.flags import Command, Flag, parse
from tierce.cli.limitflags import LIMIT_FLAGS
from tierce.errors import UsageError
from tierce.graph.ops import Limits, Ulimit

COMMAND = Command("x", "", "", flags=(*LIMIT_FLAGS, Flag("resource", kind="list")))
MEBIBYTE = 1 << 20


def limits_of(*words: str) -> Limits:
    options = parse(COMMAND, list(words))
    return limits.limits_of(options, options.texts("resource"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {}),
        (("-m", "64m"), {"memory": 64 * MEBIBYTE}),
        (("--memory", "1g", "--memory-swap", "-1"), {"memory": 1 << 30, "memory_swap": -1}),
        (("--memory-swap=1.5g",), {"memory_swap": 3 << 29}),
        (("-c", "512"), {"cpu_shares": 512}),
        (
            ("--cpu-period", "50000", "--cpu-quota", "25000"),
            {"cpu_period": 50_000, "cpu_quota": 25_000},
        ),
        (("--cpus", "0.5"), {"cpu_period": 100_000, "cpu_quota": 50_000}),
        (("--cpus", ".25"), {"cpu_period": 100_000, "cpu_quota": 25_000}),
        (
            ("--cpuset-cpus", "0-1", "--cpuset-mems", "0"),
            {"cpuset_cpus": "0-1", "cpuset_mems": "0"},
        ),
        (("--shm-size", "128m"), {"shm_size": 128 * MEBIBYTE}),
        (("--cgroup-parent", "/builds"), {"cgroup_parent": "/builds"}),
        (
            ("--ulimit", "nofile=1024:2048", "--ulimit", "core=-1"),
            {"ulimits": (Ulimit("core", -1, -1), Ulimit("nofile", 1024, 2048))},
        ),
        (
            ("--ulimit", "nofile=1", "--ulimit", "nofile=2"),
            {"ulimits": (Ulimit("nofile", 2, 2),)},
        ),
        (
            ("--resource", "memory=64m", "--resource", " cpuset-cpus = 0 "),
            {"memory": 64 * MEBIBYTE, "cpuset_cpus": "0"},
        ),
        (("--resource", "memory=64m", "-m", "32m"), {"memory": 32 * MEBIBYTE}),
        (
            ("--resource", "memory-swap=-1", "--resource", "cpu-quota=5000"),
            {"memory_swap": -1, "cpu_quota": 5000},
        ),
    ],
)
def test_flags(words: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert limits_of(*words) == Limits(**expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--memory-swap", "lots"), 'invalid argument "lots" for "--memory-swap" flag'),
        (("--memory-swap", "-2"), 'invalid argument "-2" for "--memory-swap" flag'),
        (("--cpus", "half"), "failed to parse half as a rational number"),
        (("--cpus", "-1"), "failed to parse -1 as a rational number"),
        (("--cpus", "0.1234567891"), "value is too precise"),
        (("--cpus", "100000"), f"as there are only {os.cpu_count()} CPUs available"),
        (("--cpus", "1", "--cpu-period", "1000"), "Nano CPUs and CPU Period cannot both be set"),
        (("--cpus", "1", "--cpu-quota", "1000"), "Nano CPUs and CPU Quota cannot both be set"),
        (("--ulimit", "nofile"), "invalid ulimit argument: nofile"),
        (("--ulimit", "files=1"), "invalid ulimit type: files"),
        (("--ulimit", "nofile=1:2:3"), "too many limit value arguments - 1:2:3"),
        (("--ulimit", "nofile=2:1"), "must be less than or equal to hard limit: 2 > 1"),
        (("--ulimit", "nofile=-1:1"), "soft: -1 (unlimited), hard: 1"),
        (("--ulimit", "nofile=many"), 'strconv.ParseInt: parsing "many": invalid syntax'),
        (("--ulimit", "nofile="), 'strconv.ParseInt: parsing "": invalid syntax'),
        (("--ulimit", "nofile=-5"), "a limit cannot be negative: -5"),
        (("--cgroup-parent", "../up"), "invalid cgroup parent: ../up"),
        (("--cgroup-parent", "/a/../../b"), "invalid cgroup parent"),
        (("--resource", "memory"), 'invalid resource "memory", expected key=value'),
        (("--resource", "disk=1g"), 'unknown resource "disk"'),
        (("--resource", "memory=x"), 'invalid value "x" for resource memory'),
        (("--resource", "cpu-quota=x"), 'invalid value "x" for resource cpu-quota'),
    ],
)
def test_flags_without_sense(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        limits_of(*words)
    assert message in caught.value.message


@pytest.mark.parametrize("text", ["", "default", "Default"])
def test_isolation(text: str) -> None:
    limits.check_isolation(text)


@pytest.mark.parametrize("text", ["process", "hyperv", "chroot"])
def test_isolation_that_linux_does_not_have(text: str) -> None:
    with pytest.raises(UsageError, match=f"invalid isolation '{text}' on linux"):
        limits.check_isolation(text)
