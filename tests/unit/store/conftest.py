"""Stores in unusual places, and things to put into them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.store import Store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def small_store(small_disk: Path, tmp_path: Path) -> Iterator[Store]:
    """A store on a file system of 2 MiB."""
    with Store.open(small_disk / "store", tmp_path / "run") as store:
        yield store
