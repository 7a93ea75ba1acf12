"""Results that are elsewhere: found by their keys, fetched only where they are needed."""

from collections.abc import Sequence

import pytest

from tierce.solver.progress import VertexFinished
from tierce.solver.scheduler import Solver
from tierce.solver.types import CacheRecord, Step
from unit.solver.fakes import FakeWorker, Record, Records, World, base, bind, context, copy, run


class Elsewhere(Records):
    """A cache that finds what another world has made, and fetches it."""

    def __init__(self, there: World, here: World) -> None:
        super().__init__()
        self.there = there
        self.here = here
        self.fetched: list[str] = []
        self.lost: set[str] = set()
        self.without_result: set[str] = set()

    def find(self, keys: Sequence[str]) -> CacheRecord | None:
        found = super().find(keys)
        if found is not None:
            return found
        other = self.there.records.find(keys)
        if other is None:
            return None
        assert isinstance(other, Record)
        return other.replace(id=-1 - other.id, snapshot=None, origin=self)

    def has(self, key: str) -> bool:
        return super().has(key) or self.there.records.has(key)

    def add_keys(self, number: int, keys: Sequence[str]) -> None:
        if number >= 0:
            super().add_keys(number, keys)

    def offers(self, record: CacheRecord) -> bool:
        assert isinstance(record, Record)
        return record.name not in self.without_result

    def fetch(self, record: CacheRecord, step: Step) -> CacheRecord | None:
        assert isinstance(record, Record)
        if record.name in self.without_result:
            return None
        self.fetched.append(record.name)
        if record.name in self.lost:
            return None
        original = self.there.records.all[-1 - record.id]
        assert original.snapshot is not None
        made = self.here.make(self.there.snapshots[original.snapshot])
        return self.add([record.key], made.snapshot, record.name)


@pytest.fixture
def there() -> World:
    return World()


@pytest.fixture
def here() -> World:
    return World()


@pytest.fixture
def elsewhere(there: World, here: World) -> Elsewhere:
    records = Elsewhere(there, here)
    here.records = records
    return records


def cached(world: World) -> set[str]:
    return {name for name, end in world.ends().items() if end.cached}


def test_only_the_result_is_fetched(there: World, here: World, elsewhere: Elsewhere) -> None:
    root = run("c", run("b", run("a", base())))
    expected = there.solve(root)
    assert here.solve(root) == expected
    assert elsewhere.fetched == ["c"]
    assert here.runs == {}
    assert cached(here) == {"a", "b", "c"}


def test_what_a_changed_step_works_on_is_fetched(
    there: World, here: World, elsewhere: Elsewhere
) -> None:
    there.solve(run("b", run("a", base())))
    here.solve(run("changed", run("b", run("a", base()))))
    assert elsewhere.fetched == ["b"]
    assert here.runs == {"changed": 1}


def test_steps_that_read_files_are_found(there: World, here: World, elsewhere: Elsewhere) -> None:
    root = bind("bind", copy("copy", base(), context()), context())
    expected = there.solve(root)
    assert here.solve(root) == expected
    assert here.runs == {}
    assert elsewhere.fetched == ["bind"]


def test_step_without_a_result_leads_to_what_was_made_of_it(
    there: World, here: World, elsewhere: Elsewhere
) -> None:
    stage = run("stage", copy("copy", base(), context()))
    root = copy("from stage", base("final"), stage)
    expected = there.solve(root)
    elsewhere.without_result = {"stage", "copy"}
    assert here.solve(root) == expected
    assert here.runs == {}
    assert cached(here) == {"stage", "copy", "from stage"}


def test_step_without_a_result_is_run_when_it_is_needed(
    there: World, here: World, elsewhere: Elsewhere
) -> None:
    there.solve(run("b", run("a", base())))
    elsewhere.without_result = {"a", "b"}
    here.solve(run("changed", run("b", run("a", base()))))
    assert here.runs == {"a": 1, "b": 1, "changed": 1}
    assert cached(here) == set()


def test_lost_result_is_made_again_of_what_is_left(
    there: World, here: World, elsewhere: Elsewhere
) -> None:
    root = run("c", run("b", run("a", base())))
    expected = there.solve(root)
    elsewhere.lost = {"c"}
    assert here.solve(root) == expected
    assert here.runs == {"c": 1}
    assert elsewhere.fetched == ["c", "b", "c"]
    [first, *_] = [end for end in here.of("c") if isinstance(end, VertexFinished)]
    assert not first.cached


def test_everything_lost_is_made_again(there: World, here: World, elsewhere: Elsewhere) -> None:
    root = run("c", copy("b", run("a", base()), context()))
    expected = there.solve(root)
    elsewhere.lost = {"a", "b", "c"}
    assert here.solve(root) == expected
    assert here.runs == {"a": 1, "b": 1, "c": 1}


def test_fetched_result_is_found_here_the_next_time(
    there: World, here: World, elsewhere: Elsewhere
) -> None:
    root = run("b", run("a", base()))
    there.solve(root)
    here.solve(root)
    here.solve(root)
    assert elsewhere.fetched == ["b"]


# What is told afterwards


def test_outcomes_tell_what_was_found_and_what_ran(here: World) -> None:
    here.solve(run("a", base()))
    solver = Solver(FakeWorker(here), here.records, here.locks, here.listen)
    solver.solve([run("b", run("a", base())), copy("c", base(), context())])
    outcomes = {outcome.vertex.name: outcome for outcome in solver.outcomes()}
    assert set(outcomes) == {"a", "b", "c"}
    assert [outcomes[name].ran for name in "abc"] == [False, True, True]
    for outcome in outcomes.values():
        assert outcome.record is not None
        assert outcome.keys[0] == outcome.record.key
    # By its content, and by what all of its versions have in common.
    assert len(outcomes["c"].keys) == 2
    assert outcomes["c"].components == b"read files"


def test_outcomes_find_what_they_are_of(here: World) -> None:
    solver = Solver(FakeWorker(here), here.records, here.locks, here.listen)
    solver.solve([run("b", copy("a", base(), context()))])
    for outcome in solver.outcomes():
        for key in outcome.keys:
            assert here.records.find([key]) == outcome.record


def test_step_whose_cache_was_not_asked_says_so(here: World) -> None:
    solver = Solver(FakeWorker(here), here.records, here.locks, here.listen)
    solver.solve([run("a", base(), ignore_cache=True)])
    [outcome] = solver.outcomes()
    assert (outcome.ran, outcome.ignored_cache) == (True, True)
