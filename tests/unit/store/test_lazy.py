import threading
from pathlib import Path

import pytest

import tierce.store
from tierce.store import Store
from tierce.store.lazy import lazy


class Whole:
    def __init__(self) -> None:
        self._making = threading.RLock()
        self.made: list[str] = []

    @lazy
    def inner(self) -> object:
        """What it is."""
        self.made.append("inner")
        return object()

    @lazy
    def outer(self) -> tuple[object]:
        return (self.inner,)


def test_part_is_made_once_and_by_its_first_use() -> None:
    whole = Whole()
    assert not whole.made
    assert whole.inner is whole.inner
    assert whole.made == ["inner"]


def test_part_may_be_made_of_other_parts() -> None:
    whole = Whole()
    assert whole.outer == (whole.inner,)


def test_part_that_fails_is_tried_again() -> None:
    class Failing(Whole):
        @lazy
        def part(self) -> int:
            self.made.append("part")
            if len(self.made) == 1:
                raise OSError
            return 1

    whole = Failing()
    with pytest.raises(OSError):
        _ = whole.part
    assert whole.part == 1


def test_threads_that_ask_at_once_get_the_same() -> None:
    whole = Whole()
    at_once = threading.Barrier(4)
    found: list[object] = []

    def ask() -> None:
        at_once.wait()
        found.append(whole.inner)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {whole.inner}
    assert whole.made == ["inner"]


def test_every_name_of_the_store_leads_somewhere() -> None:
    for name in tierce.store.__all__:
        assert getattr(tierce.store, name).__name__ == name
    with pytest.raises(AttributeError, match="Nothing"):
        getattr(tierce.store, "Nothing")  # noqa: B009


def test_closed_store_lets_go_of_leases_that_were_used(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", tmp_path / "run")
    with store.leases.take("test"):
        pass
    store.close()
    store.close()
