import shutil
import threading
from pathlib import Path

import pytest

from tierce.store import Store


def test_directory_is_made_once_with_mode_and_owner(store: Store) -> None:
    path = store.cache_mounts.directory("apt", mode=0o1777, uid=5, gid=6)
    status = path.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1777, 5, 6)
    (path / "file").write_text("kept")
    assert store.cache_mounts.directory("apt", mode=0o700) == path
    assert (path / "file").read_text() == "kept"
    assert store.cache_mounts.directory("other") != path
    assert [mount.name for mount in store.cache_mounts.list()] == ["apt", "other"]


def test_new_directory_is_filled_before_anybody_sees_it(store: Store) -> None:
    barrier = threading.Barrier(4)
    filled: list[Path] = []
    seen: list[str] = []

    def fill(path: Path) -> None:
        filled.append(path)
        (path / "file").write_text("filled")

    def use() -> None:
        barrier.wait()
        path = store.cache_mounts.directory("apt", initialise=fill)
        seen.append((path / "file").read_text())

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled) == 1
    assert seen == ["filled"] * 4


def test_cache_that_could_not_be_filled_does_not_exist(store: Store) -> None:
    def fail(path: Path) -> None:
        (path / "half").write_text("")
        raise KeyError

    with pytest.raises(KeyError):
        store.cache_mounts.directory("apt", initialise=fail)
    assert store.cache_mounts.list() == []
    assert list(store.paths.cache_mounts.iterdir()) == []
    assert list(store.cache_mounts.directory("apt").iterdir()) == []


def test_lost_directory_is_made_again(store: Store) -> None:
    shutil.rmtree(store.cache_mounts.directory("apt"))
    assert store.cache_mounts.directory("apt").is_dir()
    assert len(store.cache_mounts.list()) == 1


def test_name_of_a_cache_is_never_a_path(store: Store) -> None:
    path = store.cache_mounts.directory("../../escape")
    assert path.parent == store.paths.cache_mounts
    assert store.cache_mounts.remove("../../escape")
    assert not store.cache_mounts.remove("../../escape")
