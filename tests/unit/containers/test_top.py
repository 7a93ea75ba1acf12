"""What of the lines of ps is a container's."""

import pytest

from tierce.containers.top import rows_of
from tierce.errors import TierceError

USUAL = """\
UID          PID    PPID CMD
root           1       0 init
root          12       1 sh -c a  b
root         120      12 sleep 1
"""


def test_lines_of_other_processes_are_left_out_and_words_of_the_last_field_stay_together() -> None:
    assert rows_of(USUAL, {"12", "120"}) == [
        ["UID", "PID", "PPID", "CMD"],
        ["root", "12", "1", "sh -c a b"],
        ["root", "120", "12", "sleep 1"],
    ]


def test_threads_follow_their_process() -> None:
    text = "PID TTY CMD\n1 ? a\n- ? -\n2 ? b\n- ? -\n- ? -\n3 ? c\n"
    assert [row[0] for row in rows_of(text, {"2"})] == ["PID", "2", "-", "-"]


@pytest.mark.parametrize("text", ["", "CMD\nx\n", "PIDS CMD\n1 a\n"])
def test_without_the_column_of_numbers_nothing_is_guessed(text: str) -> None:
    with pytest.raises(TierceError, match="Couldn't find PID field in ps output"):
        rows_of(text, {"1"})


def test_empty_field_is_no_error() -> None:
    assert rows_of("PID CMD\n7\n", {"7"}) == [["PID", "CMD"], ["7", ""]]
