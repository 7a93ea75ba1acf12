"""The seccomp profile: which system calls a container may make.

The table in seccomp.json is docker's default profile in our own form: a rule lists system calls;
"machines" and "other_machines" say on which processors it counts (or does not), "with" and
"without" for containers that have (or lack) a capability; "args" restricts arguments as in the
OCI runtime specification, config-linux.md#seccomp. Calls without a rule give EPERM; newer calls
that a C library must be able to probe for are there with ENOSYS.
"""

from __future__ import annotations

import os

from tierce.lean import json

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

TABLE = os.path.join(os.path.dirname(__file__), "seccomp.json")


def profile(capabilities: Collection[str], machine: str = "") -> dict[str, Any]:
    """The `linux.seccomp` of a runtime specification, for a container with these capabilities.

    `machine` is as in uname(2), this one's when empty. Where the table does not know it, the
    profile has no architectures of its own: the runtime then takes the native one.
    """
    machine = machine or os.uname().machine
    with open(TABLE, "rb") as file:
        table = json.load(file)
    return {
        "defaultAction": table["default"]["action"],
        "defaultErrnoRet": table["default"]["errno"],
        "architectures": table["architectures"].get(machine, []),
        "syscalls": [
            _oci_rule(rule) for rule in table["rules"] if _counts(rule, capabilities, machine)
        ],
    }


def _counts(rule: dict[str, Any], capabilities: Collection[str], machine: str) -> bool:
    return (
        machine in rule.get("machines", [machine])
        and machine not in rule.get("other_machines", [])
        and ("with" not in rule or rule["with"] in capabilities)
        and rule.get("without") not in capabilities
    )


def _oci_rule(rule: dict[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {
        "names": rule["syscalls"],
        "action": rule.get("action", "SCMP_ACT_ALLOW"),
    }
    if "errno" in rule:
        converted["errnoRet"] = rule["errno"]
    if "args" in rule:
        converted["args"] = rule["args"]
    return converted
