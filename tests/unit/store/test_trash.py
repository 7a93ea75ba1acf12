import os
from pathlib import Path

import pytest

from tierce.store import Store
from tierce.store.trash import disk_usage, remove_tree


def test_thrown_things_are_out_of_their_place_and_freed_later(store: Store) -> None:
    victim = store.paths.root / "victim"
    (victim / "deep").mkdir(parents=True)
    (victim / "deep/file").write_bytes(bytes(100_000))
    size = disk_usage(victim)
    assert store.trash.throw(victim)
    assert not victim.exists()
    assert not store.trash.throw(victim)
    assert store.trash.empty() == size
    assert os.listdir(store.paths.trash) == []


def test_symlink_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to("../kept")
    (tmp_path / "link").symlink_to("kept")
    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "tree")
    remove_tree(tmp_path / "absent")
    assert sorted(os.listdir(tmp_path)) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_directories_without_permissions_are_removed_by_an_ordinary_user(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    pid = os.fork()
    if not pid:
        try:
            os.chdir(tmp_path)
            os.setuid(65534)
            os.makedirs("tree/a/b/c")
            Path("tree/a/b/file").write_text("")
            for path in ("tree/a/b", "tree/a"):
                os.chmod(path, 0)
            remove_tree(Path("tree"))
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.listdir(tmp_path) == []


def test_disk_usage_counts_hard_links_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(50_000))
    once = disk_usage(tmp_path)
    os.link(tmp_path / "file", tmp_path / "link")
    (tmp_path / "symlink").symlink_to("/")
    assert disk_usage(tmp_path) == once
    assert disk_usage(tmp_path / "absent") == 0
