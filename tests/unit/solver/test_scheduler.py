"""What is run, what is found, in which order, and what is told of it."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierce.errors import BuildError, Cancelled, NotFound
from tierce.graph.vertex import SourceRange, Vertex, sorted_vertices
from tierce.solver.progress import VertexFinished, VertexLog, VertexStarted, VertexStatus
from tierce.solver.scheduler import Solver
from tierce.solver.types import Step
from unit.solver.fakes import FakeWorker, World, base, bind, context, copy, run, scratch

SECONDS = 30
"""A wait that takes this long has failed; nothing here waits for time to pass."""


@pytest.fixture
def world() -> World:
    return World()


def fail(step: Step, inputs: Sequence[str]) -> str:
    raise BuildError("run step: it failed")


def wait_for_cancellation(step: Step, inputs: Sequence[str]) -> str:
    assert step.cancelled.wait(SECONDS)
    raise Cancelled("run step: cancelled")


# What runs


def test_results_come_in_the_order_of_the_roots(world: World) -> None:
    assert world.solve(run("a", base()), run("b", base())) == ["a(base)", "b(base)"]


def test_equal_vertices_run_once(world: World) -> None:
    left = run("use left", run("same", base()))
    right = run("use right", run("same", base()))
    assert world.solve(left, right, left) == [
        "use left(same(base))",
        "use right(same(base))",
        "use left(same(base))",
    ]
    assert world.runs == {"same": 1, "use left": 1, "use right": 1}


def test_a_vertex_with_an_input_twice_runs_once_that_is_ready(world: World) -> None:
    same = run("same", base())
    assert world.solve(run("both", same, same)) == ["both(same(base), same(base))"]


def test_what_was_solved_is_not_solved_again_by_the_same_solver(world: World) -> None:
    first = run("first", base(), ignore_cache=True)
    other = run("other", base(), ignore_cache=True)
    solver = Solver(FakeWorker(world), world.records, world.locks, world.listen)
    for root in (first, other, run("both", first, other)):
        solver.solve([root])
    assert world.runs == {"first": 1, "other": 1, "both": 1}
    assert len(world.of("first")) == 2
    assert [each.vertex.name for each in solver.outcomes()] == ["first", "other", "both"]


def test_source_alone_is_a_result(world: World) -> None:
    assert world.solve(base()) == ["base"]


def test_only_what_the_roots_need_is_run(world: World) -> None:
    shared = run("shared", base())
    run("not needed", shared)
    world.solve(run("needed", shared))
    assert set(world.runs) == {"shared", "needed"}


def test_long_chains_do_not_recurse(world: World) -> None:
    vertex = base()
    for number in range(1200):
        vertex = run(str(number), vertex)
    world.actions = {str(number): lambda step, inputs: "" for number in range(1200)}
    world.solve(vertex)
    assert world.runs.total() == 1200


def test_branches_run_at_the_same_time(world: World) -> None:
    together = threading.Barrier(3)

    def meet(step: Step, inputs: Sequence[str]) -> str:
        together.wait(SECONDS)
        return "met"

    names = ["a", "b", "c"]
    world.actions = dict.fromkeys(names, meet)
    assert world.solve(run("join", *[run(name, base()) for name in names])) == [
        "join(met, met, met)"
    ]


def test_no_more_steps_at_a_time_than_asked_for(world: World) -> None:
    lock = threading.Lock()
    now, most = 0, 0

    def count(step: Step, inputs: Sequence[str]) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1
        return ""

    names = [str(number) for number in range(20)]
    world.actions = dict.fromkeys(names, count)
    solver = Solver(FakeWorker(world), world.records, world.locks, world.listen, parallelism=2)
    solver.solve([run(name, base()) for name in names])
    assert most <= 2
    assert world.runs.total() == 20


# What is found


def test_second_solve_runs_nothing(world: World) -> None:
    root = run("b", run("a", base()))
    first = world.solve(root)
    assert world.solve(root) == first
    assert world.runs == {"a": 1, "b": 1}


def test_a_hit_needs_no_inputs(world: World) -> None:
    """The step before is lost; what was made of it is not."""
    root = run("b", run("a", base()))
    first = world.solve(root)
    world.snapshots = {
        number: text for number, text in world.snapshots.items() if text != "a(base)"
    }
    assert world.solve(root) == first
    assert world.runs["a"] == 1


def test_lost_snapshot_is_made_again(world: World) -> None:
    root = run("a", base())
    first = world.solve(root)
    world.snapshots.clear()
    assert world.solve(root) == first
    assert world.runs == {"a": 2}


def test_unchanged_directory_is_a_hit(world: World) -> None:
    root = copy("copy", base(), context())
    first = world.solve(root)
    assert world.solve(root) == first
    assert world.runs == {"copy": 1}


def test_changed_directory_runs_what_reads_it_and_what_follows(world: World) -> None:
    root = run("after", copy("copy", run("before", base()), context()))
    world.solve(root)
    world.files["context"] = "other files"
    assert world.solve(root) == ["after(copy(before(base), other files))"]
    assert world.runs == {"before": 1, "copy": 2, "after": 2}


def test_earlier_version_of_a_directory_is_still_known(world: World) -> None:
    root = run("after", copy("copy", base(), context()))
    for files in ("one", "two", "one", "two"):
        world.files["context"] = files
        world.solve(root)
    assert world.runs == {"copy": 2, "after": 2}


def test_a_step_that_gives_the_same_again_keeps_what_reads_it(world: World) -> None:
    world.actions["build"] = lambda step, inputs: "program"
    world.actions["build with comments"] = lambda step, inputs: "program"
    after = [
        run("after", copy("copy", base(), run(build, base())))
        for build in ("build", "build with comments")
    ]
    assert world.solve(after[0]) == world.solve(after[1])
    assert world.runs == {"build": 1, "build with comments": 1, "copy": 1, "after": 1}


def test_found_by_content_then_by_definition(world: World) -> None:
    world.actions["new build"] = world.actions["build"] = lambda step, inputs: "program"
    world.solve(copy("copy", base(), run("build", base())))
    root = copy("copy", base(), run("new build", base()))
    world.solve(root)
    world.reads.clear()
    world.solve(root)
    assert not world.reads


def test_content_is_not_read_before_a_step_was_ever_recorded(world: World) -> None:
    world.solve(copy("copy", base(), context()))
    assert world.reads == {"copy": 1}, "by the step itself"
    world.solve(copy("another", base(), context()))
    assert world.reads == {"copy": 1, "another": 1}


def test_content_is_read_once_for_a_step_that_reads_first(world: World) -> None:
    world.solve(bind("bind", base(), context()))
    assert world.reads == {"bind": 1}
    assert world.records.all[0].components == b"read files"


def test_a_step_becomes_a_hit_when_its_input_is_there(world: World) -> None:
    """Neither its definition nor its content are known at first, as the input must be run."""
    world.actions["b"] = world.actions["a"] = lambda step, inputs: "same"
    world.solve(copy("copy", base(), run("a", base())))
    world.events.clear()
    world.solve(copy("copy", base(), run("b", base())))
    assert world.runs == {"a": 1, "b": 1, "copy": 1}
    assert world.ends()["copy"].cached


def test_record_that_is_pruned_as_it_is_found_is_a_miss(world: World) -> None:
    world.actions["b"] = world.actions["a"] = lambda step, inputs: "same"
    world.solve(copy("copy", base(), run("a", base())))

    def pruned(number: int, keys: Sequence[str]) -> None:
        raise NotFound("cache record", str(number))

    world.records.add_keys = pruned  # type: ignore[method-assign]
    world.solve(copy("copy", base(), run("b", base())))
    assert world.runs["copy"] == 2


def test_step_that_nothing_is_known_by_is_not_recorded(world: World) -> None:
    """It uses a directory as a whole, and what follows it is known by nothing either."""
    root = run("after", run("keyless", base(), context()))
    for _ in range(2):
        assert world.solve(root) == ["after(keyless(base, files))"]
    assert world.runs == {"keyless": 2, "after": 2}
    assert not world.records.all


# ignore_cache


def test_ignored_cache_runs_again(world: World) -> None:
    world.solve(run("a", base()))
    world.solve(run("a", base(), ignore_cache=True))
    assert world.runs == {"a": 2}


def test_what_was_made_anew_is_found_afterwards(world: World) -> None:
    contents = iter(["old", "new"])
    world.actions["a"] = lambda step, inputs: next(contents)
    world.solve(run("a", base()))
    world.solve(run("a", base(), ignore_cache=True))
    assert world.solve(run("a", base())) == ["new"]


def test_what_follows_an_ignored_cache_is_made_anew(world: World) -> None:
    contents = iter(["old", "new"])
    world.actions["a"] = lambda step, inputs: next(contents)
    world.solve(run("b", run("a", base())))
    assert world.solve(run("b", run("a", base(), ignore_cache=True))) == ["b(new)"]
    assert world.solve(run("b", run("a", base()))) == ["b(new)"]
    assert world.runs == {"a": 2, "b": 2}


def test_equal_content_after_an_ignored_cache_is_a_hit(world: World) -> None:
    world.actions["a"] = lambda step, inputs: "same"
    world.solve(copy("copy", base(), run("a", base())))
    world.solve(copy("copy", base(), run("a", base(), ignore_cache=True)))
    assert world.runs == {"a": 2, "copy": 1}


def test_cache_of_a_copy_can_be_ignored(world: World) -> None:
    for ignore_cache in (False, True, False):
        world.solve(copy("copy", base(), context(), ignore_cache=ignore_cache))
    assert world.runs == {"copy": 2}


def test_of_equal_vertices_one_that_ignores_the_cache_decides(world: World) -> None:
    world.solve(run("a", base()))
    world.solve(run("b", run("a", base())), run("c", run("a", base(), ignore_cache=True)))
    assert world.runs["a"] == 2


# Failure


def test_failure_is_raised_and_leaves_no_record(world: World) -> None:
    world.actions["a"] = fail
    with pytest.raises(BuildError, match="it failed"):
        world.solve(run("b", run("a", base())))
    assert world.runs == {"a": 1}
    assert not world.records.all


def test_what_was_done_before_a_failure_is_kept(world: World) -> None:
    world.actions["b"] = fail
    for _ in range(2):
        with pytest.raises(BuildError):
            world.solve(run("b", run("a", base())))
    assert world.runs == {"a": 1, "b": 2}


def test_failure_cancels_the_others_and_is_what_is_raised(world: World) -> None:
    running = threading.Barrier(2)

    def wait(step: Step, inputs: Sequence[str]) -> str:
        running.wait(SECONDS)
        return wait_for_cancellation(step, inputs)

    def fail_meanwhile(step: Step, inputs: Sequence[str]) -> str:
        running.wait(SECONDS)
        return fail(step, inputs)

    world.actions |= {"wait": wait, "fail": fail_meanwhile}
    with pytest.raises(BuildError, match="it failed"):
        world.solve(run("join", run("wait", base()), run("fail", base())))
    assert world.ends()["wait"].canceled
    assert not world.records.all


def test_failure_that_comes_after_a_cancelled_step_is_raised(world: World) -> None:
    """A step may notice the cancellation and end before the one that caused it."""
    gone = threading.Event()

    def end_at_once(step: Step, inputs: Sequence[str]) -> str:
        raise Cancelled("run step: cancelled")

    def fail_later(step: Step, inputs: Sequence[str]) -> str:
        assert step.cancelled.wait(SECONDS)
        gone.set()
        return fail(step, inputs)

    world.actions |= {"end": end_at_once, "fail": fail_later}
    with pytest.raises(BuildError, match="it failed"):
        world.solve(run("end", base()), run("fail", base()))
    assert gone.is_set()


def test_unexpected_exception_ends_the_solve(world: World) -> None:
    def crash(step: Step, inputs: Sequence[str]) -> str:
        raise ZeroDivisionError("by zero")

    world.actions |= {"crash": crash, "wait": wait_for_cancellation}
    with pytest.raises(ZeroDivisionError):
        world.solve(run("crash", base()), run("wait", base()))
    assert world.ends()["crash"].error == "ZeroDivisionError: by zero"


def test_listener_that_raises_ends_the_solve(world: World) -> None:
    def listen(event: object) -> None:
        if isinstance(event, VertexStarted) and event.name == "a":
            raise BrokenPipeError

    world.listen = listen  # type: ignore[method-assign]
    with pytest.raises(BrokenPipeError):
        world.solve(run("a", base()))


def test_interrupt_waits_for_the_running_steps(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C reaches the thread that waits for the steps; none goes on behind its back."""
    ended = threading.Event()

    def wait(step: Step, inputs: Sequence[str]) -> str:
        assert step.cancelled.wait(SECONDS)
        ended.set()
        raise Cancelled("run step: cancelled")

    class Interrupted:
        def get(self) -> None:
            raise KeyboardInterrupt

        def put(self, item: object) -> None:
            pass

    monkeypatch.setattr("queue.SimpleQueue", Interrupted)
    world.actions["wait"] = wait
    with pytest.raises(KeyboardInterrupt):
        world.solve(run("wait", base()))
    assert ended.is_set()
    assert world.ends()["wait"].canceled


