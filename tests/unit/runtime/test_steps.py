"""Running RUN steps: output, status, users, mounts, and that nothing is left."""

import os
import threading
from pathlib import Path

import pytest

from tierce.errors import Cancelled, ContainerError
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import BindMount
from unit.runtime.conftest import Steps


def tree(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def of_directory(path: Path, target: str, source: str = "/", read_only: bool = True) -> BindMount:
    root = (MountSpec("bind", str(path), "", ("rbind",)),)
    return BindMount(target, root, source, read_only)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    directory = tmp_path / "host"
    (directory / "inner").mkdir(parents=True)
    (directory / "inner/file").write_text("content")
    return directory


# Output and status


def test_streams_are_told_apart(steps: Steps) -> None:
    assert steps.run("sh", "-c", "echo out; echo err >&2") == 0
    assert steps.output == {1: b"out\n", 2: b"err\n"}


def test_large_output_is_complete(steps: Steps) -> None:
    assert steps.run("sh", "-c", "yes | head -c 3000000; yes no | head -c 100000 >&2") == 0
    assert len(steps.output[1]) == 3_000_000
    assert len(steps.output[2]) == 100_000


def test_output_comes_while_the_step_runs(steps: Steps) -> None:
    cancel = threading.Event()
    seen: list[bytes] = []

    def log(stream: int, data: bytes) -> None:
        seen.append(data)
        cancel.set()

    with pytest.raises(Cancelled):
        steps.run("sh", "-c", "echo first; sleep 86399", log=log, cancel=cancel)
    assert seen == [b"first\n"]


@pytest.mark.parametrize("status", [0, 1, 42, 126, 127, 255])
def test_exit_status_is_the_process_own(steps: Steps, status: int) -> None:
    assert steps.run("sh", "-c", f"exit {status}") == status
    assert steps.output == {1: b"", 2: b""}


def test_process_ended_by_a_signal_gives_128_and_its_number(steps: Steps) -> None:
    assert steps.run("sh", "-c", "sh -c 'kill -9 $$'; exit $?") == 137


def test_background_process_ends_with_the_step(steps: Steps) -> None:
    assert steps.run("sh", "-c", "sleep 86399 & echo done") == 0
    assert steps.output[1] == b"done\n"


def test_standard_input_is_empty(steps: Steps) -> None:
    assert steps.shell("cat; echo end") == "end\n"


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("nope", 127, 'exec: "nope": executable file not found in $PATH'),
        ("/bin/nope", 127, 'exec: "/bin/nope": stat /bin/nope: no such file or directory'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'),
        ("/etc", 126, 'exec: "/etc": is a directory'),
    ],
)
def test_command_that_cannot_start_says_why(
    steps: Steps, command: str, status: int, message: str
) -> None:
    assert steps.run(command) == status
    assert steps.output == {1: b"", 2: message.encode() + b"\n"}


def test_command_that_only_a_mount_could_bring_is_left_to_the_runtime(
    steps: Steps, host: Path
) -> None:
    assert steps.run("/mnt/nope", binds=[of_directory(host, "/mnt")]) == 127
    assert b"no such file or directory" in steps.output[2].lower()


# User and directory


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "0 0 0"),
        ("app", "1000 1000 1000 50"),
        ("app:staff", "1000 50 50"),
        ("1000:0", "1000 0 0"),
        ("4711", "4711 0 0"),
    ],
)
def test_user_has_the_ids_that_the_image_says(steps: Steps, user: str, expected: str) -> None:
    assert " ".join(steps.shell("id -u; id -g; id -G", user=user).split()) == expected


def test_home_is_that_of_the_user(steps: Steps) -> None:
    assert steps.shell("echo $HOME", user="app") == "/home/app\n"


def test_unknown_user_is_an_error(steps: Steps) -> None:
    with pytest.raises(ContainerError, match="unable to find user nobody-there") as raised:
        steps.run("true", user="nobody-there")
    assert raised.value.exit_code == 125
    assert tree(steps.upper) == []


def test_missing_working_directory_is_made_for_the_user(steps: Steps) -> None:
    assert steps.shell("pwd", cwd="/srv/app", user="app") == "/srv/app\n"
    status = (steps.upper / "srv/app").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1000, 1000, 0o755)


def test_working_directory_that_is_a_file_is_an_error(steps: Steps) -> None:
    with pytest.raises(ContainerError, match="not a directory"):
        steps.run("true", cwd="/etc/passwd")


# What stays in the layer


def test_changes_are_in_the_upper_directory(steps: Steps) -> None:
    steps.shell("echo new > /etc/new; rm /etc/group")
    assert (steps.upper / "etc/new").read_text() == "new\n"
    assert os.stat(steps.upper / "etc/group").st_rdev == 0


def test_mounted_files_leave_no_stubs(steps: Steps) -> None:
    steps.shell("grep -q localhost /etc/hosts && test -s /etc/resolv.conf")
    # The three directories are those of the runtime's own mounts, as from runc. There is no etc,
    # although the kernel copied it up for the stubs.
    assert tree(steps.upper) == ["dev", "proc", "sys"]
    assert (steps.upper / "proc").stat().st_mode & 0o7777 == 0o755


def test_parent_of_stubs_that_changed_or_was_there_stays(steps: Steps, busybox: Path) -> None:
    before = (busybox / "etc").stat()
    steps.shell("chmod 700 /etc")
    assert (steps.upper / "etc").stat().st_mode & 0o7777 == 0o700
    assert (steps.upper / "etc").stat().st_mtime_ns == before.st_mtime_ns
    # Now it is in the upper layer before the step begins.
    steps.shell("true")
    assert (steps.upper / "etc").stat().st_mode & 0o7777 == 0o700


