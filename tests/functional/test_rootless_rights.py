"""What containers of an ordinary user may do: all that the user may, and not more."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import attacks
from support.program import BASE
from support.users import Rootless, User, has_subordinate_ids, made_user

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="makes users, which needs root"),
    pytest.mark.skipif(not has_subordinate_ids(), reason="newuidmap is missing (package uidmap)"),
]
KINDS = ("foreground", "background")


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with made_user() as made:
        yield made


@pytest.fixture(scope="module")
def rootless(user: User, base_archive: Path) -> Iterator[Rootless]:
    with Rootless(user) as program:
        program.run("load", "-q", "-i", str(program.give(base_archive, "bases.tar")))
        yield program


def said(program: Rootless, kind: str, flags: tuple[str, ...], script: str) -> str:
    """What a script writes in a container."""
    words = ("--network", "none", *flags, BASE, "sh", "-c", script)
    if kind == "foreground":
        return program.run("run", "--rm", *words).stdout
    identifier = program.run("run", "-d", *words).stdout.strip()
    assert program.run("wait", identifier).stdout == "0\n"
    found = program.run("logs", identifier).stdout
    program.run("rm", identifier)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("flags", "script", "expected"),
    [
        (("--cap-drop", "ALL"), "grep -c 'CapEff:.0000000000000000' /proc/self/status", "1\n"),
        (("--uts", "host"), "hostname", f"{os.uname().nodename}\n"),
        (("--ipc", "host"), "readlink /proc/self/ns/ipc", os.readlink("/proc/self/ns/ipc") + "\n"),
        (("--sysctl", "kernel.msgmax=1000"), "cat /proc/sys/kernel/msgmax", "1000\n"),
        (("--ulimit", "nofile=50:60", "--shm-size", "2m"),
         "ulimit -n; grep -o size=2048k /proc/mounts", "50\nsize=2048k\n"),
        (("--oom-score-adj", "100"), "cat /proc/self/oom_score_adj", "100\n"),
        (("--group-add", "50"), "id -G", "0 50\n"),
        (("--init",), "head -c 17 /proc/1/cmdline", "/sbin/docker-init"),
        (("--security-opt", "no-new-privileges"), "grep -o 'NoNewPrivs:.1' /proc/self/status",
         "NoNewPrivs:\t1\n"),
        (("--device", "/dev/null:/dev/nothing"), ": < /dev/nothing && echo open", "open\n"),
        (("--runtime", "runc"), "echo runs", "runs\n"),
    ],
)  # fmt: skip
def test_rights_that_users_have(
    rootless: Rootless, kind: str, flags: tuple[str, ...], script: str, expected: str
) -> None:
    assert said(rootless, kind, flags, script) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--pid", "host"), "--pid host: users cannot"),
        (("--ulimit", "nofile=-1"), "set ulimit nofile to unlimited: tierce has no CAP_SYS"),
        (("--oom-score-adj", "-999"), "set oom score adj to -999: tierce has no CAP_SYS_RESOURCE"),
        (("-m", "64m"), "limit what a container may use"),
        (("--pids-limit", "5"), "limit what a container may use"),
        (("--cgroup-parent", "/x"), "limit what a container may use"),
    ],
)
def test_rights_that_users_lack_are_refused(
    rootless: Rootless, kind: str, flags: tuple[str, ...], message: str
) -> None:
    mode = ("-d",) if kind == "background" else ()
    words = ("run", "--rm", *mode, "--network", "none", *flags, BASE, "true")
    assert message in rootless.run(*words, status=125).stderr


def test_all_privileges_of_a_users_container_reach_no_further_than_the_user(
    rootless: Rootless, tmp_path: Path
) -> None:
    secret = rootless.give(tmp_path, "directory") / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    os.chown(secret, 0, 0)
    volume = f"{secret.parent}:/outside"
    script = (
        "cat /outside/secret; chown 0 /outside/secret; echo x > /proc/sys/kernel/core_pattern; "
        "mknod /disk b 254 0; cat /dev/kmsg; true"
    )
    words = ("--privileged", "-v", volume, "--network", "none", BASE, "sh", "-c", script)
    found = rootless.run("run", "--rm", *words)
    assert "of root" not in found.stdout
    for name in ("/outside/secret", "/proc/sys/kernel/core_pattern", "/disk", "/dev/kmsg"):
        assert name in found.stderr, found.stderr
    assert (secret.stat().st_uid, secret.read_text()) == (0, "of root")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """What there is outside that the user may not touch: a process of root's, a file, a disk."""
    directory = tmp_path_factory.mktemp("outside")
    (directory / "file").write_text("outside")
    mark = f"mark{os.getpid()}-{directory.name}"
    words = [sys.executable, "-c", "import sys; sys.stdin.read()", mark]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        disk = os.stat(directory).st_dev
        file = str(directory / "file")
        yield {"mark": mark, "pid": process.pid, "file": file, "disk": disk}
        assert process.poll() is None, "an attempt has killed a process outside"
        process.terminate()


@pytest.mark.parametrize("kind", KINDS)
def test_attempts_to_get_out_fail(
    rootless: Rootless, kind: str, outside: dict[str, object]
) -> None:
    program = str(rootless.give(Path(attacks.__file__), f"attacks-{kind}.py"))
    python = os.path.realpath(sys.executable)
    words = ["--network", "none", *attacks.interpreter(program), BASE]
    words += [python, "-E", "-B", "/attacks.py", json.dumps(outside)]
    if kind == "foreground":
        said = rootless.run("run", "--rm", *words).stdout
    else:
        identifier = rootless.run("run", "-d", *words).stdout.strip()
        rootless.run("wait", identifier)
        said = rootless.run("logs", identifier).stdout
        rootless.run("rm", identifier)
    found = json.loads(said)
    assert {name: found[name] for name in attacks.NAMES if "SUCCEEDED" in found[name]} == {}
