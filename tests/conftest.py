"""Fixtures for all tests, and the guard that no test leaves anything behind on the machine."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support import leftovers

# Found examples belong into tests by name, not into a directory that root writes in the work tree.
settings.register_profile("tierce", database=None, deadline=None)
settings.load_profile("tierce")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """An opened, empty store in the test's own directory."""
    from tierce.store import Store

    with Store.open(tmp_path / "store", tmp_path / "run") as opened:
        yield opened


@pytest.fixture(autouse=True, scope="session")
def _nothing_survives_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails when processes or cgroups of a test outlive all tests, wherever they hide.

    Every process a test starts inherits the mark, unless it is inside a container; those are
    known by their mounts, which lie below the base directory of this run's temporary files.
    """
    base = tmp_path_factory.getbasetemp()
    os.environ[leftovers.MARK] = str(base)
    cgroups = leftovers.tierce_cgroups()
    yield
    del os.environ[leftovers.MARK]
    left = leftovers.marked_processes(base) + leftovers.overlays_in_any_namespace(base)
    left += sorted(leftovers.tierce_cgroups() - cgroups)
    assert not left, "left behind by the tests:\n" + "\n".join(left)


@pytest.fixture(autouse=True)
def _nothing_survives_the_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails the test that leaves a mount or a child process; cheap enough for each (0.2 ms)."""
    base = tmp_path_factory.getbasetemp()
    before = set(leftovers.mounts_below(base)) | set(leftovers.children())
    yield
    after = leftovers.mounts_below(base) + leftovers.children()
    left = [line for line in after if line not in before]
    assert not left, "left behind by this test:\n" + "\n".join(left)
