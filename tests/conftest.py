"""Fixtures for all tests, and the guard that no test leaves anything behind on the machine."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from support import leftovers
from tierce.store import Store

# Found examples belong into tests by name, not into a directory that root writes in the work tree.
set_hypothesis_home_dir(Path(tempfile.gettempdir(), "tierce-hypothesis"))
settings.register_profile("tierce", database=None, deadline=None)
settings.load_profile("tierce")

ENDING_SECONDS = 2
"""What is just ending when all tests are over, here or in another run of them, may take so long."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An opened, empty store in the test's own directory."""
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
    os.environ["TIERCE_ROOT"] = str(base / "store")  # never the store of who runs the tests
    os.environ["TIERCE_OFFLINE"] = "1"  # what needs a registry has one of its own
    session = leftovers.Session(base)
    yield
    del os.environ[leftovers.MARK], os.environ["TIERCE_ROOT"], os.environ["TIERCE_OFFLINE"]
    deadline = time.monotonic() + ENDING_SECONDS
    while left := session.left():
        assert time.monotonic() < deadline, "left behind by the tests:\n" + "\n".join(left)
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def _nothing_survives_the_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails the test that leaves a mount or a child process; cheap enough for each (0.2 ms)."""
    base = tmp_path_factory.getbasetemp()
    before = set(leftovers.mounts_below(base)) | set(leftovers.children())
    yield
    after = leftovers.mounts_below(base) + leftovers.children()
    left = [line for line in after if line not in before]
    assert not left, "left behind by this test:\n" + "\n".join(left)
