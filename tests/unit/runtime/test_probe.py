"""The choice of a runtime, and when it is made again."""

import os
from pathlib import Path

import pytest

from tierce.errors import RuntimeUnavailable, UsageError
from tierce.runtime import bundle, probe, unprivileged
from tierce.runtime.runtimes import Runtime
from tierce.store.paths import Paths

REFUSES = '#!/bin/sh\ncase "$*" in *--version*) echo x version 0.1;; *) echo not here >&2;; esac\n'


@pytest.fixture
def store_paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "root", tmp_path / "run")
    paths.create()
    paths.create_run()
    return paths


def program(directory: Path, content: str) -> str:
    path = directory / "crun"
    path.write_text(content)
    path.chmod(0o755)
    return os.fspath(path)


def test_choice_works_and_is_remembered(
    store_paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = probe.choose_runtime(store_paths)
    assert runtime.name in probe.CANDIDATES
    assert runtime.version[0].isdigit()

    def again(*_: object) -> Runtime:
        raise AssertionError("probed again")

    monkeypatch.setattr(probe, "_first_that_works", again)
    assert probe.choose_runtime(store_paths) == runtime


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"fingerprint": [], "runtime": {}}'])
def test_damaged_memory_is_made_anew(store_paths: Paths, damage: str) -> None:
    store_paths.runtime.write_text(damage)
    runtime = probe.choose_runtime(store_paths)
    assert probe.choose_runtime(store_paths) == runtime


def test_no_runtime_at_all_says_what_to_install(
    store_paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setattr(probe, "_SYSTEM_DIRECTORIES", "")
    with pytest.raises(RuntimeUnavailable, match="no crun or runc in PATH") as raised:
        probe.choose_runtime(store_paths)
    assert "apt-get install crun" in raised.value.hint


def test_runtime_that_refuses_is_passed_over_and_its_reason_told(
    store_paths: Paths, tmp_path: Path
) -> None:
    found = {"crun": program(tmp_path, REFUSES)}
    with pytest.raises(RuntimeUnavailable) as raised:
        probe._first_that_works(found, store_paths.bundles)
    refusals = "crun: create a container: not here; runc is not installed"
    assert raised.value.message == f"use an OCI runtime: {refusals}"
    if "runc" in (installed := probe._programs(os.environ["PATH"])):
        chosen = probe._first_that_works(found | {"runc": installed["runc"]}, store_paths.bundles)
        assert (chosen.name, chosen.reason) == ("runc", "crun: create a container: not here")


def test_another_program_is_probed_again(store_paths: Paths) -> None:
    known = probe._fingerprint(probe._programs(os.environ["PATH"]), unprivileged.detect())
    probe._remember(str(store_paths.runtime), known, Runtime("old", "/old", "0", ""))
    assert probe.choose_runtime(store_paths).name == "old"
    known[2] = []
    probe._remember(str(store_paths.runtime), known, Runtime("old", "/old", "0", ""))
    assert probe.choose_runtime(store_paths).name != "old"


def test_filter_that_the_runtime_does_not_take_is_not_used(
    store_paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that ignored it would start containers without one, or that do nothing."""
    programs = probe._programs(os.environ["PATH"])
    if "crun" not in programs:
        pytest.skip("crun is not installed")
    monkeypatch.setattr(bundle, "_SECCOMP_FILTER", "unknown.annotation")
    runtime = probe._try("crun", programs["crun"], store_paths.bundles)
    assert runtime.seccomp_filter == ""


def test_runtime_that_is_asked_for_is_used_and_remembered_beside_the_usual_one(
    store_paths: Paths,
) -> None:
    programs = probe._programs(os.environ["PATH"])
    for name in programs:
        assert probe.choose_runtime(store_paths, name).name == name
    assert probe.choose_runtime(store_paths).name == next(iter(programs))
    assert Path(f"{store_paths.runtime}-{next(iter(programs))}").exists()


@pytest.mark.parametrize("name", ["kata", "../crun", "/usr/bin/crun"])
def test_runtime_that_is_not_known_is_refused(store_paths: Paths, name: str) -> None:
    with pytest.raises(UsageError, match="unknown or invalid runtime name"):
        probe.choose_runtime(store_paths, name)
