"""Which ids a user may have in a user namespace of its own."""

import os
import pwd
from pathlib import Path

import pytest

from tierce.linux import userns

SELF = pwd.getpwuid(os.getuid())


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's files of subordinate ids, and its programs, are the test's."""
    monkeypatch.setattr(userns, "SUBUID", str(tmp_path / "subuid"))
    monkeypatch.setattr(userns, "SUBGID", str(tmp_path / "subgid"))
    monkeypatch.setattr(userns, "_DIRECTORIES", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("newuidmap", "newgidmap"):
        (tmp_path / name).touch(0o755)
    return tmp_path


def ranges() -> userns.Ranges:
    return userns.ranges_of(SELF.pw_uid, SELF.pw_gid)


def test_root_inside_is_the_user_and_the_others_are_subordinate(files: Path) -> None:
    (files / "subuid").write_text(f"other:1:5\n{SELF.pw_name}:100000:65536\n")
    (files / "subgid").write_text(f"{SELF.pw_uid}:200000:10\n{SELF.pw_name}:300000:20\n")
    found = ranges()
    assert found.uids == ((0, SELF.pw_uid, 1), (1, 100000, 65536))
    assert found.gids == ((0, SELF.pw_gid, 1), (1, 200000, 10), (11, 300000, 20))
    assert not found.is_single


@pytest.mark.parametrize("line", ["", "x:1:2", "{0}:a:5", "{0}:5", "{0}:1:0", "{0}:1:2:3"])
def test_without_a_range_there_is_one_id_and_the_reason(files: Path, line: str) -> None:
    (files / "subuid").write_text(line.format(SELF.pw_name))
    (files / "subgid").write_text(f"{SELF.pw_name}:100000:65536\n")
    found = ranges()
    assert found.uids == ((0, SELF.pw_uid, 1),)
    assert f"has no ids for {SELF.pw_name}" in found.reason
    assert "--add-subuids" in found.reason


def test_without_newuidmap_its_package_is_named(files: Path) -> None:
    (files / "newuidmap").unlink()
    assert ranges().reason == "newuidmap: not installed (apt-get install uidmap)"


def test_switch_that_forbids_namespaces_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = tmp_path / "max_user_namespaces"
    monkeypatch.setattr(userns, "_SWITCHES", ((str(switch), "0", "sysctl it=1"),))
    assert not userns.forbidden()
    switch.write_text("0\n")
    assert userns.forbidden()
    assert userns.how_to_allow() == "root allows it by: sysctl it=1"
