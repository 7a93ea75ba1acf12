"""How particulars change the specification of a container."""

import copy
import os
import subprocess
import sys
from typing import Any

import pytest

from tierce.errors import ContainerError
from tierce.linux.process import start_time
from tierce.runtime import bundle
from tierce.runtime.bundle import Isolation, ProcessSpec, SeccompPolicy
from tierce.runtime.particulars import DeviceNode, Joined, Particulars
from tierce.runtime.user import Identity

USUAL = bundle.make_spec(
    ProcessSpec(("true",)),
    Identity(),
    root="/root",
    isolation=Isolation("name"),
    grantable=(),
    seccomp=SeccompPolicy(),
    cgroup="/group",
)


def applied(
    particulars: Particulars, namespaces: dict[str, str] | None = None, memory: str = ""
) -> dict[str, Any]:
    specification = copy.deepcopy(USUAL)
    particulars.apply(specification, namespaces or {}, memory)
    return specification


def kinds(specification: dict[str, Any]) -> list[str]:
    return [entry["type"] for entry in specification["linux"]["namespaces"]]


def shm(specification: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in specification["mounts"] if each["destination"] == "/dev/shm"]


def test_without_any_nothing_changes() -> None:
    assert applied(Particulars()) == USUAL


def test_devices_are_denied_unless_a_rule_allows_them() -> None:
    rules = USUAL["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert all(rule["allow"] for rule in rules[1:])


def test_namespaces_of_the_host_are_left_out() -> None:
    found = applied(Particulars(shared=("pid", "ipc", "uts")))
    assert kinds(found) == ["mount", "network"]
    assert "hostname" not in found
    [memory] = shm(found)
    assert (memory["type"], memory["source"]) == ("bind", "/dev/shm")


def test_namespaces_of_others_have_a_path() -> None:
    found = applied(Particulars(), {"pid": "/pins/1", "ipc": "/pins/2"}, "/pins/3")
    assert {"type": "pid", "path": "/pins/1"} in found["linux"]["namespaces"]
    assert kinds(found).count("ipc") == 1
    assert shm(found)[0]["source"] == "/pins/3"


def test_shared_memory_of_the_users_own_stays() -> None:
    specification = copy.deepcopy(USUAL)
    specification["mounts"] = [
        {**mount, "type": "bind", "source": "/own"} if mount["destination"] == "/dev/shm" else mount
        for mount in specification["mounts"]
    ]
    Particulars(shared=("ipc",)).apply(specification, {}, "")
    assert shm(specification)[0]["source"] == "/own"


def test_container_without_shared_memory() -> None:
    assert shm(applied(Particulars(shm=False))) == []


def test_the_rest() -> None:
    found = applied(
        Particulars(
            devices=(DeviceNode("/dev/x", "c", 10, 229, 0o600, 1, 2),),
            sysctls=(("net.core.somaxconn", "5"),),
            no_new_privileges=True,
            unmasked=True,
            apparmor="mine",
            oom_score_adj=-5,
        )
    )
    linux, process = found["linux"], found["process"]
    assert linux["devices"] == [
        {
            "path": "/dev/x",
            "type": "c",
            "major": 10,
            "minor": 229,
            "fileMode": 0o600,
            "uid": 1,
            "gid": 2,
        }
    ]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == ([], [])
    assert linux["sysctl"] == {"net.core.somaxconn": "5"}
    assert (process["noNewPrivileges"], process["oomScoreAdj"]) == (True, -5)
    assert process["apparmorProfile"] == "mine"


def test_devices_are_mounted_where_nodes_cannot_be_made() -> None:
    specification = copy.deepcopy(USUAL)
    node = DeviceNode("/dev/x", "c", 1, 3, source="/dev/null")
    Particulars(devices=(node,)).apply(specification, {}, "", makes_nodes=False)
    assert "devices" not in specification["linux"]
    mount = specification["mounts"][-1]
    assert (mount["destination"], mount["source"]) == ("/dev/x", "/dev/null")


def test_namespace_of_a_process_that_has_ended_is_not_joined() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        started = start_time(process.pid)
        process.wait()
    with pytest.raises(ContainerError, match="the other container has ended"):
        Joined("pid", process.pid, started).open()


def test_namespace_of_another_process_with_the_number_is_not_joined() -> None:
    own = start_time(os.getpid())
    descriptor = Joined("ipc", os.getpid(), own).open()
    try:
        assert os.fstat(descriptor).st_ino == os.stat("/proc/self/ns/ipc").st_ino
    finally:
        os.close(descriptor)
    with pytest.raises(ContainerError):
        Joined("ipc", os.getpid(), own - 1).open()
