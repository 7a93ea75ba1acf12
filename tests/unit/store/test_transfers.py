"""Transfers that are not complete: kept for who goes on, thrown away when nobody does."""

import os
import threading
import time
from pathlib import Path

import pytest

from tierce.errors import Cancelled
from tierce.oci.digest import Digest
from tierce.store import Store
from tierce.store.transfers import KEPT_SECONDS

DIGEST = Digest.of(b"content")


def write(store: Store, data: bytes) -> Path:
    with store.transfers.incoming(DIGEST, threading.Event()) as path:
        Path(path).write_bytes(data)
        return Path(path)


def test_what_has_come_is_there_for_the_next_one(store: Store) -> None:
    write(store, b"con")
    with store.transfers.incoming(DIGEST, threading.Event()) as path:
        assert Path(path).read_bytes() == b"con"
    store.transfers.discard(DIGEST)
    store.transfers.discard(DIGEST)
    assert not Path(path).exists()


def test_two_do_not_write_to_one_file(store: Store) -> None:
    cancelled = threading.Event()
    with store.transfers.incoming(DIGEST, threading.Event()):
        cancelled.set()
        with pytest.raises(Cancelled), store.transfers.incoming(DIGEST, cancelled):
            raise AssertionError("somebody else has it")


def test_complete_file_becomes_the_blob(store: Store) -> None:
    path = write(store, b"content")
    with store.leases.take("test"):
        store.blobs.adopt_file(str(path), DIGEST, 7, "text/plain")
        assert store.blobs.read(DIGEST) == b"content"
        assert not path.exists()
        again = write(store, b"content")
        store.blobs.adopt_file(str(again), DIGEST, 7)
        assert not again.exists()


def test_note_is_found_until_it_is_forgotten(store: Store) -> None:
    assert store.transfers.noted("key") == ""
    store.transfers.note("key", "there")
    store.transfers.note("key", "further on")
    assert store.transfers.noted("key") == "further on"
    store.transfers.forget("key")
    store.transfers.forget("key")
    assert store.transfers.noted("key") == ""


def test_collection_takes_what_nobody_has_gone_on_with(store: Store) -> None:
    young, old = Digest.of(b"young"), Digest.of(b"old")
    for digest in (young, old):
        with store.transfers.incoming(digest, threading.Event()) as path:
            Path(path).write_bytes(b"part")
    past = time.time() - KEPT_SECONDS - 1
    os.utime(path, (past, past))
    store.collect()
    assert os.listdir(store.paths.transfers) == [f"sha256-{young.hex}"]
