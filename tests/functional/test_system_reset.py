"""`tierce system reset` removes a store wholly, and nothing that is none."""

import os
import select
from pathlib import Path

import pytest

from support.program import BASE, Tierce, write_context
from support.users import Rootless, has_subordinate_ids, made_user


def test_store_goes_with_all_that_is_in_it_and_runs(tierce: Tierce) -> None:
    words = ("run", "-d", "--network", "none", "-v", "kept:/v", BASE, "sleep", "1000")
    identifier = tierce.run(*words).stdout.strip()
    process = tierce.run("inspect", "--format", "{{.State.Pid}}", identifier).stdout
    ended = os.pidfd_open(int(process))
    run_directory = Path(tierce.run("info", "--format", "{{.RunDir}}").stdout.strip())
    done = tierce.run("system", "reset", "-f")
    try:
        assert done.stdout.startswith("Total reclaimed space: ")
        assert select.select([ended], [], [], 0)[0]
        assert not tierce.root.exists()
        assert not run_directory.exists()
    finally:
        os.close(ended)


def test_nothing_goes_before_it_is_confirmed(tierce: Tierce) -> None:
    done = tierce.run("system", "reset", text="n\n")
    assert f"WARNING! This will remove the store {tierce.root}:" in done.stderr
    assert BASE in tierce.run("images").stdout


def test_directory_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/mine").write_text("1")
    done = Tierce(tmp_path).run("system", "reset", "-f", status=1)
    assert f"reset store {tmp_path}: it is not a store of tierce" in done.stderr
    assert (tmp_path / "blobs/mine").exists()
    missing = Tierce(tmp_path / "missing").run("system", "reset", "-f", status=1)
    assert "there is none" in missing.stderr
    assert not (tmp_path / "missing").exists()


def test_files_that_are_not_of_the_store_stay(tierce: Tierce) -> None:
    (tierce.root / "mine").write_text("1")
    done = tierce.run("system", "reset", "-f")
    assert f"left in {tierce.root}, as not of the store: mine" in done.stderr
    assert os.listdir(tierce.root) == ["mine"]


def test_store_that_somebody_works_on_stays(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "c", f"FROM {BASE}\nRUN echo begun && sleep 1000\n")
    with tierce.running("build", "--progress", "plain", str(context)) as build:
        assert build.stderr is not None
        while not build.stderr.readline().rstrip().endswith(" begun"):
            assert build.poll() is None
        done = tierce.run("system", "reset", "-f", status=1)
        assert f"process {build.pid} works on it (build" in done.stderr
        build.terminate()
    assert BASE in tierce.run("images").stdout


def test_damaged_store_goes_too(tierce: Tierce) -> None:
    with (tierce.root / "tierce.db").open("r+b") as database:
        database.write(b"no database at all")
    tierce.run("system", "reset", "-f")
    assert not tierce.root.exists()


@pytest.mark.skipif(not has_subordinate_ids(), reason="newuidmap is missing (package uidmap)")
def test_files_of_subordinate_ids_go_with_the_store_of_a_user(base_archive: Path) -> None:
    with made_user() as user, Rootless(user) as program:
        program.run("load", "-q", "-i", str(program.give(base_archive, "bases.tar")))
        words = ("run", "-d", "--network", "none", BASE, "sh", "-c", "chown 5 /data; sleep 1000")
        program.run(*words)
        owners = {path.lstat().st_uid for path in program.root.rglob("*")}
        assert owners - {user.uid}
        program.run("system", "reset", "-f")
        assert not program.root.exists()
