"""A store of the test's own, and the command line on it."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli import Cli
from support.golden import base
from support.program import Tierce
from tierce.cli.main import main
from tierce.oci.platform import Platform
from tierce.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where `cli` has its store, which need not be there yet."""
    return tmp_path / "root"


@pytest.fixture
def cli_store(root: Path) -> Iterator[Store]:
    """The store of `cli`, opened beside it."""
    with Store.open(root) as store:
        yield store


@pytest.fixture
def cli(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    """Runs commands in this process, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    def run(*words: str, status: int = 0) -> str:
        found = main(["--root", str(root), *words])
        captured = capsys.readouterr()
        assert found == status, captured.err
        return captured.out + captured.err

    yield run
    if root.exists():
        with Store.open(root) as store:
            run_directory = store.paths.run
        shutil.rmtree(run_directory)


@pytest.fixture(scope="session")
def base_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images that builds start from, as an archive for `tierce load`."""
    directory = tmp_path_factory.mktemp("bases")
    base.write_base_layout(directory / "layout", Platform.host().architecture)
    archive = directory / "bases.tar"
    subprocess.run(["tar", "-C", directory / "layout", "-cf", archive, "."], check=True)
    return archive


@pytest.fixture(scope="session")
def stocked_root(tmp_path_factory: pytest.TempPathFactory, base_archive: Path) -> Path:
    """A store with the images that builds start from; to be copied, not to be used."""
    root = tmp_path_factory.mktemp("stocked") / "root"
    with Tierce(root) as program:
        program.run("load", "-q", "-i", str(base_archive))
    return root


@pytest.fixture
def tierce(tmp_path: Path, stocked_root: Path) -> Iterator[Tierce]:
    """The program on a store of the test's own, with the images that builds start from."""
    root = tmp_path / "root"
    shutil.copytree(stocked_root, root, symlinks=True)
    with Tierce(root) as program:
        yield program


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stocked_root: Path) -> Iterator[Tierce]:
    """As `tierce`, on one store for all tests of a module, which use each other's cache."""
    root = tmp_path_factory.mktemp("shared") / "root"
    shutil.copytree(stocked_root, root, symlinks=True)
    with Tierce(root) as program:
        yield program
