"""What is remembered of containers, and clearing up after a killed tierce."""

import os

from support.images import add_image
from tierce.containers.state import EXITED, RUNNING, ContainerState
from tierce.containers.sweep import remove, sweep
from tierce.runtime.launcher import Launcher
from tierce.store import Store


def test_state_comes_back_as_it_was() -> None:
    state = ContainerState(
        status=EXITED,
        exit_code=3,
        args=("sh", "-c", "true"),
        env=("A=1",),
        binds=(("/a", "/b", True, ("rslave",)),),
        labels=(("k", "v"),),
    )
    assert ContainerState.decode(state.encode()) == state


def test_what_is_as_by_default_is_not_stored() -> None:
    assert ContainerState().encode() == "{}"


def test_fields_of_a_newer_version_are_left_out() -> None:
    assert ContainerState.decode('{"status":"running","later":[1]}').status == RUNNING


def add(store: Store, name: str, *, launcher: str, remove: bool) -> None:
    image = store.images.find("app") or add_image(store, "app")
    with store.leases.ensure("test"):
        active = store.snapshots.prepare(None)
        store.containers.add(
            name.encode().hex().ljust(64, "0"),
            name,
            image=str(image.config),
            snapshot=active.id,
            state=ContainerState(status=RUNNING, launcher=launcher, remove=remove).encode(),
            running=True,
        )


def test_containers_of_a_dead_launcher_end_and_those_of_a_living_one_do_not(store: Store) -> None:
    with Launcher(store.paths.bundles) as launcher:
        add(store, "alive", launcher=launcher.name, remove=True)
        add(store, "kept", launcher="0123456789ab", remove=False)
        add(store, "removed", launcher="0123456789ab", remove=True)
        snapshots = len(os.listdir(store.paths.snapshots))
        sweep(store)
        states = {
            row.name: (row.running, ContainerState.decode(row.state).status)
            for row in store.containers.list()
        }
        assert states == {"alive": (True, RUNNING), "kept": (False, EXITED)}
        assert len(os.listdir(store.paths.snapshots)) == snapshots - 1
    sweep(store)
    assert [row.name for row in store.containers.list()] == ["kept"]


def test_removing_twice_is_as_good_as_once(store: Store) -> None:
    add(store, "removed", launcher="0123456789ab", remove=True)
    [row] = store.containers.list()
    remove(store, row)
    remove(store, row)
    assert store.containers.list() == []
