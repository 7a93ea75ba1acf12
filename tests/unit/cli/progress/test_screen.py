"""The small terminal that shows the end of a step's output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.cli.progress.screen import LARGEST_INPUT, Screen


def rows(text: str, height: int = 6, width: int = 20) -> list[str]:
    screen = Screen(height, width)
    screen.write(text)
    return screen.rows()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo", ["one", "two"]),
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("10%\r20%\r30%", ["30%"]),
        ("long text\rshort", ["shorttext"]),
        ("abc\b\bX", ["aXc"]),
        ("a\tb", ["a       b"]),
        ("\x1b[31mred\x1b[0m", ["red"]),
        ("\x1b]0;title\x07text", ["text"]),
        ("\x1b(Bx\x1b=y", ["xy"]),
        ("one\ntwo\x1b[1A\rX", ["Xne", "two"]),
        ("one\ntwo\n\x1b[2F\x1b[2Knew", ["new", "two"]),
        ("abc\x1b[2DX\x1b[CY", ["aXcY"]),
        ("abcdef\x1b[3G\x1b[K", ["ab"]),
        ("abcdef\x1b[3G\x1b[1K", ["   def"]),
        ("one\ntwo\x1b[2J\x1b[Hnew", ["new"]),
        ("one\ntwo\nthree\x1b[2;2H\x1b[J", ["one", "t"]),
        ("one\ntwo\x1b[1Jx", ["   x"]),
        ("one\x1b[5Btwo", ["onetwo"]),
        ("\x1b[99;99Hx", ["                   x"]),
    ],
)
def test_output_is_interpreted(text: str, expected: list[str]) -> None:
    assert rows(text) == expected


def test_only_the_last_rows_are_kept() -> None:
    assert rows("\n".join(map(str, range(100))), height=3) == ["97", "98", "99"]


def test_long_lines_go_on_in_the_next_row() -> None:
    assert rows("x" * 45, height=2) == ["x" * 20, "x" * 5]


def test_sequence_cut_between_writes_is_put_together() -> None:
    screen = Screen(6, 20)
    screen.write("a\x1b[3")
    assert screen.rows() == ["a"]
    screen.write("1mb\x1b")
    screen.write("]0;t\x07c")
    assert screen.rows() == ["abc"]


def test_flood_is_not_kept() -> None:
    screen = Screen(6, 20)
    for _ in range(100):
        screen.write("y\n" * 8192)
    assert screen._waiting <= 2 * LARGEST_INPUT + 16_384
    assert screen.written == 100 * 16_384
    assert screen.rows() == ["y"] * 5


def test_resized_screen_keeps_its_end() -> None:
    screen = Screen(6, 20)
    screen.write("one\ntwo\nthree and more")
    assert screen.rows() == ["one", "two", "three and more"]
    screen.resize(2, 5)
    assert screen.rows() == ["two", "three"]
    screen.write("!")
    assert len(screen.rows()) == 2


@given(
    st.lists(st.text(alphabet="ab\n\r\b\t\x1b[;0123ABCDEFGHJKm?]\x07é", max_size=20), max_size=8),
    st.integers(1, 5),
    st.integers(1, 12),
)
def test_anything_fits_the_window(writes: list[str], height: int, width: int) -> None:
    screen = Screen(height, width)
    for text in writes:
        screen.write(text)
        shown = screen.rows()
        assert len(shown) <= height
        assert all(len(row) <= width for row in shown)
