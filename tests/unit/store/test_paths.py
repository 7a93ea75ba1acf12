import os
from pathlib import Path

import pytest

from tierce.errors import StoreError
from tierce.store import Store
from tierce.store.paths import default_root, default_run


def test_root_is_the_variable_else_the_system_else_the_user() -> None:
    home = {"HOME": "/home/me"}
    assert default_root({"TIERCE_ROOT": "/srv/t"}, privileged=True) == "/srv/t"
    assert default_root({}, privileged=True) == "/var/lib/tierce"
    assert default_root(home, privileged=False) == "/home/me/.local/share/tierce"
    data = {"XDG_DATA_HOME": "/data"}
    assert default_root(data, privileged=False) == "/data/tierce"
    relative = home | {"XDG_DATA_HOME": "data"}
    assert default_root(relative, privileged=False) == "/home/me/.local/share/tierce"


def test_relative_root_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open(Path("store"), tmp_path / "run") as store:
        assert store.paths.root == tmp_path / "store"


def test_run_directory_is_one_per_store_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "alias").symlink_to("a")
    environ = {"XDG_RUNTIME_DIR": "/run/user/1000"}
    run = default_run(f"{tmp_path}/a", environ, privileged=False)
    assert os.path.dirname(run) == "/run/user/1000/tierce"
    assert run == default_run(f"{tmp_path}/alias", environ, privileged=False)
    assert run != default_run(f"{tmp_path}/b", environ, privileged=False)
    system = default_run(f"{tmp_path}/a", {}, privileged=True)
    assert os.path.dirname(system) == "/run/tierce"
    assert default_run(f"{tmp_path}/a", {}, privileged=False) == f"{tmp_path}/a/run"


def test_content_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Store.open(tmp_path / "store", tmp_path / "run") as store:
            assert store.paths.root.stat().st_mode & 0o777 == 0o711
            for directory in store.paths.root.iterdir():
                if directory.is_dir():
                    assert directory.stat().st_mode & 0o777 == 0o700, directory
                else:
                    assert directory.stat().st_mode & 0o077 == 0, directory
    finally:
        os.umask(old)


def test_root_that_overlayfs_cannot_name_is_refused(tmp_path: Path) -> None:
    for name in ("a:b", "a,b", "a\\b"):
        with pytest.raises(StoreError, match="must not contain"):
            Store.open(tmp_path / name, tmp_path / "run")
        assert not (tmp_path / name).exists()


def test_store_that_lost_an_empty_directory_gets_it_back(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", tmp_path / "run") as store:
        os.rmdir(store.paths.bundles)
    with Store.open(tmp_path / "store", tmp_path / "run") as store:
        assert os.path.isdir(store.paths.bundles)


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", tmp_path / "run") as store:
        digest = store.blobs.put_bytes(b"content")
    with Store.open(tmp_path / "store", tmp_path / "run") as store:
        assert store.blobs.read(digest) == b"content"
    store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another user")
@pytest.mark.parametrize("prepared", ["tierce", "tierce/run", "tierce/run/bundles"])
def test_run_directories_that_others_have_prepared_are_refused(
    tmp_path: Path, prepared: str
) -> None:
    (tmp_path / "tierce/run/bundles").mkdir(parents=True)
    os.chown(tmp_path / prepared, 65534, 65534)
    with pytest.raises(StoreError, match="belongs to another user"):
        Store.open(tmp_path / "store", tmp_path / "tierce/run")


def test_run_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to("elsewhere")
    with pytest.raises(StoreError, match="not a directory"):
        Store.open(tmp_path / "store", tmp_path / "run")
    assert os.listdir(tmp_path / "elsewhere") == []
