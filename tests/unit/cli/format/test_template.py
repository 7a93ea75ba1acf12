"""The template engine against what Go's text/template (1.19) made of the same templates."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.cli.format.printing import quoted
from tierce.cli.format.template import Template
from tierce.cli.format.values import (
    FormatError,
    NilList,
    NilMap,
    NilPointer,
    StringMap,
    Struct,
)

CORPUS = json.loads((Path(__file__).parent / "go_outputs.json").read_text())


def go_map() -> object:
    """Decoded as Go decodes JSON into `interface{}`: every number is a float64."""
    return json.loads(json.dumps(CORPUS["map"]), parse_int=float)


def go_struct() -> Struct:
    """The value of the type `Image` that Go was given."""
    config = Struct(
        "main.Config",
        {
            "Hostname": "",
            "User": "root",
            "Env": ["PATH=/bin", "A=b c"],
            "Cmd": ["/bin/sh", "-c", 'echo <hi> & "bye"'],
            "Entrypoint": NilList(),
            "Healthcheck": NilPointer("main.Health"),
            "Volumes": NilMap(),
            "ExposedPorts": {
                "80/tcp": Struct("struct {}", {}),
                "443/tcp": Struct("struct {}", {}),
            },
            "Labels": StringMap({"rating": "Five Stars", "a.b": "c"}),
            "Tty": True,
        },
        omitted=frozenset({"Healthcheck", "ExposedPorts"}),
    )
    return Struct(
        "main.Image",
        {
            "Id": "sha256:0123456789abcdef0123456789abcdef",
            "RepoTags": ["alpine:3.15", "alpine:latest"],
            "Size": 44821234,
            "Ratio": 0.493,
            "Config": config,
            "Parent": NilPointer("main.Config"),
            "Anything": {
                "n": 1.5,
                "s": "x",
                "l": [1.0, "two", None, True],
                "nil": None,
                "m": {"k": "v"},
            },
        },
        aliases={"ID": "Id"},
    )


def outcome(template: str, value: object) -> dict[str, str]:
    try:
        return {"output": Template(template).execute(value)}
    except FormatError as error:
        return {"error": error.message}


@pytest.mark.parametrize("case", CORPUS["cases"], ids=lambda case: case["template"])
def test_result_and_error_are_those_of_go(case: dict[str, Any]) -> None:
    value = go_map() if case["data"] == "map" else go_struct()
    expected = {key: case[key] for key in ("output", "error") if key in case}
    assert outcome(case["template"], value) == expected


def test_name_of_a_field_in_json_works_beside_that_in_go() -> None:
    assert outcome("{{.Id}} {{.ID}}", go_struct())["output"].count("sha256:") == 2


def test_value_may_be_computed_when_it_is_asked_for() -> None:
    asked = []

    def costly() -> str:
        asked.append(1)
        return "x"

    value = Struct("t", {"Cheap": "a", "Costly": costly})
    assert outcome("{{.Cheap}}", value) == {"output": "a"}
    assert not asked
    assert outcome("{{.Costly}}", value) == {"output": "x"}


def test_missing_key_can_be_an_error() -> None:
    template = Template("{{.a}}{{.b}}")
    assert template.execute({"a": "x"}) == "x<no value>"
    with pytest.raises(FormatError, match=r'at <\.b>: map has no entry for key "b"'):
        template.execute({"a": "x"}, missing_key_is_error=True)


def test_else_with_chains_as_else_if_does() -> None:
    # Go has it since 1.23.
    text = "{{with .a}}a{{else with .b}}{{.}}{{else}}none{{end}}"
    assert outcome(text, {"b": "x"}) == {"output": "x"}
    assert outcome(text, {}) == {"output": "none"}


@pytest.mark.parametrize(
    "template",
    ['{{define "r"}}{{template "r"}}{{end}}{{template "r"}}', "{{" + "(" * 2000 + "1"],
)
def test_endless_and_deep_templates_are_refused(template: str) -> None:
    assert "error" in outcome(template, {})


@pytest.mark.parametrize(
    ("template", "headline"),
    [
        ("{{.ID}}\t{{.Name | upper}}", "IMAGE ID\tName Of It"),
        ("{{.ID | truncate 3}}", None),
        ('{{join .ID ","}} {{split .ID ","}} {{json .ID}}', "IMAGE ID IMAGE ID IMAGE ID"),
        ("{{pad .ID 1 2}}|", " IMAGE ID  |"),
        ("{{truncate .ID 3}}", "IMAGE ID"),
    ],
)
def test_functions_leave_headers_as_they_are(template: str, headline: str | None) -> None:
    headers: dict[str, object] = {"ID": "IMAGE ID", "Name": "Name Of It"}
    if headline is None:
        with pytest.raises(FormatError):
            Template(template).headline(headers)
    else:
        assert Template(template).headline(headers) == headline


WORDS = st.sampled_from(
    [
        "{{", "}}", "{{-", "-}}", " ", ".", ".a", "$", "$x", ":=", "=", "|", "(", ")", ",", '"s"',
        "`r`", "'c'", "1", "-1.5e3", "true", "nil", "if", "else", "end", "range", "with", "define",
        "template", "block", "break", "continue", "len", "index", "printf", "eq", "json", "\n", "é",
        "/*", "*/", "text",
    ]
)  # fmt: skip


@given(st.lists(WORDS, max_size=14).map("".join))
def test_any_text_gives_a_result_or_a_message_with_its_place(template: str) -> None:
    result = outcome(template, {"a": [1, "x", None, {"b": True}]})
    if "error" in result:
        assert result["error"].startswith("template: :")


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_outside_actions_comes_out_as_it_is(text: str) -> None:
    assert outcome(text, {}) == {"output": text}


@given(st.text())
def test_text_as_a_constant_comes_out_as_it_is(text: str) -> None:
    assert outcome("{{" + quoted(text) + "}}", {}) == {"output": text}


def test_method_takes_one_text_and_is_not_in_json() -> None:
    labels = {"a.b": "x"}
    value = Struct("main.Row", {"Name": "n"}, methods={"Label": lambda name: labels.get(name, "")})
    assert Template('{{.Label "a.b"}}|{{"a.b" | .Label}}|{{.Label "no"}}').execute(value) == "x|x|"
    assert Template('{{if eq (.Label "a.b") "x"}}yes{{end}}').execute(value) == "yes"
    assert Template("{{json .}}").execute(value) == '{"Name":"n"}'
    for text, complaint in (
        ("{{.Label}}", "wrong number of args for Label: want 1 got 0"),
        ('{{.Label "a" "b"}}', "wrong number of args for Label: want 1 got 2"),
        ("{{.Label 1}}", "expected string; found 1"),
        ('{{.Other "a"}}', "can't evaluate field Other"),
    ):
        with pytest.raises(FormatError, match=complaint):
            Template(text).execute(value)
