"""Seccomp profiles in docker's form: their conditions, and what is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import ContainerError
from tierce.runtime import profiles, seccomp

CAPS = ("CAP_CHOWN", "CAP_SYS_ADMIN")


def converted(profile: object, **host: str) -> dict[str, Any]:
    host = {"machine": "x86_64", "release": "6.1.0-17-amd64", **host}
    found = profiles.convert(json.dumps(profile), CAPS, **host)
    assert found is not None
    return found


def names(profile: object, **host: str) -> list[str]:
    return [name for rule in converted(profile, **host)["syscalls"] for name in rule["names"]]


def rule(name: str, **fields: object) -> dict[str, object]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", **fields}


def test_builtin_profile_is_dockers() -> None:
    assert profiles.convert("builtin", CAPS, machine="x86_64") == seccomp.profile(CAPS, "x86_64")


def test_profile_that_says_nothing_is_none() -> None:
    assert profiles.convert("{}", CAPS) is None


def test_rules_count_by_capabilities_processors_and_kernels() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "syscalls": [
            rule("always"),
            rule("with", includes={"caps": ["CAP_SYS_ADMIN"]}),
            rule("with-others", includes={"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}),
            rule("without", excludes={"caps": ["CAP_BPF"]}),
            rule("without-ours", excludes={"caps": ["CAP_CHOWN"]}),
            rule("here", includes={"arches": ["amd64", "arm64"]}),
            rule("elsewhere", includes={"arches": ["arm64"]}),
            rule("not-here", excludes={"arches": ["amd64"]}),
            rule("new", includes={"minKernel": "6.2"}),
            rule("old", includes={"minKernel": "4.20"}),
            rule("no-longer", excludes={"minKernel": "6.1"}),
        ],
    }
    assert names(profile) == ["always", "with", "without", "here", "old"]
    assert names(profile, machine="aarch64", release="6.10") == [
        *("always", "with", "without", "here", "elsewhere", "not-here", "new", "old"),
    ]


def test_processors_are_those_that_go_with_ours() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        ],
    }
    assert converted(profile)["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert converted(profile, machine="riscv64")["architectures"] == []
    kept = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_ARM"]}
    assert converted(kept)["architectures"] == ["SCMP_ARCH_ARM"]


def test_what_a_runtime_does_not_know_is_left_out() -> None:
    arguments = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"name": "old-form", "action": "SCMP_ACT_ALLOW", "comment": "why"},
            rule("personality", args=arguments, errnoRet=5, includes={}),
        ],
    }
    assert converted(profile) == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "architectures": [],
        "syscalls": [
            {"names": ["old-form"], "action": "SCMP_ACT_ALLOW"},
            rule("personality", args=arguments, errnoRet=5),
        ],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Decoding seccomp profile failed"),
        ("[1]", "an object is expected"),
        ('{"defaultAction": "x", "syscalls": {"a": 1}}', "a list is expected"),
        ('{"defaultAction": "x", "syscalls": ["a"]}', "an object is expected"),
        ('{"syscalls": [{"name": "a", "names": ["b"]}]}', "both 'name' and 'names'"),
        (
            '{"defaultAction": "x", "architectures": ["a"], "archMap": [{}]}',
            "both 'architectures' and 'archMap'",
        ),
        ('{"syscalls": [{"includes": {"minKernel": "6"}}]}', "invalid kernel version: 6"),
        ('{"syscalls": [{"includes": {"minKernel": 6.1}}]}', "invalid kernel version"),
        ('{"syscalls": [{"excludes": ["caps"]}]}', "an object is expected"),
        ("[" * 100_000, "Decoding seccomp profile failed"),
    ],
)
def test_what_is_no_profile_is_refused(text: str, message: str) -> None:
    with pytest.raises(ContainerError, match="Decoding seccomp profile failed") as caught:
        profiles.convert(text, CAPS)
    assert message in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "syscalls names name includes excludes caps arches minKernel defaultAction archMap "
                "architectures action".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_profile_or_refused(value: object) -> None:
    try:
        profiles.convert(json.dumps(value), CAPS)
    except ContainerError:
        pass
