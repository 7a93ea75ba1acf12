"""SOURCE_DATE_EPOCH that is a name; tests/golden/builds/source-date-epoch has what it comes to."""

from typing import Any

import pytest

from support.frontend import Resolver, exec_of, plan_of
from tierce.errors import DockerfileError, InvalidValue, UsageError
from tierce.frontend.options import NamedContext
from tierce.graph import GitSource, HttpSource, LocalSource, Vertex

SOURCE = "FROM scratch AS source\n"
USE = "FROM alpine\nARG SOURCE_DATE_EPOCH\nRUN x\n"
URL = "https://example.org/src.tar"


class Times:
    """Knows one time, and notes what it was asked for."""

    def __init__(self, seconds: int | None = 5) -> None:
        self.seconds = seconds
        self.asked: list[Vertex] = []

    def __call__(self, vertex: Vertex) -> int | None:
        self.asked.append(vertex)
        return self.seconds


def seen_by_run(text: str, times: Times, **options: Any) -> str | None:
    plan = plan_of(text, source_time=times, **options)
    assert plan.source_date_epoch == times.seconds
    return dict(exec_of(plan, "x").env).get("SOURCE_DATE_EPOCH")


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (f"ADD {URL} /\n", HttpSource(URL, "src.tar")),
        (f"ARG NAME=src\nADD {URL.replace('src', '$NAME')} /\n", HttpSource(URL, "src.tar")),
        ("ADD https://github.com/a/b.git#v1 /\n", None),
    ],
)
def test_a_stage_of_one_remote_add_has_its_time(added: str, expected: HttpSource | None) -> None:
    times = Times()
    text = f"ARG SOURCE_DATE_EPOCH=source\n{SOURCE}{added}{USE}"
    assert seen_by_run(text, times) == "5"
    [asked] = times.asked
    assert asked.op == expected or isinstance(asked.op, GitSource)


def test_build_arguments_count_in_the_stage() -> None:
    times = Times()
    text = f"ARG SOURCE_DATE_EPOCH=source\n{SOURCE}ARG URL=none\nADD $URL /\n{USE}"
    assert seen_by_run(text, times, build_args={"URL": URL}) == "5"
    assert times.asked[0].op == HttpSource(URL, "src.tar")


def test_the_stage_itself_sees_no_name_of_it() -> None:
    text = f"ARG SOURCE_DATE_EPOCH=source\n{SOURCE}ADD https://e.org/x$SOURCE_DATE_EPOCH /\n{USE}"
    times = Times()
    seen_by_run(text, times)
    assert times.asked[0].op == HttpSource("https://e.org/x", "x")


def test_the_build_context_has_the_time_of_what_it_is_made_from() -> None:
    context = Vertex(HttpSource(URL, "context"))
    times = Times()
    assert seen_by_run(USE, times, build_args={"SOURCE_DATE_EPOCH": "context"}, context=context)
    assert times.asked == [context]


@pytest.mark.parametrize("given", [{"build_args": {"SOURCE_DATE_EPOCH": "context"}}, {}])
def test_the_directory_of_the_caller_has_no_time(given: dict[str, Any]) -> None:
    times = Times(None)
    text = USE if given else f"ARG SOURCE_DATE_EPOCH=context\n{USE}"
    assert seen_by_run(text, times, **given) is None
    assert times.asked == []


def test_a_context_with_a_name_goes_before_a_stage() -> None:
    files = Vertex(LocalSource("context:source"))
    times = Times(None)
    text = f"ARG SOURCE_DATE_EPOCH=source\n{SOURCE}{USE}"
    options = {"contexts": {"source": "/d"}, "load_context": lambda *_: NamedContext(files)}
    assert seen_by_run(text, times, **options) is None
    assert times.asked == [files]


def test_a_context_that_is_a_stage_has_the_time_of_that() -> None:
    times = Times()
    text = f"ARG SOURCE_DATE_EPOCH=other\n{SOURCE}ADD {URL} /\n{USE}"
    assert seen_by_run(text, times, contexts={"other": "target:Source"}) == "5"


def test_nothing_is_asked_by_who_only_looks_at_the_dockerfile() -> None:
    plan = plan_of(f"ARG SOURCE_DATE_EPOCH=source\n{SOURCE}ADD {URL} /\n{USE}", Resolver())
    assert plan.source_date_epoch is None
    assert "SOURCE_DATE_EPOCH" not in dict(exec_of(plan, "x").env)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("FROM alpine AS source\nADD https://e.org/a /\n", "stage must use FROM scratch"),
        (SOURCE, "stage must contain exactly one remote ADD"),
        (f"{SOURCE}ADD {URL} /\nADD {URL} /\n", "stage must contain exactly one remote ADD"),
        (f"{SOURCE}ADD {URL} {URL} /d/\n", "stage must contain exactly one remote ADD source"),
        (f"{SOURCE}ADD <<A /d/\nx\nA\n", "stage must contain exactly one remote ADD source"),
        (f"{SOURCE}ADD a /\n", "stage source must be a single HTTP(S) or Git ADD"),
        (
            f"{SOURCE}COPY a /\n",
            "stage does not meet source-only requirements: unsupported COPY instruction",
        ),
        (
            f"{SOURCE}ADD {URL} /\nLabel a=b\n",
            "stage does not meet source-only requirements: unsupported Label instruction",
        ),
    ],
)
def test_a_stage_of_any_other_kind_is_refused(stage: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan_of(f"ARG SOURCE_DATE_EPOCH=source\n{stage}{USE}", source_time=Times())
    assert caught.value.message == f"SOURCE_DATE_EPOCH {message}"
    assert caught.value.line == 2


def test_what_has_no_such_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^invalid SOURCE_DATE_EPOCH: not-a-timestamp$"):
        plan_of(f"ARG SOURCE_DATE_EPOCH=not-a-timestamp\n{USE}")


@pytest.mark.parametrize("name", ["Not A Time", "९", "--1", "a\x00b", "../..", "$"])
def test_what_can_be_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match=r"^invalid context name"):
        plan_of(USE, build_args={"SOURCE_DATE_EPOCH": name})


def test_a_time_that_no_text_can_tell_is_refused() -> None:
    text = f"ARG SOURCE_DATE_EPOCH=source\n{SOURCE}ADD {URL} /\n{USE}"
    with pytest.raises(UsageError, match="invalid SOURCE_DATE_EPOCH: 999999999999"):
        plan_of(text, source_time=Times(999999999999))
