"""`tierce build` with secrets, agents and entitlements: what steps get, and what is left of it."""

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from support.program import Tierce, write_context

TOKEN = "s3cret-4711-token"
HAS_OPENSSH = all(shutil.which(name) for name in ("ssh-agent", "ssh-add", "ssh-keygen"))


def files_with(directory: Path, text: bytes) -> list[Path]:
    """The files below a directory in which a text is, also inside of the database."""
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if text in path.read_bytes()]


def test_secrets_of_files_and_variables(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context",
        "FROM golden-base\n"
        "RUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B --mount=type=secret,id=c \\\n"
        '  echo "$(cat /run/secrets/a) $B $(cat /run/secrets/c)" | tr a-z A-Z > /out\n',
    )
    (tmp_path / "file").write_text("of a file")
    shared.build(
        *(context, "-t", "secrets", "--secret", f"id=a,src={tmp_path / 'file'}"),
        *("--secret", "id=b,env=VARIABLE", "--secret", "type=env,id=c,src=OTHER"),
        environment={"VARIABLE": "of a variable", "OTHER": "of another"},
    )
    assert shared.output("secrets", "cat", "/out") == "OF A FILE OF A VARIABLE OF ANOTHER\n"


def test_nothing_of_a_secret_is_left_in_the_store(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context",
        "FROM golden-base\n"
        "RUN --mount=type=secret,id=t --mount=type=secret,id=t,env=T \\\n"
        '  test -n "$T" && test -s /run/secrets/t && echo $T | wc -c\n'
        "RUN --mount=type=secret,id=t,env=T exit 3\n",
    )
    said = tierce.build(
        context, "--secret", "id=t,env=TOKEN", status=1, environment={"TOKEN": TOKEN}
    )
    assert TOKEN not in said.stdout + said.stderr
    with sqlite3.connect(tierce.root / "tierce.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert files_with(tierce.root, TOKEN.encode()) == []


def test_other_secret_finds_the_step_in_the_cache(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context",
        "FROM golden-base\nRUN --mount=type=secret,id=t,env=T echo cached $T | wc -c > /out\n",
    )
    first = shared.image_id(context, "--secret", "id=t,env=T", environment={"T": "1"})
    assert shared.image_id(context, "--secret", "id=t,env=T", environment={"T": "22"}) == first
    assert shared.image_id(context) == first


def test_missing_secret_is_told_with_the_line_and_what_to_do(
    shared: Tierce, tmp_path: Path
) -> None:
    context = write_context(
        tmp_path / "context",
        "FROM golden-base\nRUN --mount=type=secret,id=wanted,required cat /run/secrets/wanted\n",
    )
    said = shared.build(context, status=1).stderr
    assert "ERROR: secret wanted: not found" in said
    assert ">>> RUN --mount=type=secret,id=wanted,required" in said
    assert "--secret id=wanted" in said


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (("--secret", "id=a,src=/nonexistent"), 1, "read secret a: /nonexistent: No such file"),
        (("--secret", "a"), 2, "invalid field 'a' must be a key=value pair"),
        (("--ssh", "a=/nonexistent"), 1, "/nonexistent: No such file or directory"),
        (("--ssh", "default=/etc/passwd"), 1, "no key found"),
        (("--allow", "everything"), 2, "unknown entitlement everything"),
    ],
)
def test_flags_without_sense(
    shared: Tierce, tmp_path: Path, flags: tuple[str, ...], status: int, message: str
) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\n")
    assert message in shared.build(context, *flags, status=status).stderr


def test_secret_that_is_too_large(shared: Tierce, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (500 * 1024 + 1))
    context = write_context(tmp_path / "context", "FROM golden-base\n")
    said = shared.build(context, "--secret", f"id=a,src={tmp_path / 'large'}", status=1)
    assert "read secret a: too big, the limit is 500 KiB" in said.stderr


@pytest.mark.skipif(not HAS_OPENSSH, reason="no OpenSSH")
def test_agent_and_key_reach_a_step(shared: Tierce, tmp_path: Path) -> None:
    """The busybox of the base has no ssh: the socket is seen, and reached with nc."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    socket_path = tmp_path / "agent.sock"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket_path], stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        context = write_context(
            tmp_path / "context",
            "FROM golden-base\n"
            "RUN --mount=type=ssh --mount=type=ssh,id=key,target=/key.sock,mode=0666,uid=7 \\\n"
            '  test -S "$SSH_AUTH_SOCK" && stat -c "%a %u" $SSH_AUTH_SOCK /key.sock > /out\n',
        )
        shared.build(
            *(context, "-t", "agents", "--ssh", "default", "--ssh", f"key={key}"),
            environment={"SSH_AUTH_SOCK": str(socket_path)},
        )
        agent.terminate()
    assert shared.output("agents", "cat", "/out") == "600 0\n666 7\n"
    assert shared.output("agents", "ls", "/").split().count("key.sock") == 0
    assert subprocess.run(["pgrep", "-f", f"ssh-agent.*{shared.root}"], check=False).returncode


def test_required_agent_is_told_with_what_to_do(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context", "FROM golden-base\nRUN --mount=type=ssh,id=git,required true\n"
    )
    said = shared.build(context, status=1).stderr
    assert 'no SSH key "git" forwarded from the client' in said
    assert "--ssh git" in said


# Entitlements


def test_host_network_of_a_step_needs_to_be_allowed(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context", "FROM golden-base\nRUN --network=host ls /sys/class/net > /out\n"
    )
    said = shared.build(context, status=1).stderr
    assert "network.host is not allowed" in said
    assert "--allow network.host" in said
    shared.build(context, "--allow", "network.host")
    # Who gives the build the host's network has allowed it.
    shared.build(context, "--network", "host", "--no-cache")


def test_step_without_a_network(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context",
        "FROM golden-base\nRUN --network=none ls /sys/class/net > /out; ip addr show lo >> /out\n",
    )
    shared.build(context, "-t", "offline")
    found = shared.output("offline", "cat", "/out")
    assert found.splitlines()[0] == "lo"
    assert "127.0.0.1" in found


def test_insecure_step_needs_to_be_allowed_and_has_what_there_is(
    shared: Tierce, tmp_path: Path
) -> None:
    context = write_context(
        tmp_path / "context",
        "FROM golden-base\n"
        "RUN --security=insecure grep Cap /proc/self/status > /caps;"
        " grep -q 'Seccomp:.*0' /proc/self/status && echo free >> /caps;"
        " mount -t tmpfs none /opt && echo mounted >> /caps;"
        " test -w /proc/sys/kernel/domainname && test -c /dev/fuse && echo devices >> /caps\n"
        "RUN grep CapEff /proc/self/status > /after\n",
    )
    said = shared.build(context, status=1).stderr
    assert "security.insecure is not allowed" in said
    shared.build(context, "--allow", "security.insecure", "-t", "insecure")
    lines = shared.output("insecure", "cat", "/caps").splitlines()
    own = Path("/proc/self/status").read_text()
    [bounding] = [line.split()[1] for line in own.splitlines() if line.startswith("CapBnd")]
    sets = {line.split()[0]: line.split()[1] for line in lines[:5]}
    assert sets == dict.fromkeys(["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"], bounding)
    assert lines[5:] == ["free", "mounted", "devices"]
    assert "00000000a80425fb" in shared.output("insecure", "cat", "/after")
    assert os.geteuid() == 0
