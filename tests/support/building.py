"""Builds without a solver: what one does to a store, checked at every step."""

import hashlib
import os
import random

from support.layers import add_snapshot, put_image
from tierce.oci.reference import Reference
from tierce.store import Store
from tierce.store.snapshots import Snapshot


def build_some(store: Store, name: str, times: int) -> None:
    """Builds of a few steps each; builds of the same name find each other's records.

    Raises AssertionError when anything that was made or found is not there afterwards.
    """
    for time in range(times):
        with store.leases.take(f"build {name}"):
            _build(store, name, time)


def _build(store: Store, name: str, time: int) -> None:
    parent: Snapshot | None = None
    for step in range(4):
        key = hashlib.sha256(f"{name} {time // 3} {step}".encode()).hexdigest()
        with store.lock(f"step {key}"):
            record = store.records.find([key])
            if record is not None:
                assert record.snapshot is not None
                parent = store.snapshots.get(record.snapshot)
            elif step == 2:
                parent = _run(store, parent, key)
                store.records.add([key], parent.id, f"{name} {step}")
            else:
                content = random.Random(key).randbytes(2000 * step)
                parent = add_snapshot(store, parent, {f"step{step}": content})
                store.records.add([key, f"near {name} {step}"], parent.id, f"{name} {step}")
        _check(store, parent, step)
    assert parent is not None
    cache = store.cache_mounts.directory(name)
    (cache / f"{os.getpid()}").write_text("kept")
    store.snapshots.finish([parent.id])
    diff_ids = [layer.diff_id for layer in store.snapshots.chain(parent.id)]
    image = put_image(store, [each for each in diff_ids if each is not None], author=name)
    store.images.tag(Reference.parse(f"{name}:latest"), image.manifest)
    assert store.images.config(image).author == name
    for layer in store.snapshots.chain(parent.id):
        assert layer.diff_id is not None
        with store.layers.open_tar(layer.diff_id) as tar:
            while tar.read(1 << 20):
                pass
    assert (cache / f"{os.getpid()}").exists()


def _run(store: Store, parent: Snapshot | None, key: str) -> Snapshot:
    """What a RUN step leaves, without mounting anything."""
    active = store.snapshots.prepare(None if parent is None else parent.id)
    upper = store.snapshots.directories(active).upper
    (upper / "run").write_text(key)
    return store.snapshots.commit(active)


def _check(store: Store, snapshot: Snapshot, step: int) -> None:
    names = {entry.path for entry in store.snapshots.view(snapshot.id).walk()}
    assert names >= {"run" if number == 2 else f"step{number}" for number in range(step + 1)}
