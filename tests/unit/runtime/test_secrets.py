"""Secrets of a step: who sees them, and where they are not."""

import os
from pathlib import Path

import pytest

from tierce.errors import ContainerError
from tierce.runtime.bundle import ProcessSpec, TmpfsMount
from tierce.runtime.container import SecretFile
from tierce.runtime.steps import StepSpec
from unit.runtime.conftest import PATH, Steps

TOKEN = b"s3cret-4711"


def bytes_below(directory: str) -> bytes:
    """All that is in the files below a directory."""
    found = b""
    for path, _, names in os.walk(directory):
        for name in names:
            file = Path(path) / name
            if file.is_file() and not file.is_symlink():
                found += file.read_bytes()
    return found


def test_file_has_its_content_mode_and_owner(steps: Steps) -> None:
    secrets = (
        SecretFile("/run/secrets/a", TOKEN),
        SecretFile("/b", b"", 0o644, 7, 8),
        SecretFile("/c", b"x" * 500_000, 0o755),
    )
    found = steps.shell(
        "cat /run/secrets/a; stat -c ' %a %u %g %s' /run/secrets/a /b /c", secrets=secrets
    )
    assert found == "s3cret-4711 400 0 0 11\n 644 7 8 0\n 755 0 0 500000\n"


def test_file_is_in_memory_and_read_only(steps: Steps) -> None:
    found = steps.shell("grep ' /a ' /proc/mounts", secrets=(SecretFile("/a", TOKEN),))
    kind, options = found.split()[2:4]
    assert kind == "tmpfs"
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options.split(","))
    assert steps.run("sh", "-c", "echo > /a", secrets=(SecretFile("/a", TOKEN),)) != 0
    executable = (SecretFile("/a", b"#!/bin/sh\necho ran\n", 0o755),)
    assert steps.shell("/a", secrets=executable) == "ran\n"


def test_nothing_is_left_in_the_layer(steps: Steps) -> None:
    steps.shell("cat /run/secrets/a", secrets=(SecretFile("/run/secrets/a", TOKEN),))
    assert not (steps.upper / "run").exists()
    assert TOKEN not in bytes_below(str(steps.upper))


def test_while_a_step_runs_no_disk_has_its_secrets(steps: Steps) -> None:
    """Looked for from outside, in all that the launcher has in files."""
    seen: list[bytes] = []

    def look(_stream: int, _data: bytes) -> None:
        seen.append(bytes_below(steps.runner._launcher.directory))

    process = ProcessSpec(("sh", "-c", 'echo "$TOKEN" | wc -c; cat /a | wc -c'),
                          (PATH, f"TOKEN={TOKEN.decode()}"))  # fmt: skip
    step = StepSpec(tuple(steps.root), process, secrets=(SecretFile("/a", TOKEN),), private=True)
    import threading

    assert steps.runner.run(step, log=look, cancel=threading.Event()).status == 0
    assert seen
    assert not [content for content in seen if TOKEN in content]


def test_environment_alone_takes_the_bundle_into_memory(steps: Steps) -> None:
    seen: list[bytes] = []

    def look(_stream: int, _data: bytes) -> None:
        seen.append(bytes_below(steps.runner._launcher.directory))

    env = (PATH, f"TOKEN={TOKEN.decode()}")
    assert steps.run("sh", "-c", "echo; sleep 0", env=env, private=True, log=look) == 0
    assert seen
    assert TOKEN not in b"".join(seen)


def test_other_steps_do_not_see_them(steps: Steps) -> None:
    steps.shell("cat /a", secrets=(SecretFile("/a", TOKEN),))
    assert steps.shell("cat /a 2>/dev/null || echo none") == "none\n"
    assert TOKEN.decode() not in steps.shell("env; cat /proc/mounts")


def test_representation_does_not_show_the_content() -> None:
    assert TOKEN.decode() not in repr(SecretFile("/a", TOKEN))


def test_target_in_a_mount_and_through_a_link(steps: Steps, tmp_path: Path) -> None:
    (steps.upper / "out").symlink_to("../../../../../tmp/tierce-secret")
    secrets = (SecretFile("/out/a", TOKEN), SecretFile("/t/b", TOKEN))
    assert steps.shell("cat /out/a /t/b | wc -c", secrets=secrets, binds=[TmpfsMount("/t")]) == (
        "22\n"
    )
    assert not os.path.exists("/tmp/tierce-secret")


@pytest.mark.parametrize(
    "target", ["/proc", "/proc/self/environ", "/x/../proc/1", "/link", "/link/new", "/chain/new"]
)
def test_nothing_is_mounted_over_proc(steps: Steps, target: str) -> None:
    (steps.upper / "link").symlink_to("../../proc")
    (steps.upper / "chain").symlink_to("/link")
    with pytest.raises(ContainerError, match="inside /proc"):
        steps.run("true", secrets=(SecretFile(target, TOKEN),))
    with pytest.raises(ContainerError, match="inside /proc"):
        steps.run("true", binds=[TmpfsMount(target)])
