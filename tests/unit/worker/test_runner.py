import os
from pathlib import Path
from typing import Any

import pytest

from tierce.runtime.launcher import Launcher
from tierce.store import Store
from tierce.worker.runner import Runner


def test_runner_without_steps_loads_nothing_that_runs_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("an ExecRunner was made")

    monkeypatch.setattr("tierce.worker.ExecRunner", fail, raising=False)
    monkeypatch.setattr("tierce.runtime.sweep", fail, raising=False)
    with Runner(store, set()):
        pass


def test_runner_clears_up_after_a_killed_one_even_if_it_runs_no_step(store: Store) -> None:
    left = Path(store.paths.bundles) / "0123456789ab"
    left.mkdir()
    (left / "lock").touch()
    with Launcher(store.paths.bundles), Runner(store, set()):
        names = os.listdir(store.paths.bundles)
        assert left.name not in names
        assert len(names) == 1
