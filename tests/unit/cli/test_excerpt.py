"""The marked lines of a Dockerfile, as BuildKit prints them."""

import io

import pytest

from tierce.cli.excerpt import excerpt, write_build_error
from tierce.errors import BuildError, DockerfileError, StepFailed

SOURCE = "FROM alpine\n\nRUM x\nCOPY a b\nRUN y \\\n  z\nCMD c\n"


def error(line: int, end_line: int = 0, source: str = SOURCE) -> DockerfileError:
    return DockerfileError("unknown instruction: RUM", line=line, end_line=end_line, source=source)


def test_one_line_is_shown_with_lines_around_it() -> None:
    assert excerpt(error(3)) == (
        "Dockerfile:3\n"
        "--------------------\n"
        "   1 |     FROM alpine\n"
        "   2 |     \n"
        "   3 | >>> RUM x\n"
        "   4 |     COPY a b\n"
        "   5 |     RUN y \\\n"
        "--------------------\n"
    )


def test_several_lines_are_all_marked() -> None:
    assert excerpt(error(5, 6)) == (
        "Dockerfile:5\n"
        "--------------------\n"
        "   4 |     COPY a b\n"
        "   5 | >>> RUN y \\\n"
        "   6 | >>>   z\n"
        "   7 |     CMD c\n"
        "--------------------\n"
    )


def test_at_the_edge_of_the_file_more_is_shown_on_the_other_side() -> None:
    lines = excerpt(error(1)).splitlines()
    assert lines[2].startswith("   1 | >>> FROM")
    assert lines[-2].startswith("   3 | ")
    assert len(excerpt(error(1, source="FROM x")).splitlines()) == 4


@pytest.mark.parametrize("place", [error(0), error(99), error(1, source="")])
def test_without_a_place_nothing_is_shown(place: DockerfileError) -> None:
    assert excerpt(place) == ""


def test_long_and_binary_lines_do_no_harm_to_a_terminal() -> None:
    shown = excerpt(error(1, source="RUN \x1b[2J\x07" + "x" * 1000 + "\nCMD\tx")).splitlines()
    assert shown[2] == "   1 | >>> RUN �[2J�" + "x" * 191 + "…"
    assert shown[3] == "   2 |     CMD\tx"


def test_end_beyond_the_file_is_cut() -> None:
    assert excerpt(error(7, 50)).splitlines()[-2] == "   8 | >>> "


def test_error_follows_the_excerpt_and_the_hint_follows_the_error() -> None:
    stream = io.StringIO()
    write_build_error(
        BuildError("no such file: a", file="x/Dockerfile", line=4, source=SOURCE, hint="look"),
        stream,
    )
    text = stream.getvalue()
    assert text.startswith("x/Dockerfile:4\n--------------------\n")
    assert text.endswith("--------------------\nERROR: no such file: a\nhint: look\n")


def test_error_of_a_step_needs_no_place() -> None:
    stream = io.StringIO()
    failed = StepFailed("it failed: exit code: 1", vertex="RUN x", command=("x",), status=1)
    write_build_error(failed, stream)
    assert stream.getvalue() == "ERROR: it failed: exit code: 1\n"
