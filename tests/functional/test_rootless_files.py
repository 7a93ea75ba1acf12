"""Volumes and files of the containers of an ordinary user."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE
from support.users import Rootless, has_subordinate_ids, made_user

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="makes users, which needs root"),
    pytest.mark.skipif(not has_subordinate_ids(), reason="newuidmap is missing (package uidmap)"),
]


@pytest.fixture(scope="module")
def program(base_archive: Path) -> Iterator[Rootless]:
    with made_user() as user, Rootless(user) as made:
        made.run("load", "-q", "-i", str(made.give(base_archive, "bases.tar")))
        yield made


def test_volume_of_an_ordinary_user_is_filled_and_kept(program: Rootless) -> None:
    found = program.run("run", "--rm", "-v", "data:/etc", BASE, "sh", "-c", "echo x > /etc/own")
    assert found.stdout == ""
    script = "cat /d/own; stat -c '%u:%g' /d/passwd /d"
    found = program.run("run", "--rm", "-v", "data:/d:ro", BASE, "sh", "-c", script)
    assert found.stdout == "x\n0:0\n0:0\n"
    program.run("volume", "rm", "data")


def test_files_of_an_ordinary_user_are_copied_compared_and_committed(
    program: Rootless, tmp_path: Path
) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/file").write_text("copied\n")
    source = program.give(tmp_path / "dir", "dir")
    program.run("run", "--name", "box", "-v", "/anon", BASE, "sh", "-c", "rm /etc/group; echo > /n")
    program.run("cp", str(source), "box:/got")
    assert program.run("diff", "box").stdout.splitlines() == [
        "C /etc",
        "D /etc/group",
        "A /got",
        "A /got/file",
        "A /n",
    ]
    program.run("commit", "box", "made")
    assert program.run("run", "--rm", "made", "cat", "/got/file").stdout == "copied\n"
    program.run("cp", "box:/got/file", f"{source}/back")
    assert (source / "back").read_text() == "copied\n"
    program.run("export", "-o", f"{source}/box.tar", "box")
    program.run("rm", "-v", "box")
    program.run("rmi", "made")


def test_files_go_into_a_container_of_an_ordinary_user_that_runs(
    program: Rootless, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("copied\n")
    source = program.give(tmp_path / "file", "running")
    program.run("run", "-d", "--name", "box", "-v", "vol:/vol", BASE, "sleep", "600")
    program.run("cp", str(source), "box:/vol/file")
    assert program.run("exec", "box", "cat", "/vol/file").stdout == "copied\n"
    program.run("rm", "-f", "-v", "box")
    program.run("volume", "rm", "vol")
