"""`--progress=plain` and `rawjson` against golden files; who speaks when steps run in parallel."""

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.progress import BEGAN, end, failing, log, part, start, successful
from tierce.cli.progress import plain, rawjson
from tierce.cli.progress.plain import LONGEST_TURN, PlainRenderer
from tierce.errors import StepFailed
from tierce.solver.progress import Event, VertexWarning

GOLDEN = Path(__file__).parent / "golden"


class FakeTimer:
    """Goes off when the test says so."""

    daemon = False

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def start(self) -> None:
        """Nothing: see `call`."""

    def cancel(self) -> None:
        """Nothing: what was cancelled too late is called after all."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that renderers see; tests move it."""
    now = [BEGAN]
    monkeypatch.setattr("tierce.cli.progress.plain.time.time", lambda: now[0])
    monkeypatch.setattr("tierce.cli.progress.plain.time.monotonic", lambda: now[0])
    return now


def shown(events: list[Event], error: BaseException | None = None) -> str:
    stream = io.StringIO()
    renderer = plain.make(stream, {})
    for event in events:
        renderer(event)
    renderer.close(error)
    renderer.close(error)
    return stream.getvalue()


def test_build_looks_as_buildkit_shows_it() -> None:
    assert shown(successful()) == (GOLDEN / "successful.plain.txt").read_text()


def test_failure_ends_with_the_output_of_the_step() -> None:
    failed = StepFailed("x", vertex="v1", command=(), status=1, log_path="/logs/1")
    assert shown(failing(), failed) == (GOLDEN / "failing.plain.txt").read_text()


@pytest.mark.parametrize("name", ["successful", "failing"])
def test_raw_json_has_a_line_of_status_for_each_event(name: str) -> None:
    stream = io.StringIO()
    renderer = rawjson.make(stream, {})
    for event in {"successful": successful, "failing": failing}[name]():
        renderer(event)
    renderer.close()
    golden = (GOLDEN / f"{name}.rawjson.txt").read_text()
    assert stream.getvalue() == golden
    for line in golden.splitlines():
        [kind] = json.loads(line)
        assert kind in {"vertexes", "statuses", "logs", "warnings"}


def test_step_that_waits_is_shown_when_the_other_ends(clock: list[float]) -> None:
    text = shown(
        [
            start("a", "A", 0),
            start("b", "B", 0),
            log("b", 0.1, "b1\n"),
            log("a", 0.1, "a1\n"),
            end("a", 1),
            log("b", 0.2, "b2\n"),
            end("b", 2),
        ]
    )
    assert text == (
        "#1 A\n#1 0.100 a1\n#1 DONE 1.0s\n\n#2 B\n#2 0.100 b1\n#2 0.200 b2\n#2 DONE 2.0s\n"
    )


def test_step_that_ends_meanwhile_is_shown_at_once(clock: list[float]) -> None:
    text = shown(
        [
            start("a", "A", 0),
            log("a", 0.1, "open"),
            start("b", "B", 0),
            end("b", 1),
            log("a", 2, " end\n"),
            end("a", 3),
        ]
    )
    assert text == (
        "#1 A\n#1 0.100 open\n#1 ...\n\n#2 B\n#2 DONE 1.0s\n\n#1 A\n#1  end\n#1 DONE 3.0s\n"
    )


def test_step_that_says_nothing_more_has_a_turn_of_limited_length(clock: list[float]) -> None:
    stream = io.StringIO()
    renderer = PlainRenderer(stream, {})
    renderer(start("a", "A", 0))
    renderer(start("b", "B", 0))
    renderer(log("b", 0.1, "b1\n"))
    assert "B" not in stream.getvalue()
    clock[0] += LONGEST_TURN
    renderer(log("b", 10, "b2\n"))
    assert stream.getvalue() == "#1 A\n#1 ...\n\n#2 B\n#2 0.100 b1\n#2 10.00 b2\n"
    renderer.close()


