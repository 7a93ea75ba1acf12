"""An ordinary user builds and runs, in a user namespace; and reaches no further than its rights."""

import os
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.leftovers import still_running
from support.program import BASE, Tierce, outcome_of, write_context
from support.users import Rootless, User, has_subordinate_ids, made_user

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="makes users, which needs root"),
    pytest.mark.skipif(not has_subordinate_ids(), reason="newuidmap is missing (package uidmap)"),
]


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with made_user() as made:
        yield made


@pytest.fixture(scope="module")
def rootless(user: User, base_archive: Path) -> Iterator[Rootless]:
    """The program of a user with subordinate ids, who has the images that builds start from."""
    with Rootless(user) as program:
        program.run("load", "-q", "-i", str(program.give(base_archive, "bases.tar")))
        yield program


@pytest.fixture(scope="module")
def single(base_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rootless]:
    """The program of a user who has no id but its own, and an image with files of one owner."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    with made_user(subordinate=False) as made, Rootless(made) as program:
        program.run("load", "-q", "-i", str(program.give(base_archive, "bases.tar")))
        directory = write_context(
            tmp_path_factory.mktemp("one"), "FROM scratch\nCOPY busybox /bin/sh\n"
        )
        shutil.copy(busybox, directory)
        program.run("build", "-q", "-t", ONE_OWNER, str(program.give(directory, "one")))
        yield program


ONE_OWNER = "one-owner"

CONTEXT = f"""\
FROM {BASE}
RUN echo joe:x:1000:1000::/:/bin/sh >> /etc/passwd && mkdir -m 750 /joe && chown 1000:33 /joe
USER joe
RUN echo mine > /joe/file
USER 0
RUN rm -r /joe/file /data && rmdir /joe && mkdir /joe /data && chown 5:7 /joe && chmod 4711 /data
"""


# Building


def test_user_gets_the_same_image_as_root(
    rootless: Rootless, tierce: Tierce, tmp_path: Path
) -> None:
    ours = write_context(tmp_path / "context", CONTEXT)
    theirs = rootless.give(ours, "context-same")
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    by_root = tierce.image_id(ours, environment=epoch)
    by_user = rootless.run("build", "-q", str(theirs), environment=epoch).stdout.strip()
    assert by_user == by_root


def test_files_of_others_belong_to_subordinate_ids_on_disk(
    rootless: Rootless, tmp_path: Path
) -> None:
    context = rootless.give(
        write_context(tmp_path / "c", f"FROM {BASE}\nRUN touch /f && chown 1000 /f\n"), "owners"
    )
    rootless.run("build", "-q", "-t", "owners", str(context))
    owners = {
        path.lstat().st_uid for path in rootless.root.rglob("*") if path.lstat().st_nlink >= 1
    }
    assert rootless.user.uid in owners
    assert owners - {rootless.user.uid}
    assert 0 not in owners
    assert 1000 not in owners - {rootless.user.uid}


def test_image_that_a_user_saved_loads_for_root(
    rootless: Rootless, tierce: Tierce, tmp_path: Path
) -> None:
    context = rootless.give(write_context(tmp_path / "c", f"FROM {BASE}\nRUN echo 1 > /f\n"), "out")
    rootless.run("build", "-q", "-t", "saved:1", str(context))
    archive = rootless.home / "saved.tar"
    rootless.run("save", "-o", str(archive), "saved:1")
    tierce.run("load", "-q", "-i", str(archive))
    assert tierce.output("saved:1", "cat", "/f") == "1\n"


# Containers


def test_store_is_the_users_own(rootless: Rootless) -> None:
    rootless.run("ps")
    assert (rootless.root / "tierce.db").stat().st_uid == rootless.user.uid
    assert [path.name for path in (rootless.runtime / "tierce").iterdir()]


def test_state_is_in_the_store_where_there_is_no_runtime_directory(rootless: Rootless) -> None:
    environment = {"XDG_RUNTIME_DIR": "", "TIERCE_ROOT": str(rootless.home / "other")}
    rootless.run("ps", environment=environment)
    assert (rootless.home / "other/run/bundles").is_dir()
    shutil.rmtree(rootless.home / "other")


def test_foreground_container_is_root_in_it(rootless: Rootless) -> None:
    done = rootless.run("run", "--rm", "--network", "none", BASE, "id", "-u")
    assert done.stdout == "0\n"


def test_user_of_an_image_is_another_one(rootless: Rootless) -> None:
    words = ("run", "--rm", "--network", "none", "-u", "33:44", BASE, "id")
    assert rootless.run(*words).stdout.startswith("uid=33(web) gid=44 ")


def test_host_network_is_shown_in_sys(rootless: Rootless) -> None:
    words = ("run", "--rm", "--network", "host", BASE, "ls", "/sys/class/net/lo/address")
    assert rootless.run(*words).stdout.strip() == "/sys/class/net/lo/address"


def test_life_of_a_container_in_the_background(rootless: Rootless) -> None:
    script = "echo out; echo err >&2; exec sleep 1000"
    rootless.run("run", "-d", "--name", "life", "--network", "none", BASE, "sh", "-c", script)
    assert "life" in rootless.run("ps").stdout
    followed = rootless.run("exec", "life", "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '")
    assert followed.stdout == "sleep 1000 "
    logs = rootless.run("logs", "life")
    assert (logs.stdout, logs.stderr) == ("out\n", "err\n")
    rootless.run("stop", "-t", "0", "life")
    assert rootless.run("ps", "-a", "--format", "{{.State}}").stdout == "exited\n"
    rootless.run("start", "life")
    assert rootless.run("ps", "--format", "{{.Names}}").stdout == "life\n"
    rootless.run("rm", "-f", "life")
    assert rootless.run("ps", "-aq").stdout == ""


def test_command_reaches_what_another_command_has_started(rootless: Rootless) -> None:
    for name in ("first", "second"):
        rootless.run(
            "run", "-d", "--name", name, "--network", "none", "-u", "5", BASE, "sleep", "100"
        )
    # Process 1 is that of a subordinate id: only in its own namespace can it be signalled.
    rootless.run("kill", "first")
    rootless.run("exec", "second", "true")
    rootless.run("rm", "-f", "first", "second")


def test_commands_run_in_containers_of_users_wherever_these_live(rootless: Rootless) -> None:
    words = ("--network", "none", BASE, "sh", "-c", "echo ready; sleep 600")
    rootless.run("run", "-d", "--name", "back", *words)
    with rootless.start("run", "--name", "front", *words) as front:
        assert front.stdout is not None
        assert front.stdout.readline() == "ready\n"
        for name in ("back", "front"):
            found = rootless.run("exec", name, "sh", "-c", "id -u; exit 3", status=3)
            assert found.stdout == "0\n"
            rootless.run("exec", "-d", name, "sleep", "700")
            assert "sleep 700" in rootless.run("top", name, "-o", "pid,args").stdout
        rootless.run("rm", "-f", "back", "front")
        front.communicate()


def test_container_that_has_lost_its_monitor_is_cleared_up(rootless: Rootless) -> None:
    words = ("run", "-d", "--name", "lost", "--network", "none", BASE, "sleep", "100")
    identifier = rootless.run(*words).stdout.strip()
    detached = next((rootless.runtime / "tierce").glob(f"*/containers/{identifier}"))
    os.kill(int((detached / "monitor").read_text()), signal.SIGKILL)
    told = rootless.run("ps", "-a", "--format", "{{.Status}}").stdout
    assert told.startswith("Exited (137)")
    assert not detached.exists()
    assert still_running(detached) == []
    rootless.run("rm", "lost")


def test_limits_without_a_delegated_group_are_refused(rootless: Rootless) -> None:
    for words in (("run", "--rm"), ("run", "-d", "--name", "limited")):
        done = rootless.run(
            *words, "--network", "none", "--memory", "100m", BASE, "true", status=125
        )
        assert "limit what a container may use" in done.stderr
        assert "delegated" in done.stderr
    assert rootless.run("ps", "-a", "--format", "{{.Names}}").stdout in {"", "limited\n"}
    if "limited" in rootless.run("ps", "-a").stdout:
        rootless.run("rm", "limited")


def test_insecure_step_of_a_user_has_the_devices_that_there_are(
    rootless: Rootless, tmp_path: Path
) -> None:
    text = f"FROM {BASE}\nRUN --security=insecure head -c 1 /dev/zero > /f && test -s /f\n"
    context = rootless.give(write_context(tmp_path / "c", text), "insecure")
    rootless.run("build", "-q", "--allow", "security.insecure", str(context))


def test_running_container_is_committed_as_it_is(rootless: Rootless) -> None:
    words = ("run", "-d", "--name", "live", "--network", "none", BASE, "sleep", "100")
    rootless.run(*words)
    with rootless.start("commit", "live") as process:
        refused = outcome_of(process)
    assert refused.status != 0
    assert "no freezer" in refused.stderr
    assert "hint: commit it while it runs: --pause=false" in refused.stderr
    rootless.run("commit", "--pause=false", "live", "of-live")
    assert rootless.run("run", "--rm", "--network", "none", "of-live", "true").status == 0
    rootless.run("rm", "-f", "live")


# Networks


@pytest.mark.skipif(shutil.which("pasta") is None, reason="pasta is missing (package passt)")
def test_port_of_a_user_is_reached_from_the_machine(rootless: Rootless) -> None:
    words = ("run", "-d", "--name", "web", "-p", "127.0.0.1::80", BASE)
    rootless.run(*words, "busybox", "httpd", "-f", "-p", "80", "-h", "/etc")
    address = rootless.run("port", "web", "80").stdout.strip()
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert b"root:x:0:0" in answer
    taken = rootless.run("run", "--rm", "-p", f"{address}:80", BASE, "true", status=125)
    assert f"Bind for {address} failed: port is already allocated (container web)" in taken.stderr
    rootless.run("rm", "-f", "web")
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((host, int(port)))


@pytest.mark.skipif(shutil.which("pasta") is None, reason="pasta is missing (package passt)")
def test_container_of_a_user_does_not_reach_the_loopback_of_the_machine(
    rootless: Rootless,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        script = f"busybox nc -w 2 127.0.0.1 {port} </dev/null && echo reached || echo refused"
        words = (BASE, "sh", "-c", script)
        assert rootless.run("run", "--rm", *words).stdout == "refused\n"
        server.settimeout(60)
        with rootless.start("run", "--rm", "--network", "host", *words) as process:
            server.accept()[0].close()
            assert outcome_of(process).stdout == "reached\n"


def test_port_that_needs_privilege_is_refused(rootless: Rootless) -> None:
    done = rootless.run("run", "--rm", "-p", "80:80", BASE, "true", status=125)
    assert "permission denied" in done.stderr
    assert "hint: users publish ports from 1024 on" in done.stderr


# What a user may not


def test_file_of_root_is_not_read_through_a_mount(rootless: Rootless, tmp_path: Path) -> None:
    secret = rootless.home / "of-root"
    secret.write_text("secret")
    secret.chmod(0o600)
    words = ("run", "--rm", "--network", "none", "-v", f"{secret}:/secret", BASE)
    done = rootless.run(*words, "cat", "/secret", status=1)
    assert "secret\n" not in done.stdout
    assert "Permission denied" in done.stderr
    rootless.run(*words, "chown", "0", "/secret", status=1)
    rootless.run(*words, "chmod", "777", "/secret", status=1)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.stat().st_uid == 0


def test_directory_of_root_is_not_written_through_a_mount(rootless: Rootless) -> None:
    directory = rootless.home / "directory-of-root"
    directory.mkdir(0o755)
    words = ("run", "--rm", "--network", "none", "--privileged", "-v", f"{directory}:/d", BASE)
    done = rootless.run(*words, "touch", "/d/file", status=1)
    assert "Permission denied" in done.stderr
    assert os.listdir(directory) == []


def test_privileged_container_of_a_user_opens_no_disk(rootless: Rootless) -> None:
    words = ("run", "--rm", "--network", "none", "--privileged", BASE)
    script = "mknod /disk b 259 0 || mknod /memory c 1 1"
    assert "not permitted" in rootless.run(*words, "sh", "-c", script, status=1).stderr
    assert rootless.run(*words, "cat", "/proc/1/uid_map").stdout.split()[1] == str(
        rootless.user.uid
    )


def test_setuid_programs_of_images_are_out_of_reach_of_other_users(
    rootless: Rootless, tmp_path: Path
) -> None:
    text = f"FROM {BASE}\nRUN cp /bin/busybox /su && chmod 4755 /su\n"
    context = rootless.give(write_context(tmp_path / "c", text), "setuid")
    rootless.run("build", "-q", "-t", "setuid", str(context))
    rootless.run("run", "--rm", "--network", "none", "setuid", "true")
    found = [path for path in rootless.root.rglob("su") if path.lstat().st_mode & stat.S_ISUID]
    assert found
    for path in found:
        assert path.lstat().st_uid == rootless.user.uid
        closed = [above for above in path.parents if not above.stat().st_mode & stat.S_IXOTH]
        assert rootless.root in [parent for above in closed for parent in above.parents]


def test_store_of_somebody_else_is_refused(rootless: Rootless, stocked_root: Path) -> None:
    done = rootless.run("--root", str(stocked_root), "ps", status=1)
    assert "open store" in done.stderr
    assert "Permission denied" in done.stderr
    assert "hint: is it another user's?" in done.stderr


def test_variable_of_the_namespace_gives_root_no_other_store(tmp_path: Path) -> None:
    with Tierce(tmp_path / "root") as program:
        said = program.run("info", "--format", "{{.RunDir}}", environment={"XDG_RUNTIME_DIR": "/x",
                           "TIERCE_USER_NAMESPACE": "1000:1000"}).stdout  # fmt: skip
    assert said.startswith("/run/tierce/")


# Users with one id


def test_one_id_is_enough_for_files_of_one_owner(single: Rootless) -> None:
    words = ("run", "--rm", "--network", "none", ONE_OWNER, "/bin/sh", "-c", "echo $UID$((1+1))")
    assert single.run(*words).stdout == "2\n"
    assert {path.lstat().st_uid for path in single.root.rglob("*")} == {single.user.uid}


def test_another_user_in_the_container_needs_another_id(single: Rootless) -> None:
    words = ("run", "--rm", "--network", "none", "-u", "5", ONE_OWNER, "/bin/sh")
    done = single.run(*words, status=125)
    assert "run as user 5: this user namespace has one id only" in done.stderr
    assert "usermod --add-subuids" in done.stderr


def test_layer_with_another_owner_needs_another_id(single: Rootless, tmp_path: Path) -> None:
    text = f'FROM {ONE_OWNER}\nCOPY --chown=5 file /\nRUN ["/bin/sh", "-c", ":"]\n'
    context = single.give(write_context(tmp_path / "c", text, {"file": "1"}), "owner")
    done = single.run("build", "--progress", "plain", str(context), status=1)
    assert "unpack layer entry file: owner 5:5 is none of this user namespace" in done.stderr
    assert "usermod --add-subuids" in done.stderr


def test_user_who_may_make_no_namespace_is_told_how(user: User, base_archive: Path) -> None:
    with Rootless(user) as program:
        forbidden = {"TIERCE_TEST_NO_NAMESPACES": "1"}
        archive = program.give(base_archive, "bases.tar")
        program.run("load", "-q", "-i", str(archive), environment=forbidden)
        assert BASE in program.run("image", "ls", environment=forbidden).stdout
        words = ("run", "--rm", "--network", "none", BASE, "true")
        done = program.run(*words, status=125, environment=forbidden)
        assert "sysctl user.max_user_namespaces" in done.stderr
