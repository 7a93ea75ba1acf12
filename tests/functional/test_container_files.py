"""The files of containers: diff, export, commit."""

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import until
from support.leftovers import mounts_in_any_namespace
from support.program import BASE, PROGRAM, Tierce

CHANGES = (
    "mkdir -p /new/sub; echo a > /new/sub/f; ln /new/sub/f /new/g; echo x >> /etc/passwd; "
    "rm -r /home; chmod 700 /srv; rm -rf /mnt; mkdir /mnt; touch /mnt/in; "
    "echo t > /tmp/x; rm /tmp/x; chmod 600 /etc/group; chmod 644 /etc/group"
)


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container outlives the test, and nothing is mounted."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", "-v", identifier)
    assert mounts_in_any_namespace(shared.root) == []


@pytest.fixture(scope="module")
def image(shared: Tierce, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with the directories that the tests change."""
    directory = tmp_path_factory.mktemp("image")
    (directory / "Dockerfile").write_text(
        f"FROM {BASE}\nRUN mkdir -p /home/me /srv /mnt/old /v && echo v > /v/f\n"
        'ENV KEPT=yes\nEXPOSE 80\nLABEL of=image\nWORKDIR /work\nCMD ["sh"]\n'
    )
    shared.run("build", "-q", "-t", "files", str(directory))
    return "files"


def exported(program: Tierce, name: str) -> dict[str, tarfile.TarInfo]:
    done = subprocess.run(
        [str(PROGRAM), "--root", str(program.root), "export", name],
        check=True,
        stdout=subprocess.PIPE,
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        return {member.name: member for member in tar}


def told(member: tarfile.TarInfo) -> tuple[object, ...]:
    """What a tar says of a file, but for the time of a directory in which mounts have places."""
    time = 0 if member.isdir() else member.mtime
    return member.type, member.mode, member.uid, member.gid, member.size, time, member.linkname


def document(program: Tierce, name: str) -> dict[str, object]:
    [found] = json.loads(program.run("image", "inspect", name).stdout)
    return dict(found)


# diff


def test_diff_tells_what_was_added_changed_and_deleted(program: Tierce, image: str) -> None:
    program.run("run", "--name", "box", image, "sh", "-c", CHANGES)
    assert program.run("diff", "box").stdout.splitlines() == [
        "C /etc",
        "C /etc/passwd",
        "D /home",
        "C /mnt",
        "A /mnt/in",
        "D /mnt/old",
        "A /new",
        "A /new/g",
        "A /new/sub",
        "A /new/sub/f",
        "C /srv",
    ]


def test_container_that_changed_nothing_has_no_diff(
    program: Tierce, image: str, tmp_path: Path
) -> None:
    """Also with mounts, for which places were made in its layer."""
    words = ("-v", f"{tmp_path}:/deep/place", "-v", "/anon", "--tmpfs", "/etc/inner", "-v", "/v")
    program.run("create", "--name", "made", *words, image, "true")
    assert program.run("diff", "made").stdout == ""
    program.run("run", "--name", "front", *words, image, "true")
    assert program.run("diff", "front").stdout == ""
    program.run("run", "-d", "--name", "back", *words, image, "sleep", "600")
    assert program.run("diff", "back").stdout == ""
    program.run("stop", "-t", "0", "back")
    assert program.run("diff", "back").stdout == ""


@pytest.mark.parametrize("detached", [(), ("-d",)])
def test_places_of_mounts_are_gone_from_the_layer_in_the_end(
    program: Tierce, image: str, tmp_path: Path, detached: tuple[str, ...]
) -> None:
    words = ("-v", f"{tmp_path}:/deep/place", "--tmpfs", "/etc/inner")
    program.run("run", *detached, "--name", "box", *words, image, "true")
    program.run("wait", "box")
    upper = Path(
        program.run("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "box").stdout.strip()
    )
    until(lambda: list(upper.iterdir()) == [])  # `wait` waits for the exit status alone


@pytest.mark.parametrize(
    "words",
    [
        ("-v", "/deep/place", "files", "/nope"),
        ("-v", "/deep/place", "--tmpfs", "/proc/x", "files", "true"),
    ],
)
def test_container_that_cannot_start_has_no_places_of_mounts_in_its_layer(
    program: Tierce, image: str, words: tuple[str, ...]
) -> None:
    assert image == "files"
    program.start("run", "-d", "--name", "box", *words).communicate()
    upper = program.run("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "box").stdout.strip()
    assert list(Path(upper).iterdir()) == []


def test_what_a_container_wrote_beside_a_mount_stays(program: Tierce, image: str) -> None:
    words = ("-d", "--name", "box", "-v", "/deep/place", image, "sh", "-c")
    program.run("run", *words, "touch /deep/own /deep/place/other")
    program.run("wait", "box")
    assert program.run("diff", "box").stdout == "A /deep\nA /deep/own\n"
    assert program.run("start", "box").stdout == "box\n"
    program.run("wait", "box")
    assert program.run("diff", "box").stdout == "A /deep\nA /deep/own\n"


def test_deleted_place_of_a_mount_stays_deleted(program: Tierce, image: str) -> None:
    """What the image has there must not come back when the place that was made for it goes."""
    program.run("run", "--name", "one", image, "rm", "-r", "/v")
    program.run("commit", "one", "without")
    script = ("sh", "-c", "if [ -d /v ]; then rm -r /v; else ls -d /v; fi; true")
    program.run("run", "--name", "two", image, *script)
    assert program.run("diff", "two").stdout == "D /v\n"
    program.run("rmi", "without", status=0)


def test_container_that_is_not_there_has_no_diff(program: Tierce) -> None:
    assert "no such container: nope" in program.run("diff", "nope", status=1).stderr


def test_diff_while_a_container_swaps_directories_and_links_shows_nothing_of_the_host(
    program: Tierce, image: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of the host")
    attack = (
        f"cd /new; while :; do mkdir -p d; touch d/f d/secret; mv d e; ln -s {tmp_path} d; "
        "rm d; rm -r e; done"
    )
    program.run("run", "-d", "--name", "box", image, "sh", "-c", f"mkdir /new; {attack}")
    for _ in range(10):
        program.run("diff", "box")
        for name, member in exported(program, "box").items():
            assert member.size == 0 or not name.startswith("new"), name


# export


def test_export_has_all_files_but_those_of_mounts(
    program: Tierce, image: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("of the host")
    words = ("-v", f"{tmp_path}:/deep/place", "-v", "data:/v")
    program.run("run", "--name", "box", *words, image, "sh", "-c", CHANGES)
    members = exported(program, "box")
    assert members["new/sub/f"].islnk() != members["new/g"].islnk()
    assert members["srv"].mode == 0o700
    assert members["v/f"].size == 2
    assert {"mnt", "mnt/in", ".dockerenv", "etc/hosts", "dev", "proc", "sys"} <= members.keys()
    assert members["etc/mtab"].linkname == "/proc/mounts"
    assert not {"home", "mnt/old", "deep", "deep/place/file"} & members.keys()
    program.run("rm", "box")
    program.run("volume", "rm", "data")


def test_export_is_the_same_while_a_container_runs_and_after(program: Tierce, image: str) -> None:
    script = f"{CHANGES}; echo done; trap exit TERM; while :; do sleep 0.05; done"
    program.run("run", "-d", "--name", "box", "-v", "/anon", image, "sh", "-c", script)
    with program.running("logs", "-f", "box") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.kill()
    running = {name: told(member) for name, member in exported(program, "box").items()}
    program.run("stop", "box")
    assert {name: told(member) for name, member in exported(program, "box").items()} == running


def test_export_of_a_file_that_grows_is_whole(program: Tierce, image: str) -> None:
    script = "while :; do head -c 65536 /dev/zero; done > /grows"
    program.run("run", "-d", "--name", "box", "--memory", "1g", image, "sh", "-c", script)
    for _ in range(3):
        assert "grows" in exported(program, "box")
    program.run("rm", "-f", "box")


def test_export_can_be_imported(program: Tierce, image: str, tmp_path: Path) -> None:
    program.run("run", "--name", "box", image, "sh", "-c", "echo kept > /kept")
    program.run("export", "-o", str(tmp_path / "box.tar"), "box")
    assert (tmp_path / "box.tar").stat().st_mode & 0o777 == 0o600
    program.run("import", str(tmp_path / "box.tar"), "imported")
    assert program.run("run", "--rm", "imported", "cat", "/kept").stdout == "kept\n"
    program.run("rmi", "imported")


def test_export_that_cannot_be_written_leaves_what_was_there(
    program: Tierce, image: str, tmp_path: Path
) -> None:
    program.run("create", "--name", "box", image)
    found = program.run("export", "-o", str(tmp_path / "no" / "box.tar"), "box", status=1)
    assert "no such file or directory" in found.stderr
    (tmp_path / "old").write_text("old")
    program.run("export", "-o", str(tmp_path / "old"), "nope", status=1)
    assert (tmp_path / "old").read_text() == "old"


# commit


def test_commit_makes_an_image_of_what_changed(program: Tierce, image: str) -> None:
    program.run("run", "--name", "box", "-e", "ADDED=1", image, "sh", "-c", CHANGES)
    made = program.run("commit", "-a", "Me <me@example.org>", "-m", "why", "box", "made:1").stdout
    found = document(program, "made:1")
    assert (found["Id"], found["Author"], found["Comment"]) == (
        made.strip(),
        "Me <me@example.org>",
        "why",
    )
    config = found["Config"]
    assert isinstance(config, dict)
    assert config["Cmd"] == ["sh", "-c", CHANGES]
    assert "KEPT=yes" in config["Env"]
    assert "ADDED=1" in config["Env"]
    assert not [entry for entry in config["Env"] if entry.startswith("HOSTNAME=")]
    assert (config["WorkingDir"], config["Labels"]) == ("/work", {"of": "image"})
    assert config["ExposedPorts"] == {"80/tcp": {}}
    script = "cat /new/g; stat -c %a /srv; ls -d /home /mnt/old; ls /mnt; stat -c %h /new/g"
    seen = program.run("run", "--rm", "made:1", "sh", "-c", script).stdout
    assert seen == "a\n700\nin\n2\n"
    rows = program.run("history", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:1").stdout
    assert rows.splitlines()[0].endswith("|why")
    assert rows.splitlines()[0].startswith("sh -c mkdir")
    program.run("rmi", "made:1")


def test_commit_changes_the_config_by_instructions(program: Tierce, image: str) -> None:
    program.run("create", "--name", "box", image)
    program.run(
        *("commit", "-c", "CMD echo changed", "-c", 'ENV A="b c"', "--change", "USER 7:8"),
        *("-c", "EXPOSE 81", "-c", "VOLUME /data", "-c", "LABEL new=1", "box", "made"),
    )
    config = document(program, "made")["Config"]
    assert isinstance(config, dict)
    assert config["Cmd"] == ["/bin/sh", "-c", "echo changed"]
    assert "A=b c" in config["Env"]
    assert config["User"] == "7:8"
    assert config["Labels"] == {"of": "image", "new": "1"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "81/tcp"}
    assert config["Volumes"] == {"/data": {}}
    assert program.run("run", "--rm", "made").stdout == "changed\n"
    found = program.run("commit", "-c", "RUN true", "box", status=2)
    assert "RUN does not change the config of an image" in found.stderr
    program.run("rmi", "made")


def test_commit_of_nothing_adds_no_layer(program: Tierce, image: str) -> None:
    program.run("create", "--name", "box", image)
    made = program.run("commit", "box").stdout.strip()
    assert document(program, made)["RootFS"] == document(program, image)["RootFS"]
    program.run("rmi", made)


def test_committed_image_can_be_built_upon_and_saved(
    program: Tierce, image: str, tmp_path: Path
) -> None:
    program.run("run", "--name", "box", image, "sh", "-c", "echo kept > /kept")
    program.run("commit", "box", "made")
    program.run("rm", "box")
    (tmp_path / "Dockerfile").write_text("FROM made\nRUN cat /kept && echo more >> /kept\n")
    program.run("build", "-q", "-t", "upon", str(tmp_path))
    assert program.run("run", "--rm", "upon", "cat", "/kept").stdout == "kept\nmore\n"
    program.run("save", "-o", str(tmp_path / "saved.tar"), "made")
    program.run("rmi", "upon", "made")
    program.run("load", "-q", "-i", str(tmp_path / "saved.tar"))
    assert program.run("run", "--rm", "made", "cat", "/kept").stdout == "kept\n"
    program.run("rmi", "made")


@pytest.mark.parametrize("flags", [(), ("--no-pause",), ("--pause=false",)])
def test_commit_of_a_container_that_runs_leaves_it_running(
    program: Tierce, image: str, flags: tuple[str, ...]
) -> None:
    script = "while :; do echo line; done > /log"
    program.run("run", "-d", "--name", "box", image, "sh", "-c", f"ln -s /etc/passwd /p; {script}")
    made = program.run("commit", *flags, "box").stdout.strip()
    assert program.run("inspect", "-f", "{{.State.Status}}", "box").stdout == "running\n"
    assert program.run("run", "--rm", made, "head", "-n", "1", "/log").stdout == "line\n"
    program.run("rmi", made)


def test_paused_container_stays_paused_by_commit(program: Tierce, image: str) -> None:
    program.run("run", "-d", "--name", "box", image, "sleep", "600")
    program.run("pause", "box")
    made = program.run("commit", "box").stdout.strip()
    assert program.run("inspect", "-f", "{{.State.Status}}", "box").stdout == "paused\n"
    program.run("rmi", made)


def test_bad_names_and_flags_of_commit_make_no_image(program: Tierce, image: str) -> None:
    program.run("create", "--name", "box", image)
    before = program.run("images", "-aq").stdout
    program.run("commit", "box", "Bad Name", status=1)
    program.run("commit", "--pause", "--no-pause", "box", status=2)
    program.run("commit", "nope", status=1)
    assert program.run("images", "-aq").stdout == before


def test_commit_is_reproducible_with_a_date(program: Tierce, image: str) -> None:
    program.run("run", "--name", "box", image, "sh", "-c", "touch -d @1000000000 /kept")
    environment = {"SOURCE_DATE_EPOCH": "1000000000"}
    one = program.run("commit", "box", environment=environment).stdout
    assert program.run("commit", "box", environment=environment).stdout == one
    assert str(document(program, one.strip())["Created"]).startswith("2001-09-09T01:46:40")
    program.run("rmi", one.strip())


# prune, and sizes


def test_prune_removes_containers_that_do_not_run(program: Tierce, image: str) -> None:
    program.run("run", "-d", "--name", "runs", image, "sleep", "600")
    made = program.run("create", "--label", "of=test", "-v", "vol:/v", image).stdout.strip()
    program.run("run", "--name", "ended", image, "sh", "-c", "head -c 100000 /dev/zero > /x")
    found = program.run("container", "prune", "-f", "--filter", "label=of=test").stdout
    assert found.startswith(f"Deleted Containers:\n{made}\n\nTotal reclaimed space: ")
    assert program.run("container", "prune", "-f", "--filter", "until=1h").stdout == (
        "Total reclaimed space: 0B\n"
    )
    found = program.run("container", "prune", text="n\n").stdout
    assert found == ""
    found = program.run("container", "prune", "-f", "--filter", "label!=other").stdout
    assert re.search(r"^Total reclaimed space: 1\d\d(\.\d+)?kB$", found, re.MULTILINE)
    assert program.run("ps", "-a", "--format", "{{.Names}}").stdout == "runs\n"
    assert program.run("volume", "rm", "vol").stdout == "vol\n"


def test_system_prune_takes_containers_and_by_a_flag_their_volumes(
    program: Tierce, image: str
) -> None:
    program.run("run", "--name", "ended", "-v", "/anon", "-v", "named:/named", image, "true")
    found = program.run("system", "prune", "-f").stdout
    assert "Deleted Containers:\n" in found
    assert "Deleted Volumes:\n" not in found
    assert len(program.run("volume", "ls", "-q").stdout.split()) == 2
    assert "Deleted Volumes:\n" in program.run("system", "prune", "-f", "--volumes").stdout
    assert program.run("volume", "ls", "-q").stdout == "named\n"
    program.run("volume", "rm", "named")


@pytest.mark.parametrize("detached", [(), ("-d",)])
def test_sizes_are_those_of_what_the_container_wrote(
    program: Tierce, image: str, detached: tuple[str, ...]
) -> None:
    script = "head -c 12345 /dev/zero > /x; chmod 600 /etc/group; chmod 644 /etc/group"
    program.run("run", *detached, "--name", "box", "-v", "/anon", image, "sh", "-c", script)
    program.run("wait", "box")
    form = "{{.SizeRw}} {{.SizeRootFs}}"
    own, whole = program.run("inspect", "-s", "-f", form, "box").stdout.split()
    size = int(program.run("image", "inspect", "-f", "{{.Size}}", image).stdout)
    assert (int(own), int(whole)) == (12345, 12345 + size)
    assert "12.3kB (virtual" in program.run("ps", "-as").stdout
    [found] = json.loads(program.run("container", "inspect", "box").stdout)
    assert "SizeRw" not in found
