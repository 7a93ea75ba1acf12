import os
import subprocess
import sys
import threading

import pytest

from tierce.errors import Cancelled
from tierce.store import Store

HOLDER = """
import sys
from pathlib import Path
from tierce.store import Store

store = Store.open(Path(sys.argv[1]), Path(sys.argv[2]))
with store.lock("key"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_excludes_threads(store: Store) -> None:
    inside = 0
    most = 0
    barrier = threading.Barrier(8)

    def work() -> None:
        nonlocal inside, most
        barrier.wait()
        for _ in range(50):
            with store.lock("key"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert os.listdir(store.paths.locks) == []


def test_lock_excludes_processes_and_is_free_when_they_die(store: Store) -> None:
    command = [sys.executable, "-c", HOLDER, str(store.paths.root), str(store.paths.run)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with store.locks.try_hold("key") as held:
        assert not held
    with store.locks.try_hold("another key") as held:
        assert held
    process.kill()
    process.communicate()
    with store.lock("key"):
        pass
    assert os.listdir(store.paths.locks) == []


def test_waiting_for_a_lock_ends_when_it_is_cancelled(store: Store) -> None:
    cancelled = threading.Event()
    with store.locks.hold_unless(cancelled, "key"), store.locks.try_hold("key") as held:
        assert not held
    cancelled.set()
    with store.lock("key"), pytest.raises(Cancelled), store.locks.hold_unless(cancelled, "key"):
        pass
    assert os.listdir(store.paths.locks) == []


def test_any_text_names_a_lock(store: Store) -> None:
    for key in ("../../escape", ".", "x" * 1000, "sha256:abc/def", "é\udcff"):
        with store.lock(key), store.locks.try_hold(key) as again:
            assert not again
    assert os.listdir(store.paths.locks) == []
    assert sorted(os.listdir(store.paths.root.parent)) == ["run", "store"]
