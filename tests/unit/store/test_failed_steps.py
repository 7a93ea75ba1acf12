"""Failed steps: what is kept, for how long, and that it survives a collection."""

import sqlite3
from pathlib import Path

import pytest

from support.layers import add_snapshot
from tierce.errors import InvalidValue
from tierce.store import Store
from tierce.store.failed_steps import (
    KEPT,
    BindFiles,
    CacheFiles,
    FailedStep,
    MemoryFiles,
    StepProcess,
)
from tierce.store.prune import prune_failed_steps
from tierce.store.schema import MIGRATIONS, VERSION
from tierce.store.trash import disk_usage
from tierce.store.usage import disk_usage_of

PROCESS = StepProcess(
    args=("/bin/sh", "-c", "make \udcff"),
    shell=("/bin/sh",),
    env=("A=1", "B=ü"),
    cwd="/src",
    user="1000:1000",
    network="none",
    hosts=(("db", "10.0.0.1"),),
    security="insecure",
    mounts=(
        BindFiles("/mnt", None, "/sub", read_only=False),
        CacheFiles("/cache", "id", "/file", "locked", mode=0o700, uid=1, gid=2),
        MemoryFiles("/tmp", 1 << 20),
    ),
)


def keep(store: Store, build: str = "build", process: StepProcess = PROCESS) -> FailedStep:
    snapshot = add_snapshot(store, None, {"file": b"left"})
    return store.failed_steps.add(build, "[2/2] RUN make", snapshot.id, process)


def test_a_step_is_found_by_the_beginning_of_its_id_with_all_it_was_given(store: Store) -> None:
    step = keep(store)
    assert len(step.short) == 12
    assert store.failed_steps.find(step.short) == step
    assert store.failed_steps.process(step) == PROCESS
    for text in ("", "nothing", "not-hex", step.short + "zz"):
        assert store.failed_steps.find(text) is None


def test_a_beginning_of_several_ids_is_refused(store: Store) -> None:
    for _ in range(KEPT):
        keep(store)
    with store.database.transaction():
        for number, step in enumerate(store.failed_steps.list()):
            store.database.execute(
                "UPDATE failed_steps SET id = ? WHERE id = ?", (f"abc{number}", step.id)
            )
    with pytest.raises(InvalidValue, match="several ids begin so"):
        store.failed_steps.find("abc")


def test_what_a_failed_step_needs_survives_a_collection(store: Store) -> None:
    shown = add_snapshot(store, None, {"shown": b"to the step"})
    step = keep(store, process=StepProcess(mounts=(BindFiles("/mnt", shown.id),)))
    store.collect()
    assert store.snapshots.exists(step.snapshot)
    assert store.snapshots.exists(shown.id)
    store.failed_steps.remove(step.id)
    store.collect()
    assert store.snapshots.list() == []


def test_the_next_success_of_a_build_drops_its_failed_steps_and_no_others(store: Store) -> None:
    keep(store, "one")
    other = keep(store, "two")
    assert store.failed_steps.succeeded("one") == 1
    assert store.failed_steps.list() == [other]


def test_only_the_newest_are_kept(store: Store) -> None:
    steps = [keep(store) for _ in range(KEPT + 2)]
    assert list(store.failed_steps.list()) == steps[:1:-1]


def test_prune_takes_those_that_are_accepted(store: Store) -> None:
    first, second = keep(store), keep(store)
    assert prune_failed_steps(store, accept=lambda step: step == first) == [first]
    assert store.failed_steps.list() == [second]


def test_files_of_failed_steps_are_counted_as_build_cache(store: Store) -> None:
    before = disk_usage_of(store).build_cache.size
    step = keep(store)
    store.snapshots.unpack(step.snapshot)
    size = disk_usage(store.paths.snapshot(step.snapshot))
    assert size > 0
    assert disk_usage_of(store).build_cache.size >= before + size


def test_a_store_of_the_first_version_gets_the_new_tables(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", tmp_path / "run") as store:
        add_snapshot(store, None, {"file": b"old"})
        database = store.paths.database
    with sqlite3.connect(database) as old:
        later = ("volume_uses", "volumes")
        for table in (*later, "failed_step_inputs", "failed_steps", "image_parents"):
            old.execute(f"DROP TABLE {table}")
        old.execute("ALTER TABLE cache_mounts DROP COLUMN uses")
        old.execute("PRAGMA user_version=1")
    old.close()
    with Store.open(tmp_path / "store", tmp_path / "run") as store:
        assert store.database.one("PRAGMA user_version") == (VERSION,)
        assert len(MIGRATIONS) == VERSION
        step = keep(store)
        assert store.failed_steps.list() == [step]
        assert len(store.snapshots.list()) == 2
