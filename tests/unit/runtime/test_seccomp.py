"""The seccomp profile, compared with what is known of docker's."""

from typing import Any

import pytest

from tierce.runtime import capabilities
from tierce.runtime.seccomp import profile


def allowed(rules: dict[str, Any]) -> set[str]:
    """Calls that are allowed whatever their arguments."""
    return {
        name
        for rule in rules["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
        for name in rule["names"]
    }


def rules_for(name: str, rules: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in rules["syscalls"] if name in rule["names"]]


def test_calls_are_denied_unless_listed() -> None:
    rules = profile(capabilities.DEFAULT, "x86_64")
    assert (rules["defaultAction"], rules["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert rules["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert {"openat2", "execve", "io_setup", "ptrace", "chroot"} <= allowed(rules)


@pytest.mark.parametrize(
    "name",
    [
        *("mount", "unshare", "setns", "bpf", "keyctl", "add_key", "init_module", "kexec_load"),
        *("reboot", "swapon", "settimeofday", "io_uring_setup", "userfaultfd", "syslog"),
        *("open_by_handle_at", "perf_event_open", "iopl", "pivot_root", "nfsservctl"),
    ],
)
def test_dangerous_calls_are_not_allowed(name: str) -> None:
    assert name not in allowed(profile(capabilities.DEFAULT, "x86_64"))


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_TIME", "settimeofday"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_BPF", "bpf"),
    ],
)
def test_capability_brings_its_calls(capability: str, name: str) -> None:
    assert name in allowed(profile([*capabilities.DEFAULT, capability], "x86_64"))


def test_clone_must_not_make_namespaces_and_clone3_is_unknown() -> None:
    rules = profile(capabilities.DEFAULT, "x86_64")
    [clone] = rules_for("clone", rules)
    namespaces = 0x7E020000  # all CLONE_NEW* flags
    assert clone["args"] == [{"index": 0, "value": namespaces, "op": "SCMP_CMP_MASKED_EQ"}]
    [clone3] = rules_for("clone3", rules)
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_vsock_is_the_one_address_family_that_is_refused() -> None:
    rules = rules_for("socket", profile(capabilities.DEFAULT, "x86_64"))
    conditions = {(rule["args"][0]["op"], rule["args"][0]["value"]) for rule in rules}
    assert conditions == {("SCMP_CMP_LT", 38), ("SCMP_CMP_EQ", 39), ("SCMP_CMP_GT", 40)}


def test_processors_have_calls_of_their_own() -> None:
    assert "arch_prctl" in allowed(profile(capabilities.DEFAULT, "x86_64"))
    arm = profile(capabilities.DEFAULT, "aarch64")
    assert "arch_prctl" not in allowed(arm)
    assert "sync_file_range2" in allowed(arm)
    assert arm["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]


def test_clone_has_its_flags_elsewhere_on_s390() -> None:
    [clone] = rules_for("clone", profile(capabilities.DEFAULT, "s390x"))
    assert clone["args"][0]["index"] == 1
