"""The nearest right word."""

import pytest

from tierce.dockerfile.suggest import did_you_mean, nearest

KEYWORDS = ["RUN", "COPY", "WORKDIR", "ENTRYPOINT"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("RUM", "RUN"), ("COYP", "COPY"), ("wrkdir", "workdir"), ("Cpy", "copy"), ("PUBLISH", "")],
)
def test_nearest_keyword_in_the_case_of_the_word(word: str, expected: str) -> None:
    assert nearest(word, KEYWORDS, ignore_case=True) == expected


def test_the_nearest_of_several_is_taken() -> None:
    assert nearest("formm", ["fork", "from", "form"]) == "form"


def test_a_word_that_is_right_has_no_suggestion() -> None:
    assert did_you_mean("from", ["from", "form"]) == ""


def test_suggestion_is_ready_to_be_appended() -> None:
    assert did_you_mean("frm", ["from"]) == " (did you mean from?)"
