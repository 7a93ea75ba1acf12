"""Copying files out of containers and into them. What becomes of names is what docker makes."""

import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.leftovers import mounts_in_any_namespace
from support.program import BASE, PROGRAM, Tierce
from tierce.store import Store


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container and no volume outlives the test, and nothing is mounted."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", "-v", identifier)
    for name in shared.run("volume", "ls", "-q").stdout.split():
        shared.run("volume", "rm", name)
    assert mounts_in_any_namespace(shared.root) == []


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with something to copy."""
    (tmp_path / "dir/sub").mkdir(parents=True)
    (tmp_path / "dir/g").write_text("g\n")
    (tmp_path / "dir/sub/deep").write_text("deep\n")
    (tmp_path / "dir/link").symlink_to("g")
    os.link(tmp_path / "dir/g", tmp_path / "dir/sub/hard")
    (tmp_path / "file").write_text("f\n")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "lfile").symlink_to("file")
    (tmp_path / "ldir").symlink_to("dir")
    (tmp_path / "out").mkdir()
    return tmp_path


def box(program: Tierce, *, running: bool, words: tuple[str, ...] = ()) -> None:
    program.run("create", "--name", "box", *words, BASE, "sleep", "600")
    if running:
        program.run("start", "box")


def cp(program: Tierce, here: Path, *words: str, status: int = 0) -> str:
    return program.run("cp", *words, cwd=here, status=status).stderr


def seen(program: Tierce, script: str) -> str:
    """What a script sees in a container that has the files of the box."""
    program.run("commit", "box", "seen")
    found = program.run("run", "--rm", "-u", "0", "seen", "sh", "-c", script).stdout
    program.run("rmi", "seen")
    return found


def has_mounted(pid: int, points: Path) -> bool:
    """Whether a thread of a process has something mounted there."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            if str(points) in (thread / "mounts").read_text():
                return True
        except OSError:  # it has ended
            continue
    return False


def tar_of(program: Tierce, path: str) -> dict[str, tarfile.TarInfo]:
    command = [str(PROGRAM), "--root", str(program.root), "cp", f"box:{path}", "-"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        return {member.name: member for member in tar}


# In


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize(
    ("source", "target", "script", "expected"),
    [
        ("file", "/new", "cat /new", "f\n"),
        ("file", "/tmp", "cat /tmp/file", "f\n"),
        ("file", "/tmp/", "cat /tmp/file", "f\n"),
        ("file", "/etc/passwd", "cat /etc/passwd", "f\n"),
        ("file", "relative", "cat /relative", "f\n"),
        ("./file", "../../../up", "cat /up", "f\n"),
        ("dir", "/new", "cd /new; ls; cat sub/deep", "g\nlink\nsub\ndeep\n"),
        ("dir", "/new/", "ls /new", "g\nlink\nsub\n"),
        ("dir/", "/new", "ls /new", "g\nlink\nsub\n"),
        ("dir/.", "/new", "ls /new", "g\nlink\nsub\n"),
        ("dir", "/tmp", "ls /tmp/dir", "g\nlink\nsub\n"),
        ("dir/.", "/tmp", "ls /tmp/sub", "deep\nhard\n"),
        ("lfile", "/new", "readlink /new", "file\n"),
        ("ldir", "/new", "readlink /new", "dir\n"),
        ("ldir/", "/new", "ls /new", "g\nlink\nsub\n"),
        ("ldir/.", "/tmp", "ls /tmp/sub", "deep\nhard\n"),
        (".", "/new", "ls /new", "dir\nfile\nldir\nlfile\nout\n"),
    ],
)
def test_copy_into_a_container_has_the_name_that_docker_gives_it(
    program: Tierce,
    here: Path,
    running: bool,
    source: str,
    target: str,
    script: str,
    expected: str,
) -> None:
    box(program, running=running)
    cp(program, here, source, f"box:{target}")
    if running:
        assert program.run("exec", "box", "sh", "-c", script).stdout == expected
    else:
        assert seen(program, script) == expected


def test_copy_follows_a_link_when_it_is_told_to(program: Tierce, here: Path) -> None:
    box(program, running=False)
    cp(program, here, "-L", "lfile", "box:/tmp")
    cp(program, here, "-L", "ldir", "box:/tmp")
    assert seen(program, "cat /tmp/lfile; ls /tmp/ldir") == "f\ng\nlink\nsub\n"


def test_copy_keeps_owners_modes_links_and_times(program: Tierce, here: Path) -> None:
    os.chown(here / "dir", 1234, 2345)
    (here / "dir").chmod(0o2750)
    os.utime(here / "dir/g", (1e9, 1e9))
    box(program, running=False, words=("-u", "77:88"))
    cp(program, here, "dir", "box:/kept")
    cp(program, here, "-a", "dir", "box:/chowned")
    script = "stat -c '%a %u:%g' /kept /chowned /chowned/g; stat -c '%Y %h' /kept/g"
    assert seen(program, script) == "2750 1234:2345\n2750 77:88\n644 77:88\n1000000000 2\n"


def test_copy_merges_with_a_directory_that_is_there(program: Tierce, here: Path) -> None:
    box(program, running=False)
    cp(program, here, "dir", "box:/tmp")
    (here / "dir/more").write_text("more")
    (here / "dir/g").unlink()
    cp(program, here, "dir", "box:/tmp")
    assert seen(program, "ls /tmp/dir") == "g\nlink\nmore\nsub\n"


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("file", "/no/", "no such directory"),
        ("file", "/no/x", "Could not find the file /no in container box"),
        ("dir", "/etc/passwd", "cannot copy directory"),
        ("file", "/etc/passwd/x", "extraction point is not a directory"),
        ("no", "/x", "no such file or directory"),
        ("file/", "/x", "not a directory"),
        ("file", "", "path cannot be empty"),
        ("file", "/rov/x", "mounted volume is marked read-only"),
        ("file", "/tmp/dir", 'cannot overwrite directory "file"'),
    ],
)
def test_copy_that_makes_no_sense_is_refused_in_docker_s_words(
    program: Tierce, here: Path, source: str, target: str, message: str
) -> None:
    box(program, running=False, words=("-v", "vol:/rov:ro"))
    if "overwrite" in message:
        (here / "x/file").mkdir(parents=True)
        cp(program, here, "x", "box:/tmp/dir")
    status = 2 if not target else 1
    assert message in cp(program, here, source, f"box:{target}", status=status)


