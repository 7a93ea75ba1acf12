"""A store of the test's own, and the command line on it."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli import Cli
from tierce.cli.main import main
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
