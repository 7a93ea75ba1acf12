"""One picture of the tty display."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.progress import BEGAN, end, failing, log, part, start, successful
from tierce.cli.format.width import display_width
from tierce.cli.progress.colours import RESET, Colours
from tierce.cli.progress.frame import Job, frame, visible
from tierce.cli.progress.screen import Screen
from tierce.cli.progress.trace import Trace
from tierce.solver.progress import Event, VertexLog

GOLDEN = Path(__file__).parent / "golden"


def picture(
    events: list[Event],
    at: float,
    *,
    width: int = 80,
    height: int = 24,
    final: bool = False,
    colours: Colours | None = None,
) -> list[str]:
    trace = Trace()
    screens: dict[str, Screen] = {}
    for event in events:
        vertex = trace.apply(event)
        if isinstance(event, VertexLog) and vertex is not None:
            screen = screens.setdefault(event.vertex, Screen(6, 70))
            screen.write(event.data.decode())
    return frame(
        trace,
        screens,
        colours or Colours(),
        now=BEGAN + at,
        width=width,
        height=height,
        is_final=final,
    )


def test_finished_build_looks_as_buildkit_shows_it() -> None:
    text = "\n".join(picture(successful(), 13.5, final=True)) + "\n"
    assert text == (GOLDEN / "successful.tty.txt").read_text()


def test_failed_and_cancelled_steps_are_marked() -> None:
    lines = picture(failing(), 0.6, final=True)
    assert lines[0].startswith("[+] Building 0.6s (2/2) FINISHED")
    assert lines[1].startswith(" => ERROR [a 2/2] RUN npm installer")
    assert lines[2].startswith(" => CANCELED [b 2/2] RUN sleep 60")


def test_running_step_shows_the_end_of_its_output() -> None:
    events: list[Event] = [
        start("a", "[1/2] RUN make", 0),
        log("a", 1, "\n".join(map(str, range(20)))),
    ]
    lines = picture(events, 2.5)
    assert lines[0].rstrip() == "[+] Building 2.5s (0/1)"
    assert lines[1].split() == ["=>", "[1/2]", "RUN", "make", "2.5s"]
    assert lines[2:] == [f" => => # {n}" for n in range(14, 20)]


def test_finished_step_and_final_picture_show_no_output() -> None:
    events: list[Event] = [start("a", "A", 0), log("a", 1, "text")]
    assert len(picture(events, 2, final=True)) == 2
    assert len(picture([*events, end("a", 2)], 2)) == 2


def test_amounts_stand_behind_the_part() -> None:
    lines = picture([start("a", "A", 0), part("a", "sha256:0123", 0, 0, 1500, 3000)], 1)
    assert lines[2].startswith(" => => sha256:0123 1.50kB / 3.00kB ")
    assert lines[2].endswith(" 1.0s")


def test_colours_begin_after_the_line_is_cut_and_end_before_the_next() -> None:
    colours = Colours(run="<run>", error="<error>", cancel="<cancel>", warning="<warning>")
    lines = picture(failing(), 1, colours=colours)
    assert lines[1].startswith("<error> => ERROR")
    assert lines[1].endswith(f"s{RESET}")
    assert lines[2].startswith("<cancel> => CANCELED")
    running = picture([start("a", "A", 0)], 1, colours=colours)
    assert "<" not in running[1]
    warned = picture(successful(), 14, colours=colours)
    assert any(line.startswith("<warning> => WARN: JSONArgs") for line in warned)


def test_control_characters_of_a_name_do_no_harm() -> None:
    [_, line] = picture([start("a", "RUN a\tb\nc\x1b[2J", 0)], 0)
    assert line.startswith(" => RUN a b c [2J ")


def test_narrow_terminal_shows_only_the_headline() -> None:
    assert len(picture(successful(), 14, width=20, final=True)) == 1


def job(name: str, *, finished: bool) -> Job:
    return Job(name, 1.0, finished, "")


@pytest.mark.parametrize(
    ("jobs", "limit", "expected"),
    [
        ("ABCDE", 5, "ABCDE"),
        ("ABCDE", 3, "CDE"),
        ("aBCDE", 3, "aDE"),
        ("abCDE", 3, "abE"),
        ("abcDE", 3, "abc"),
        ("abcde", 3, "cde"),
        ("aBcDE", 2, "ac"),
        ("ABCDE", 0, ""),
        ("ABCDE", -4, ""),
    ],
)
def test_running_steps_replace_finished_ones_where_the_screen_is_full(
    jobs: str, limit: int, expected: str
) -> None:
    """Capitals are finished."""
    shown = visible([job(name, finished=name.isupper()) for name in jobs], limit)
    assert "".join(each.name for each in shown) == expected


@given(
    st.lists(
        st.tuples(
            st.text(alphabet="ab日\u0301\n", min_size=1, max_size=90), st.booleans(), st.text()
        ),
        max_size=30,
    ),
    st.integers(1, 120),
    st.integers(1, 40),
)
def test_picture_fits_any_terminal(
    steps: list[tuple[str, bool, str]], width: int, height: int
) -> None:
    events: list[Event] = []
    for number, (name, finished, text) in enumerate(steps):
        vertex = str(number)
        output = log(vertex, 1, "").replace(data=text.encode("utf-8", "replace"))
        events += [start(vertex, name, 0), part(vertex, name, 0, 0, 10, 20), output]
        events += [end(vertex, 2)] if finished else []
    lines = picture(events, 3, width=width, height=height)
    assert all(display_width(line) < max(width, 1) or not line for line in lines)
    assert len(lines) <= max(height, 1)
    assert not any("\n" in line for line in lines)