def test_targets_of_mounts_and_their_parents_leave_no_stubs(steps: Steps, host: Path) -> None:
    binds = [
        of_directory(host, "/a/b/c"),
        of_directory(host, "/a/file", "/inner/file"),
    ]
    assert steps.shell("cat /a/b/c/inner/file /a/file", binds=binds) == "contentcontent"
    assert not (steps.upper / "a").exists()


def test_parent_of_a_target_stays_when_the_step_wrote_there(steps: Steps, host: Path) -> None:
    steps.shell("echo > /a/b/kept", binds=[of_directory(host, "/a/b/c")])
    assert tree(steps.upper / "a") == ["b", "b/kept"]
    assert (steps.upper / "a").stat().st_mode & 0o7777 == 0o755


def test_directory_that_the_step_changed_keeps_the_time_of_that(steps: Steps) -> None:
    steps.shell("echo > /etc/new; touch -d '2001-02-03 04:05:06' /etc")
    assert (steps.upper / "etc").stat().st_mtime == 981173106


def test_resolv_conf_that_is_a_link_to_nowhere_is_followed_and_kept(
    steps: Steps, busybox: Path, tmp_path: Path
) -> None:
    (steps.upper / "etc").mkdir()
    (steps.upper / "etc/resolv.conf").symlink_to("../run/systemd/stub-resolv.conf")
    steps.shell("test -s /etc/resolv.conf")
    assert os.readlink(steps.upper / "etc/resolv.conf") == "../run/systemd/stub-resolv.conf"
    assert not (steps.upper / "run").exists()


def test_mounted_files_cannot_be_changed(steps: Steps) -> None:
    assert steps.run("sh", "-c", "echo > /etc/hosts") != 0
    assert b"Read-only file system" in steps.output[2]


# Mounts


def test_bind_mount_is_read_only_unless_said(steps: Steps, host: Path) -> None:
    assert steps.run("touch", "/mnt/new", binds=[of_directory(host, "/mnt")]) == 1
    steps.shell("touch /mnt/new", binds=[of_directory(host, "/mnt", read_only=False)])
    assert (host / "new").exists()


def test_part_of_a_tree_can_be_mounted(steps: Steps, host: Path) -> None:
    assert steps.shell("ls /mnt", binds=[of_directory(host, "/mnt", "inner")]) == "file\n"


def test_link_in_a_source_does_not_lead_out_of_its_tree(
    steps: Steps, host: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (host / "absolute").symlink_to(tmp_path / "secret")
    (host / "relative").symlink_to("../secret")
    for name in ("absolute", "relative"):
        with pytest.raises(ContainerError, match="No such file"):
            steps.run("true", binds=[of_directory(host, "/mnt", name)])


def test_link_in_a_target_does_not_lead_out_of_the_root(steps: Steps, host: Path) -> None:
    (steps.upper / "out").symlink_to("../../../../../../tmp/tierce-escape")
    steps.shell("ls /out/inner /tmp/tierce-escape", binds=[of_directory(host, "/out")])
    assert not os.path.exists("/tmp/tierce-escape")


def test_mounts_below_mounts_come_last(steps: Steps, host: Path, tmp_path: Path) -> None:
    (tmp_path / "other/inner").mkdir(parents=True)
    binds = [of_directory(host, "/m/inner", "inner"), of_directory(tmp_path / "other", "/m")]
    assert steps.shell("ls /m /m/inner", binds=binds) == "/m:\ninner\n\n/m/inner:\nfile\n"


def test_missing_source_is_an_error_and_leaves_nothing(steps: Steps, host: Path) -> None:
    with pytest.raises(ContainerError, match="bind mount /nope"):
        steps.run("true", binds=[of_directory(host, "/mnt/x", "/nope")])
    assert not (steps.upper / "mnt").exists()


def test_root_that_cannot_be_mounted_is_an_error(steps: Steps) -> None:
    steps.upper.rmdir()
    with pytest.raises(ContainerError, match="mount overlay"):
        steps.run("true")


# Several, and the end


def test_steps_run_at_the_same_time(steps: Steps, busybox: Path, tmp_path: Path) -> None:
    """Two steps that wait for each other through a FIFO."""
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    os.mkfifo(meeting / "fifo")
    bind = of_directory(meeting, "/meeting", read_only=False)
    other_directory = tmp_path / "other"
    other_directory.mkdir()
    other = Steps(steps.runner, busybox, other_directory)
    thread = threading.Thread(
        target=other.run, args=("sh", "-c", "echo met > /meeting/fifo"), kwargs={"binds": [bind]}
    )
    thread.start()
    assert steps.shell("cat /meeting/fifo", binds=[bind]) == "met\n"
    thread.join()


def test_cancelled_step_is_dead_when_run_returns(steps: Steps, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        steps.run(
            *("sh", "-c", "trap '' TERM INT; sleep 86399 & echo go; wait"),
            cancel=cancel,
            log=lambda stream, data: cancel.set(),
            binds=[of_directory(shared, "/shared", read_only=False)],
        )
    # A mount that a living process still had would be busy.
    assert steps.run("true") == 0


def test_step_leaves_no_files_and_no_mounts(steps: Steps) -> None:
    steps.shell("true")
    launcher = steps.runner._launcher
    left = {name for name in tree(Path(launcher.directory)) if not name.startswith("state")}
    assert left <= {"lock", "cgroups", "mounts"}
    assert launcher.call(lambda: os.listdir(launcher.mount_points)) == []
