"""What the flags for rights mean: docker's grammar, and its refusals."""

import pytest

from tierce.cli.flags import Command, parse
from tierce.cli.running import rights
from tierce.cli.running.rightsflags import FLAGS
from tierce.client.rights import Resources, Rights
from tierce.errors import UsageError

COMMAND = Command("container run", "", "", flags=FLAGS, maximum=None)


def read(*words: str) -> Rights:
    found, warnings = rights.rights_of(parse(COMMAND, words))
    assert warnings == ()
    return found


def test_nothing_is_dockers_default() -> None:
    assert read() == Rights()


def test_capabilities_are_spelled_out_and_sorted() -> None:
    found = read("--cap-add", "sys_admin", "--cap-add", "CAP_KILL", "--cap-add", "KILL",
                 "--cap-drop", "all")  # fmt: skip
    assert (found.added, found.dropped) == (("CAP_KILL", "CAP_SYS_ADMIN"), ("ALL",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/dev/fuse", ("/dev/fuse", "/dev/fuse", "rwm")),
        ("/dev/fuse:r", ("/dev/fuse", "/dev/fuse", "r")),
        ("/dev/fuse:/dev/x", ("/dev/fuse", "/dev/x", "rwm")),
        ("/dev/fuse:/dev/x:wm", ("/dev/fuse", "/dev/x", "wm")),
        ("/dev/fuse:/dev/../dev/x", ("/dev/fuse", "/dev/x", "rwm")),
        ("/dev/fuse:rr", None),
        ("/dev/fuse:/dev/x:", None),
        ("vendor.com/class=name", None),
        ("", None),
        (":/dev/x", None),
    ],
)
def test_devices(text: str, expected: tuple[str, str, str] | None) -> None:
    if expected is None:
        with pytest.raises(UsageError):
            read("--device", text)
    else:
        assert read("--device", text).devices == (expected,)


@pytest.mark.parametrize("text", ["a *:* rwm", "c 1:3 r", "b 8:* wm"])
def test_rules_for_devices(text: str) -> None:
    assert read("--device-cgroup-rule", text).device_rules == (text,)


@pytest.mark.parametrize(
    "text", ["", "c", "c 1:3", "c 1:3 rwmr", "c 1:3 x", "c -1:3 r", "c 1:3  r", "c ²:3 r"]
)
def test_rules_for_devices_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="invalid device cgroup format"):
        read("--device-cgroup-rule", text)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("no-new-privileges",), Rights(no_new_privileges=True)),
        (("no-new-privileges=true",), Rights(no_new_privileges=True)),
        (("no-new-privileges:false",), Rights()),
        (("seccomp=unconfined",), Rights(seccomp="")),
        (("seccomp:builtin",), Rights(seccomp="builtin")),
        (("apparmor=unconfined",), Rights(apparmor="unconfined")),
        (("label=disable", "systempaths=unconfined"), Rights(unmasked=True)),
    ],
)
def test_security_options(words: tuple[str, ...], expected: Rights) -> None:
    found = read(*(part for word in words for part in ("--security-opt", word)))
    assert found.replace(security=()) == expected
    assert found.security == tuple(word for word in words if not word.startswith("systempaths"))


def test_limits() -> None:
    found = read(
        *("-m", "64m", "--memory-swap", "-1", "--memory-reservation", "32m", "--pids-limit", "-5"),
        *("--memory-swappiness", "0", "--oom-kill-disable", "--cpus", "1.25"),
    )
    assert found.cpus == 1_250_000_000
    assert found.limits == Resources(
        memory=64 << 20,
        memory_swap=-1,
        memory_reservation=32 << 20,
        memory_swappiness=0,
        oom_killer=False,
        pids=-1,
        cpu_period=100_000,
        cpu_quota=125_000,
    )


def test_settings_of_the_kernel() -> None:
    assert read("--sysctl", "net.a=b=c").sysctls == (("net.a", "b=c"),)
    for text in ("net.a", "kernel.panic=1", "net./etc=1", "net...=1", "fs.mqueue=1"):
        with pytest.raises(UsageError, match="is not allowed"):
            read("--sysctl", text)


def test_profile_that_is_too_large_is_refused() -> None:
    with pytest.raises(UsageError, match="more than"):
        read("--security-opt", "seccomp=/dev/zero")
