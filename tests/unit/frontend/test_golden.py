"""The golden cases: what tierce makes of a Dockerfile is what BuildKit makes of it."""

import json
from typing import Any

import pytest

from support.frontend import GOLDEN, REFUSALS, Case, agree, cases, described
from tierce.errors import DockerfileError

LOWERED = list(cases(GOLDEN))
REFUSED = list(cases(REFUSALS))


def expected(case: Case) -> Any:
    return json.loads((GOLDEN / f"{case.group}.json").read_text())[case.name]


@pytest.mark.parametrize("case", LOWERED, ids=str)
def test_steps_are_those_of_buildkit(case: Case) -> None:
    ours, theirs = described(case.plan()), expected(case).get("steps", [])
    assert agree(ours, theirs), f"BuildKit {theirs}, tierce {ours}"


@pytest.mark.parametrize("case", LOWERED, ids=str)
def test_config_and_history_are_those_of_buildkit(case: Case) -> None:
    assert json.loads(case.plan().config.encode()) == expected(case)["config"]


@pytest.mark.parametrize("case", LOWERED, ids=str)
def test_each_new_entry_with_a_layer_belongs_to_a_vertex(case: Case) -> None:
    plan = case.plan()
    new = range(plan.inherited_history, len(plan.config.history))
    with_layer = [number for number in new if not plan.config.history[number].empty_layer]
    assert [layer.history for layer in plan.layers] == with_layer


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refusal_names_the_mistake_and_its_line(case: Case) -> None:
    with pytest.raises(DockerfileError) as caught:
        case.plan()
    error = caught.value
    assert error.message == case.table["message"]
    assert (error.line, error.end_line) == (
        case.table["line"],
        case.table.get("end_line", case.table["line"]),
    )
    assert error.hint == case.table.get("hint", "")
    assert "\n" not in error.message
    if error.line:
        assert error.source == case.table["dockerfile"].removeprefix("\ufeff")
        assert error.file == "Dockerfile"
