"""The specification of a usual container has what docker gives its runtime.

The golden file is what dockerd 20.10 wrote for `docker run --network none IMAGE`, without what is
of the one container.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tierce.runtime import bundle, capabilities
from tierce.runtime.bundle import Isolation, ProcessSpec, SeccompPolicy
from tierce.runtime.user import Identity

DOCKERS = json.loads(
    (Path(__file__).parents[2] / "golden" / "docker-specification.json").read_text()
)


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    return bundle.make_spec(
        ProcessSpec(("true",)),
        Identity(),
        root="/root",
        isolation=Isolation("name"),
        grantable=capabilities.ALL,
        seccomp=SeccompPolicy(),
        cgroup="/group",
    )


def test_capabilities(ours: dict[str, Any]) -> None:
    assert ours["process"]["capabilities"] == DOCKERS["capabilities"]


def test_namespaces(ours: dict[str, Any]) -> None:
    kinds = sorted(entry["type"] for entry in ours["linux"]["namespaces"])
    assert kinds == DOCKERS["namespaces"]


def test_mounts(ours: dict[str, Any]) -> None:
    def known(mounts: list[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
        return sorted((m["destination"], m["type"], sorted(m["options"])) for m in mounts)

    assert known(ours["mounts"]) == known(DOCKERS["mounts"])


def test_paths(ours: dict[str, Any]) -> None:
    assert sorted(ours["linux"]["readonlyPaths"]) == DOCKERS["readonlyPaths"]
    # Later versions of docker mask these, too.
    later = {"/proc/interrupts", "/sys/devices/virtual/powercap"}
    assert set(ours["linux"]["maskedPaths"]) == {*DOCKERS["maskedPaths"], *later}


def test_devices(ours: dict[str, Any]) -> None:
    rules = ours["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert [rule for rule in DOCKERS["devices"] if rule not in rules] == []
    # What runtimes allow whatever docker says: making any node, terminals, /dev/full.
    opened = {(rule["major"], rule.get("minor")) for rule in rules if "major" in rule}
    theirs = {(rule["major"], rule.get("minor")) for rule in DOCKERS["devices"]}
    assert opened - theirs == {(1, 7), (5, 2), (136, None)}


def test_namespace_of_groups_is_private_where_it_is_asked_for() -> None:
    found = bundle.make_spec(
        ProcessSpec(("true",)),
        Identity(),
        root="/root",
        isolation=Isolation("name", cgroup_namespace=True),
        grantable=(),
        seccomp=SeccompPolicy(),
    )
    kinds = sorted(entry["type"] for entry in found["linux"]["namespaces"])
    assert kinds == sorted([*DOCKERS["namespaces"], "cgroup"])
