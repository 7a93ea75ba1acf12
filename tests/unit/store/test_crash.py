"""Processes killed at any instant leave a store that works."""

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.building import build_some
from support.layers import add_snapshot
from tierce.store import Store
from tierce.store.check import check
from tierce.store.prune import prune_images, prune_records

WORKER = """
import sys
from pathlib import Path
from support.building import build_some
from tierce.store import Store
from tierce.store.prune import prune_images, prune_records

print("ready", flush=True)
with Store.open(Path(sys.argv[1]), Path(sys.argv[2])) as store:
    for time in range(1000):
        build_some(store, f"crash{time % 3}", 1)
        if time % 4 == 3:
            prune_images(store, unnamed_only=False)
            prune_records(store, with_images=True)
            store.collect()
"""
KILLS = 30


def start(store: Store) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(store.paths.root), str(store.paths.run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_store_is_sound_after_a_kill_at_any_instant(store: Store) -> None:
    chance = random.Random(2)
    for number in range(KILLS):
        process = start(store)
        assert process.stderr is not None
        # Not a pause for something to happen: the instant of the kill is what is chosen.
        failed, _, _ = select.select([process.stderr], [], [], chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert not failed, errors.decode()
        report = check(store)
        wrong = [each for each in report.findings if each.kind != "file"]
        assert not wrong, f"after kill {number}"
        assert check(store).findings == ()
    # And the next one finds what the others have left.
    build_some(store, "crash0", 2)
    prune_images(store, unnamed_only=False)
    prune_records(store, with_images=True)
    store.collect()
    assert os.listdir(store.paths.blobs / "sha256") == []
    assert os.listdir(store.paths.snapshots) == ["empty"]
    assert os.listdir(store.paths.trash) == []
    assert store.database.all("SELECT * FROM leases") == []


def test_what_a_killed_process_left_is_swept_by_the_next_that_works(store: Store) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from tierce.store import Store

store = Store.open(Path(sys.argv[1]), Path(sys.argv[2]))
with store.leases.take("build"):
    active = store.snapshots.prepare(None)
    writer = store.blobs.writer()
    writer.__enter__()
    writer.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    arguments = [str(store.paths.root), str(store.paths.run)]
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(store.paths.blobs / "sha256")) == 1
    assert len(os.listdir(store.paths.snapshots)) == 2
    with store.leases.take("next"):
        assert os.listdir(store.paths.blobs / "sha256") == []
        assert os.listdir(store.paths.snapshots) == ["empty"]
    assert os.listdir(store.paths.trash) == []


@pytest.mark.parametrize("backend", ["overlay", "copy"])
def test_process_killed_while_it_unpacks_leaves_nothing_half(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIERCE_SNAPSHOTTER", backend)
    script = """
import os, signal, sys, threading
from pathlib import Path
from tierce.store import Store

store = Store.open(Path(sys.argv[1]), Path(sys.argv[2]))
read = os.read
opened = store.layers.open_tar

def dying(diff_id):
    tar = opened(diff_id)
    class Dying:
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def close(self): tar.close()
        def __getattr__(self, name): return getattr(tar, name)
        def read(self, size=-1): return self._die(tar.read(size))
        def readinto(self, buffer): return self._die(tar.readinto(buffer))
        pieces = 0
        def _die(self, result):
            self.pieces += 1
            if self.pieces == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
    return Dying()

store.layers.open_tar = dying
store.snapshots.unpack(int(sys.argv[3]))
"""
    with Store.open(tmp_path / "store", tmp_path / "run") as store:
        files: dict[str, bytes] = {f"file{number}": bytes(500_000) for number in range(20)}
        snapshot = add_snapshot(store, None, dict(files))
        store.records.add(["key"], snapshot.id, "step")
        arguments = [str(store.paths.root), str(store.paths.run), str(snapshot.id)]
        done = subprocess.run([sys.executable, "-c", script, *arguments], check=False)
        assert done.returncode == -signal.SIGKILL
        assert store.paths.snapshot(snapshot.id).exists()
        assert not store.snapshots.get(snapshot.id).unpacked
        assert check(store).findings == ()
        upper = store.snapshots.directories(snapshot.id).upper
        assert len(os.listdir(upper)) == 20
        assert check(store).findings == ()
