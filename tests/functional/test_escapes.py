"""What a process in a container tries to get out, or at what is not its own, comes to nothing.

All attempts of `support.attacks` are made in a container in the foreground and in one in the
background, by root. That they would succeed without isolation, where root may do them, shows
that they are made as they have to be.
"""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import attacks
from support.program import BASE, Tierce, write_context

HARMLESS = ("make_group", "see_files", "see_processes", "mount_memory", "copy_mounts")
"""Attempts that can be made with all rights, since they change nothing outside."""

KINDS = ("foreground", "background")


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """What there is outside: a process with a mark, a file, a disk."""
    directory = tmp_path_factory.mktemp("outside")
    (directory / "file").write_text("outside")
    mark = f"mark{os.getpid()}-{directory.name}"
    words = [sys.executable, "-c", "import sys; sys.stdin.read()", mark]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        yield {
            "mark": mark,
            "pid": process.pid,
            "file": str(directory / "file"),
            "disk": os.stat(directory).st_dev,
        }
        assert process.poll() is None, "an attempt has killed a process outside"
        process.terminate()


def attacked(program: Tierce, kind: str, victim: dict[str, object], *flags: str) -> dict[str, str]:
    """What became of all attempts in a container of this kind."""
    python = os.path.realpath(sys.executable)
    words = [
        *flags,
        *attacks.interpreter(),
        "--network",
        "none",
        BASE,
        python,
        "-E",
        "-B",
        "/attacks.py",
    ]
    words.append(json.dumps({**victim, "mark": victim["mark"]}))
    if kind == "foreground":
        said = program.run("run", "--rm", *words).stdout
    else:
        identifier = program.run("run", "-d", *words).stdout.strip()
        program.run("wait", identifier)
        said = program.run("logs", identifier).stdout
        program.run("rm", identifier)
    return dict(json.loads(said))


