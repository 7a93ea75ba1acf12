import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.store.turns import Turns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "turns"


@pytest.fixture
def first(path: Path) -> Iterator[Turns]:
    turns = Turns(str(path))
    yield turns
    turns.close()
    turns.close()


def somebody_waits(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        door = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, door)
    finally:
        os.close(descriptor)
    kind: int = struct.unpack("hhqqi4x", found)[0]
    return kind != fcntl.F_UNLCK


def test_writer_that_wants_to_write_again_stands_behind_who_waits(path: Path, first: Turns) -> None:
    order: list[str] = []

    def wait() -> None:
        second = Turns(str(path))
        with second:
            order.append("waited")
        second.close()

    with first:
        thread = threading.Thread(target=wait)
        thread.start()
        while not somebody_waits(path):
            pass
    with first:
        order.append("again")
    thread.join()
    assert order == ["waited", "again"]


def test_turn_ends_with_an_error_in_the_block(path: Path, first: Turns) -> None:
    with pytest.raises(KeyError), first:
        raise KeyError
    second = Turns(str(path))
    with second:
        pass
    second.close()


def test_nothing_is_made_before_somebody_writes(path: Path, first: Turns) -> None:
    assert not path.exists()
    with first:
        assert path.stat().st_mode & 0o777 == 0o600