def test_no_thread_to_be_had_ends_the_solve(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if len(world.runs):
            raise RuntimeError("can't start new thread")
        start(thread)
        assert began.wait(SECONDS)

    began = threading.Event()

    def wait(step: Step, inputs: Sequence[str]) -> str:
        began.set()
        return wait_for_cancellation(step, inputs)

    world.actions["wait"] = wait
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        world.solve(run("wait", base()), run("b", base()))
    assert world.ends()["wait"].canceled


def test_content_that_cannot_be_read_fails_the_step_that_reads_it(world: World) -> None:
    root = copy("copy", base(), context())
    world.solve(root)
    world.events.clear()
    world.files["context"] = "unreadable"
    with pytest.raises(NotFound):
        world.solve(root)
    assert world.ends()["copy"].error == "no such file: copy"


def test_build_error_says_where_it_comes_from(world: World) -> None:
    world.actions["a"] = fail
    step = run("a", base())
    root = Vertex(step.op, step.inputs, name="[2/2] RUN a", source=SourceRange("Dockerfile", 3, 5))
    with pytest.raises(BuildError) as raised:
        world.solve(root)
    error = raised.value
    assert (error.vertex, error.file, error.line, error.end_line) == (
        "[2/2] RUN a", "Dockerfile", 3, 5,
    )  # fmt: skip


# Cancellation


def test_cancelled_before_it_starts(world: World) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        world.solve(run("a", base()), cancelled=cancelled)
    assert not world.runs


def test_cancelled_meanwhile(world: World) -> None:
    cancelled = threading.Event()

    def cancel(step: Step, inputs: Sequence[str]) -> str:
        cancelled.set()
        return wait_for_cancellation(step, inputs)

    world.actions["a"] = cancel
    with pytest.raises(Cancelled):
        world.solve(run("b", run("a", base())), cancelled=cancelled)
    assert world.runs == {"a": 1}
    assert world.ends()["a"].canceled


def test_nothing_starts_after_a_cancellation(world: World) -> None:
    """A step that ends well although it was cancelled is recorded; the next does not start."""
    cancelled = threading.Event()

    def cancel(step: Step, inputs: Sequence[str]) -> str:
        cancelled.set()
        return "done"

    world.actions["a"] = cancel
    with pytest.raises(Cancelled):
        world.solve(run("b", run("a", base())), cancelled=cancelled)
    assert world.records.names() == ["a"]
    assert "b" not in world.ends()


# Locks


def test_two_solvers_run_an_equal_step_once(world: World) -> None:
    together = threading.Barrier(2)
    results = []

    def solve() -> None:
        together.wait(SECONDS)
        results.append(world.solve(run("b", run("a", base()))))

    threads = [threading.Thread(target=solve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [["b(a(base))"]] * 2
    assert world.runs == {"a": 1, "b": 1}


def test_the_second_of_two_solvers_waits_for_the_first(world: World) -> None:
    """It meets the lock while the step is running, and finds the result behind it."""
    waiting = threading.Event()
    hold = world.locks.__call__

    def lock(key: str):  # type: ignore[no-untyped-def]
        if world.runs:
            waiting.set()
        return hold(key)

    def wait(step: Step, inputs: Sequence[str]) -> str:
        second.start()
        assert waiting.wait(SECONDS)
        return "done"

    world.locks = lock  # type: ignore[assignment]
    world.actions["a"] = wait
    found: list[list[str]] = []
    second = threading.Thread(target=lambda: found.append(world.solve(run("a", base()))))
    assert world.solve(run("a", base())) == ["done"]
    second.join()
    assert found == [["done"]]
    assert world.runs == {"a": 1}


def test_versions_of_a_step_that_reads_first_do_not_wait_for_each_other(world: World) -> None:
    """Builds of two directories by the same lines, which may take long, go side by side."""
    together = threading.Barrier(2)

    def meet(step: Step, inputs: Sequence[str]) -> str:
        together.wait(SECONDS)
        return inputs[1]

    world.files = {"left": "left files", "right": "right files"}
    world.actions["bind"] = meet
    assert world.solve(*[bind("bind", base(), context(name)) for name in world.files]) == [
        "left files",
        "right files",
    ]


def test_ignored_cache_needs_no_lock(world: World) -> None:
    world.solve(run("a", base(), ignore_cache=True))
    assert not world.locks.held


# Events


def test_a_step_is_told_from_start_to_end(world: World) -> None:
    def work(step: Step, inputs: Sequence[str]) -> str:
        step.status("part", 1, 2)
        step.log(2, b"line\n")
        step.status("part", 2, 2, finished=True)
        return ""

    world.actions["a"] = work
    vertex = run("a", base())
    world.solve(vertex)
    started, part, log, end_of_part, finished = world.of("a")
    assert isinstance(started, VertexStarted)
    assert started.inputs == (vertex.inputs[0].digest,)
    assert isinstance(part, VertexStatus)
    assert (part.id, part.current, part.total, part.finished) == ("part", 1, 2, 0)
    assert isinstance(log, VertexLog)
    assert (log.stream, log.data) == (2, b"line\n")
    assert isinstance(end_of_part, VertexStatus)
    assert end_of_part.started == part.started
    assert end_of_part.finished >= part.started
    assert isinstance(finished, VertexFinished)
    assert (finished.error, finished.cached, finished.canceled) == ("", False, False)
    assert finished.time >= started.time


def test_found_steps_are_told_as_cached(world: World) -> None:
    root = run("b", copy("a", base(), context()))
    world.solve(root)
    world.events.clear()
    world.solve(root)
    ends = world.ends()
    assert {name: end.cached for name, end in ends.items()} == {
        "base": False, "context": False, "a": True, "b": True,
    }  # fmt: skip
    assert list(ends) == ["base", "context", "a", "b"]


def test_failure_is_told(world: World) -> None:
    world.actions["a"] = fail
    with pytest.raises(BuildError):
        world.solve(run("a", base()))
    assert world.ends()["a"].error == "run step: it failed"


def test_vertices_without_a_name_are_not_told(world: World) -> None:
    def work(step: Step, inputs: Sequence[str]) -> str:
        step.log(1, b"line\n")
        return ""

    world.actions["a"] = work
    world.solve(run("a", scratch(), shown=""))
    assert not world.events
    world.solve(run("a", scratch(), shown=""))
    assert not world.events


def test_every_step_that_starts_ends_once_after_its_inputs(world: World) -> None:
    left, right = run("left", base()), run("right", copy("copy", base(), context()))
    world.solve(run("join", left, right))
    names = {e.vertex: e.name for e in world.events if isinstance(e, VertexStarted)}
    order = [
        (type(event).__name__.removeprefix("Vertex"), names[event.vertex]) for event in world.events
    ]
    assert sorted(order) == sorted((kind, name) for name in names.values() for kind in (
        "Started", "Finished",
    ))  # fmt: skip
    for event in world.events:
        if isinstance(event, VertexStarted):
            started = order.index(("Started", names[event.vertex]))
            for each in event.inputs:
                assert order.index(("Finished", names[each])) < started


# Any graph


@st.composite
def graphs(draw: st.DrawFn) -> list[Vertex]:
    """Vertices of which each uses some that come before it, some equal to others."""
    vertices = [base("left"), base("right"), context()]
    for _ in range(draw(st.integers(1, 8))):
        name = draw(st.sampled_from("abcd"))
        known = st.sampled_from(vertices)
        kind = draw(st.sampled_from([run, copy, bind]))
        keyed = known.filter(lambda each: each.name != "context")
        vertices.append(kind(name, draw(keyed), draw(keyed if kind is run else known)))
    return vertices


def value_of(vertex: Vertex) -> str:
    if not vertex.inputs:
        return "files" if vertex.name == "context" else vertex.name
    return f"{vertex.name}({', '.join(value_of(each) for each in vertex.inputs)})"


@settings(max_examples=40)
@given(graphs(), st.data())
def test_any_graph_is_solved_with_each_vertex_run_once(
    vertices: list[Vertex], data: st.DataObject
) -> None:
    world = World()
    roots = data.draw(st.lists(st.sampled_from(vertices), min_size=1, max_size=3))
    expected = [value_of(root) for root in roots]
    assert world.solve(*roots) == expected
    needed = {vertex.digest for vertex in sorted_vertices(roots) if vertex.inputs}
    assert world.runs.total() <= len(needed)
    before = world.runs.copy()
    assert world.solve(*roots) == expected
    assert world.runs == before, "the second time, all is found"
    lost = data.draw(st.sets(st.sampled_from(sorted(world.snapshots)))) if world.snapshots else []
    for number in lost:
        del world.snapshots[number]
    assert world.solve(*roots) == expected