@pytest.fixture(scope="module")
def outcomes(shared: Tierce, victim: dict[str, object]) -> dict[str, dict[str, str]]:
    return {kind: attacked(shared, kind, victim) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", attacks.NAMES)
def test_attempt_fails(outcomes: dict[str, dict[str, str]], kind: str, name: str) -> None:
    assert not outcomes[kind][name].startswith("SUCCEEDED"), outcomes[kind][name]
    assert outcomes[kind][name] not in {"EFAULT", "EINVAL", "EBADF"}, "it was not tried rightly"


@pytest.mark.parametrize("kind", KINDS)
def test_root_of_a_container_has_raw_sockets_as_in_docker(
    outcomes: dict[str, dict[str, str]], kind: str
) -> None:
    for name in attacks.ALLOWED:
        assert outcomes[kind][name].startswith("SUCCEEDED")


@pytest.mark.parametrize("kind", KINDS)
def test_raw_sockets_go_with_their_capability(
    shared: Tierce, victim: dict[str, object], kind: str
) -> None:
    found = attacked(shared, kind, victim, "--cap-drop", "NET_RAW")
    assert {name: found[name] for name in attacks.ALLOWED} == dict.fromkeys(
        attacks.ALLOWED, "EPERM"
    )


def test_attempts_succeed_where_everything_is_allowed(
    shared: Tierce, victim: dict[str, object]
) -> None:
    flags = ["--privileged", "--pid", "host", "-v", "/:/outside"]
    script = (
        "import json, sys; sys.path.insert(0, '/'); import attacks\n"
        "outside = json.loads(sys.argv[1])\n"
        "outside['file'] = '/outside' + outside['file']\n"
        f"print(json.dumps({{n: attacks.attempt(n, outside) for n in {HARMLESS!r}}}))"
    )
    python = os.path.realpath(sys.executable)
    words = [
        *flags,
        *attacks.interpreter(),
        "--network",
        "none",
        BASE,
        python,
        "-E",
        "-B",
        "-c",
        script,
    ]
    identifier = shared.run("run", "-d", *words, json.dumps(victim)).stdout.strip()
    shared.run("wait", identifier)
    found = json.loads(shared.run("logs", identifier).stdout)
    shared.run("rm", identifier)
    assert {name for name in HARMLESS if found[name].startswith("SUCCEEDED")} >= {
        *("see_files", "see_processes", "mount_memory", "copy_mounts")
    }, found


def test_signal_to_everybody_reaches_nobody_outside(
    shared: Tierce, victim: dict[str, object]
) -> None:
    shared.run("run", "--rm", "--network", "none", BASE, "sh", "-c", "kill -9 -1; true")
    assert Path(f"/proc/{victim['pid']}").exists()


def test_links_at_mount_targets_do_not_lead_out(shared: Tierce, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("from outside")
    context = write_context(tmp_path / "context", f"FROM {BASE}\nCOPY tree /\n")
    links = {
        "absolute": f"{outside}",
        "relative": f"../../../../..{outside}",
        "etc/hosts": f"{outside}/hosts",
        "etc/resolv.conf": f"/../..{outside}/resolv.conf",
    }
    for name, target in links.items():
        link = context / "tree" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    shared.build(context, "-q", "-t", "links")
    for place in ("/absolute/made", "/relative/made/deeper"):
        for kind in ((), ("-d",)):
            words = ["-v", f"{tmp_path / 'source'}:{place}", "links", "cat", f"{place}/file"]
            found = shared.run("run", *kind, "--network", "none", *words).stdout
            if kind:
                identifier = found.strip()
                assert shared.run("wait", identifier).stdout == "0\n"
                found = shared.run("logs", identifier).stdout
                shared.run("rm", identifier)
            assert found == "from outside"
    assert os.listdir(outside) == []


def test_link_by_way_of_a_process_is_not_followed(shared: Tierce, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    context = write_context(tmp_path / "context", f"FROM {BASE}\nCOPY link/ /etc/\n")
    (context / "link").mkdir()
    (context / "link" / "hostname").symlink_to(f"/proc/1/root{outside}/hostname")
    shared.build(context, "-q", "-t", "processlink")
    for kind in ((), ("-d",)):
        refused = shared.run("run", *kind, "--network", "none", "processlink", "true", status=125)
        assert "proc/1/root" in refused.stderr
    assert os.listdir(outside) == []


def test_runtime_cannot_be_overwritten_by_whom_it_joins(shared: Tierce, tmp_path: Path) -> None:
    """CVE-2019-5736: who sees the runtime's process opens its program, and writes to it later."""
    script = """
import os, sys
tried = set()
print("ready", flush=True)
while not os.path.exists("/tmp/over"):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) in (1, os.getpid()):
            continue
        try:
            seen = os.open(f"/proc/{pid}/exe", os.O_PATH)
        except OSError:
            continue
        name = os.readlink(f"/proc/self/fd/{seen}")
        try:
            os.close(os.open(f"/proc/self/fd/{seen}", os.O_WRONLY))
            tried.add(f"{name}: WRITABLE")
        except OSError as error:
            tried.add(f"{name}: {error.errno}")
        os.close(seen)
print(tried, flush=True)
"""
    programs = [shutil.which(name, path="/usr/bin:/usr/sbin") for name in ("crun", "runc")]
    runtimes = [Path(path) for path in programs if path]
    before = [hashlib.sha256(path.read_bytes()).digest() for path in runtimes]
    python = os.path.realpath(sys.executable)
    words = [*attacks.interpreter(), "--network", "none", BASE, python, "-E", "-B", "-c", script]
    attacker = shared.run("run", "-d", *words).stdout.strip()
    try:
        with shared.running("logs", "-f", attacker) as following:
            assert following.stdout is not None
            assert following.stdout.readline() == "ready\n"
            for _ in range(5):
                joined = ("run", "-d", "--pid", f"container:{attacker}", "--network", "none")
                other = shared.run(*joined, BASE, "true").stdout.strip()
                shared.run("wait", other)
                shared.run("rm", other)
            # One more, which tells the attacker to come to an end.
            over = ("touch", "/proc/1/root/tmp/over")
            joined = ("run", "-d", "--pid", f"container:{attacker}", "--network", "none")
            other = shared.run(*joined, "--cap-add", "SYS_PTRACE", BASE, *over).stdout.strip()
            assert shared.run("wait", other).stdout == "0\n"
            shared.run("rm", other)
            said = following.stdout.read()
    finally:
        shared.run("rm", "-f", attacker)
    assert [hashlib.sha256(path.read_bytes()).digest() for path in runtimes] == before
    tried = ast.literal_eval(said.strip())
    writable = {name for name in tried if name.endswith("WRITABLE")}
    assert not [name for name in writable if "crun" in name or "runc" in name]