def test_read_only_container_is_not_copied_into_but_for_its_volumes(
    program: Tierce, here: Path
) -> None:
    words = ("--read-only", "-v", "vol:/vol", "-v", "other:/rov:ro", "--tmpfs", "/mem")
    box(program, running=True, words=words)
    assert "container rootfs is marked read-only" in cp(program, here, "file", "box:/x", status=1)
    assert "volume is marked read-only" in cp(program, here, "file", "box:/rov/x", status=1)
    cp(program, here, "file", "box:/vol/x")
    cp(program, here, "file", "box:/mem/x")
    assert program.run("exec", "box", "cat", "/vol/x", "/mem/x").stdout == "f\nf\n"


@pytest.mark.parametrize("running", [False, True])
def test_copy_goes_through_volumes_and_binds(program: Tierce, here: Path, running: bool) -> None:
    words = ("-v", "vol:/deep/vol", "-v", f"{here / 'out'}:/deep/vol/bind")
    box(program, running=running, words=words)
    cp(program, here, "file", "box:/deep/vol/file")
    cp(program, here, "dir", "box:/deep/vol/bind")
    assert (program.root / "volumes/vol/_data/file").read_text() == "f\n"
    assert (here / "out/dir/sub/deep").read_text() == "deep\n"
    cp(program, here, "box:/deep/vol/bind/dir/g", "back")
    assert (here / "back").read_text() == "g\n"
    if not running:
        assert program.run("diff", "box").stdout == ""


def test_tar_on_standard_input_is_unpacked_compressed_or_not(program: Tierce, here: Path) -> None:
    box(program, running=False)
    for kind, target in (("w", "/tmp"), ("w:gz", "/etc")):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode=kind) as tar:  # type: ignore[call-overload]
            tar.add(here / "dir", "dir")
        command = [str(PROGRAM), "--root", str(program.root), "cp", "-", f"box:{target}"]
        subprocess.run(command, check=True, input=archive.getvalue())
    assert seen(program, "cat /tmp/dir/sub/deep /etc/dir/g") == "deep\ng\n"
    found = program.run("cp", "-", "box:/nope", text="", status=1)
    assert 'destination "box:/nope" must be a directory' in found.stderr