def test_waiting_step_gets_its_turn_though_nothing_happens(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[FakeTimer] = []

    def timer(_seconds: float, call: Callable[[], None]) -> FakeTimer:
        timers.append(FakeTimer(call))
        return timers[-1]

    monkeypatch.setattr(threading, "Timer", timer)
    stream = io.StringIO()
    renderer = PlainRenderer(stream, {})
    renderer(start("a", "A", 0))
    renderer(start("b", "B", 0))
    renderer(log("b", 0.1, "b1\n"))
    clock[0] += LONGEST_TURN
    timers[0].call()
    assert stream.getvalue() == "#1 A\n#1 ...\n\n#2 B\n#2 0.100 b1\n"
    renderer.close()
    timers[0].call()


def test_part_is_shown_again_only_when_it_got_on(clock: list[float]) -> None:
    events: list[Event] = [start("a", "A", 0)]
    events += [part("a", "pulling", 0, current=n, total=1000) for n in (1, 2, 3, 100, 101)]
    events += [part("a", "pulling", 0, 1, 1000, 1000), end("a", 1)]
    lines = shown(events).splitlines()
    assert lines == [
        "#1 A",
        "#1 pulling 1B / 1.00kB",
        "#1 pulling 100B / 1.00kB",
        "#1 pulling 1.00kB / 1.00kB 1.0s done",
        "#1 DONE 1.0s",
    ]


def test_events_of_unknown_and_hidden_vertices_are_not_shown() -> None:
    hidden: list[Event] = [start("h", "", 0), log("h", 0, "x\n"), end("h", 1)]
    assert shown([*hidden, log("?", 0, "x\n"), end("?", 1)]) == ""


def test_characters_cut_between_writes_come_out_whole() -> None:
    data = "é✓".encode()
    events: list[Event] = [start("a", "A", 0)]
    events += [log("a", 0, "").replace(data=data[n : n + 1]) for n in range(len(data))]
    assert "#1 0.000 é✓\n" in shown([*events, end("a", 0)])


def test_everything_that_waits_is_shown_when_the_build_is_interrupted() -> None:
    text = shown(
        [start("a", "A", 0), start("b", "B", 0), log("b", 0.1, "kept\n"), log("a", 1, "open")],
        KeyboardInterrupt(),
    )
    assert "#2 0.100 kept\n" in text
    assert text.endswith("\n")


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.text(alphabet="ab\nc", min_size=1, max_size=6)), max_size=30
    )
)
def test_no_output_is_lost_however_it_interleaves(writes: list[tuple[int, str]]) -> None:
    events: list[Event] = [start(f"v{n}", f"V{n}", 0) for n in range(4)]
    events += [log(f"v{n}", 1, text) for n, text in writes]
    events += [end(f"v{n}", 2) for n in range(4)]
    lines = shown(events).splitlines()
    numbers = {name: number for number, _, name in (line.partition(" ") for line in lines)}
    for n in range(4):
        prefix = numbers[f"V{n}"] + " "
        texts = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
        said = [text for text in texts if text != "..." and not text.startswith(("V", "DONE"))]
        written = "".join(text for vertex, text in writes if vertex == n)
        assert "".join(said).replace("1.000 ", "") == written.replace("\n", "")


def test_threads_may_all_write_at_once() -> None:
    stream = io.StringIO()
    renderer = plain.make(stream, {})
    vertices = [f"v{n}" for n in range(8)]

    def work(vertex: str) -> None:
        renderer(start(vertex, vertex.upper(), 0))
        for n in range(50):
            renderer(log(vertex, 1, f"{vertex}-{n}\n"))
        renderer(end(vertex, 2))

    threads = [threading.Thread(target=work, args=(vertex,)) for vertex in vertices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    renderer.close()
    text = stream.getvalue()
    assert all(f" {vertex}-{n}\n" in text for vertex in vertices for n in range(50))
    assert text.count("DONE") == 8


def test_late_warnings_of_a_step_follow_it_without_another_headline() -> None:
    stream = io.StringIO()
    renderer = plain.make(stream, {})
    renderer(start("v1", "[internal] load build definition", 0.0))
    renderer(end("v1", 0.01))
    renderer(VertexWarning("v1", "odd", "A", line=1))
    renderer(VertexWarning("v1", "odd too", "B", line=2))
    renderer(start("v2", "[1/1] FROM x", 0.02))
    assert stream.getvalue() == (
        "#1 [internal] load build definition\n"
        "#1 DONE 0.0s\n"
        "#1 WARN: A: odd (line 1)\n"
        "#1 WARN: B: odd too (line 2)\n"
        "\n"
        "#2 [1/1] FROM x\n"
    )


def test_debug_explains_each_warning_and_shows_its_lines() -> None:
    stream = io.StringIO()
    renderer = plain.make(stream, {}, debug=True)
    warning = VertexWarning(
        "",
        "odd",
        "A",
        url="https://a",
        file="Dockerfile",
        line=2,
        end_line=2,
        source="FROM x\nRUN y",
        detail=("Odd things are odd",),
    )
    renderer(warning)
    renderer(warning)
    renderer.close()
    assert stream.getvalue() == (
        "\n 1 warning found:\n"
        " - A: odd (line 2)\n"
        "Odd things are odd\n"
        "More info: https://a\n"
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM x\n"
        "   2 | >>> RUN y\n"
        "--------------------\n"
        "\n"
    )
