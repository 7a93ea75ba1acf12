"""The golden cases of checks: what tierce finds in a Dockerfile is what BuildKit finds."""

import pytest

from support.checks import GOLDEN, answer, expected
from support.frontend import Case, cases
from tierce.dockerfile import lint

CASES = list(cases(GOLDEN))
RULES = {value.name for value in vars(lint).values() if isinstance(value, lint.Rule)}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answer_is_that_of_buildkit(case: Case) -> None:
    ours, theirs = answer(case), expected(case)
    assert ours["json"] == theirs["json"]
    assert ours["text"] == theirs["text"]
    assert ours["status"] == theirs["status"]


def test_each_rule_has_a_case_that_finds_it() -> None:
    found = {
        warning["ruleName"]
        for case in CASES
        for warning in expected(case)["json"].get("warnings") or []
    }
    assert found == RULES