@pytest.mark.parametrize("name", ["../../../out/escaped", "/out/escaped"])
def test_tar_on_standard_input_cannot_leave_the_container(
    program: Tierce, here: Path, name: str
) -> None:
    box(program, running=False)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(here / "out")
        tar.addfile(link)
        for each in (name, "way/escaped"):
            member = tarfile.TarInfo(each)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    command = [str(PROGRAM), "--root", str(program.root), "cp", "-", "box:/tmp"]
    subprocess.run(command, input=archive.getvalue(), stderr=subprocess.DEVNULL, check=False)
    assert list((here / "out").iterdir()) == []
    assert not Path("/out").exists()


def test_whiteout_in_a_tar_on_standard_input_deletes_nothing(program: Tierce, here: Path) -> None:
    box(program, running=False)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(".wh.passwd"))
    command = [str(PROGRAM), "--root", str(program.root), "cp", "-", "box:/etc"]
    done = subprocess.run(command, input=archive.getvalue(), capture_output=True, check=False)
    assert done.returncode == 1
    assert b"begin with .wh." in done.stderr
    assert seen(program, "ls /etc/passwd") == "/etc/passwd\n"


# Out


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("/etc/passwd", "out", "out/passwd"),
        ("/etc/passwd", "out/named", "out/named"),
        ("etc/passwd", "file", "file"),
        ("/etc", "out", "out/etc/passwd"),
        ("/etc", "out/new", "out/new/passwd"),
        ("/etc/", "out/new", "out/new/passwd"),
        ("/etc/.", "out/new", "out/new/passwd"),
        ("/etc/.", "out/new/", "out/new/passwd"),
        ("/etc/.", "out", "out/passwd"),
        ("/", "out/root", "out/root/etc/passwd"),
    ],
)
def test_copy_out_of_a_container_has_the_name_that_docker_gives_it(
    program: Tierce, here: Path, running: bool, source: str, target: str, name: str
) -> None:
    box(program, running=running)
    expected = program.run("run", "--rm", BASE, "cat", "/etc/passwd").stdout
    cp(program, here, f"box:{source}", target)
    assert (here / name).read_text() == expected
    status = (here / name).stat()
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("/none", ".", "Could not find the file /none in container box"),
        ("/etc/passwd", "no/x", '/no" does not exist'),
        ("/etc/passwd", "no/", "no such directory"),
        ("/etc", "file", "cannot copy directory"),
        ("/etc/passwd/", "x", "not a directory"),
        ("/etc/passwd", "/dev/null", "got a device"),
        ("", "x", "path cannot be empty"),
    ],
)
def test_copy_out_that_makes_no_sense_is_refused_in_docker_s_words(
    program: Tierce, here: Path, source: str, target: str, message: str
) -> None:
    box(program, running=False)
    found = cp(program, here, f"box:{source}", target, status=1 if source else 2)
    assert message in found
    assert sorted(path.name for path in here.iterdir()) == ["dir", "file", "ldir", "lfile", "out"]


def test_tar_of_a_file_and_of_a_directory_goes_to_standard_output(
    program: Tierce, here: Path
) -> None:
    box(program, running=False)
    cp(program, here, "dir", "box:/d")
    assert list(tar_of(program, "/d/g")) == ["g"]
    names = ["d", "d/g", "d/link", "d/sub", "d/sub/deep", "d/sub/hard"]
    assert list(tar_of(program, "/d")) == names
    assert tar_of(program, "/d")["d/sub/hard"].linkname == "d/g"
    assert "sub/deep" in {name.removeprefix("./") for name in tar_of(program, "/d/.")}


def test_link_of_a_container_is_copied_as_a_link_or_followed_inside(
    program: Tierce, here: Path
) -> None:
    (here / "secret").write_text("of the host")
    box(program, running=False)
    (here / "to-secret").symlink_to(here / "secret")
    cp(program, here, "to-secret", "box:/l")
    cp(program, here, "box:/l", "out")
    assert os.readlink(here / "out/l") == str(here / "secret")
    assert "Could not find the file" in cp(program, here, "-L", "box:/l", "out/m", status=1)
    (here / "to-passwd").symlink_to("/../../etc/passwd")
    cp(program, here, "to-passwd", "box:/p")
    cp(program, here, "-L", "box:/p", "out")
    expected = program.run("run", "--rm", BASE, "cat", "/etc/passwd").stdout
    assert (here / "out/p").read_text() == expected


def test_fifos_and_devices_are_copied_and_never_opened(program: Tierce, here: Path) -> None:
    """Reading a FIFO would wait for ever, and a device could be that of the machine's disk."""
    script = "mkdir /d; mkfifo /d/fifo; mknod /d/disk b 7 77; exec sleep 600"
    program.run("run", "-d", "--name", "box", BASE, "sh", "-c", script)
    members = tar_of(program, "/")
    while "d/disk" not in members:
        members = tar_of(program, "/")
    assert members["d/fifo"].isfifo()
    assert members["d/disk"].isblk()


def test_copy_between_containers_and_of_no_container_is_refused(
    program: Tierce, here: Path
) -> None:
    box(program, running=False)
    assert "between containers is not" in cp(program, here, "box:/a", "box:/b", status=2)
    assert "at least one container" in cp(program, here, "file", "other", status=2)
    assert "no such container: nope" in cp(program, here, "file", "nope:/x", status=1)
    (here / "a:b").write_text("colon\n")
    cp(program, here, "./a:b", "box:/x")
    assert seen(program, "cat /x") == "colon\n"


# Against a container that means ill


def test_copy_into_a_container_that_swaps_links_writes_nothing_outside(
    program: Tierce, here: Path
) -> None:
    """CVE-2018-15664: a directory of the path becomes a link while docker cp is at it."""
    outside = here / "out"
    script = (
        f"while :; do mkdir /d 2>/dev/null; rm -rf /d; ln -s {outside} /d; rm /d; "
        "ln -s ../../../../../../../../../../../.. /d; rm /d; done"
    )
    program.run("run", "-d", "--name", "box", BASE, "sh", "-c", script)
    for _ in range(25):
        program.start("cp", str(here / "dir"), "box:/d/inner").communicate()
        program.start("cp", str(here / "dir"), "box:/d").communicate()
    assert list(outside.iterdir()) == []
    assert not Path("/inner").exists()


def test_copy_out_of_a_container_that_swaps_links_reads_nothing_outside(
    program: Tierce, here: Path
) -> None:
    (here / "secrets").mkdir()
    (here / "secrets/key").write_text("SECRET")
    script = (
        "mkdir /x; while :; do mkdir -p /x/d; echo own > /x/d/key; mv /x/d /x/e; "
        f"ln -s {here / 'secrets'} /x/d; rm /x/d; rm -r /x/e; ln -s {here}/secrets/key /x/key; "
        "rm /x/key; done"
    )
    program.run("run", "-d", "--name", "box", BASE, "sh", "-c", script)
    for number in range(25):
        target = here / f"got{number}"
        program.start("cp", "-L", "box:/x", str(target)).communicate()
        program.start("cp", "-L", "box:/x/key", str(here / "key")).communicate()
        program.start("cp", "-L", "box:/x/d/key", str(here / "key2")).communicate()
        for path in [*here.glob("got*/**/*"), here / "key", here / "key2"]:
            if path.is_file() and not path.is_symlink():
                assert "SECRET" not in path.read_text()


def test_proc_of_a_container_leads_nowhere(program: Tierce, here: Path) -> None:
    """Magic links lead by what they stand for, not by their text."""
    box(program, running=True)
    for path in ("/proc/self/root/etc/hostname", "/proc/1/cwd/etc", "/proc/self/fd/0"):
        cp(program, here, f"box:{path}", "out/x", status=1)
    assert list((here / "out").iterdir()) == []


def test_copies_at_once_into_a_container_that_does_not_run_are_all_there(
    program: Tierce, here: Path
) -> None:
    box(program, running=False)
    threads = [
        threading.Thread(target=cp, args=(program, here, "file", f"box:/f{number}"))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen(program, "ls -d /f0 /f1 /f2 /f3 | wc -l") == "4\n"


def test_command_that_is_killed_leaves_nothing_that_lasts(program: Tierce, here: Path) -> None:
    """With the container mounted, as it waits for the tar on its standard input."""
    box(program, running=False, words=("-v", "/deep/place", "-v", f"{here}:/bound:ro"))
    process = program.start("cp", "-", "box:/tmp", stdin=subprocess.PIPE)
    with Store.open(program.root) as store:
        points = Path(store.paths.mounts)
    while not has_mounted(process.pid, points):
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert mounts_in_any_namespace(program.root) == []
    cp(program, here, "file", "box:/tmp/after")
    assert list(points.iterdir()) == []
    assert seen(program, "cat /tmp/after") == "f\n"
