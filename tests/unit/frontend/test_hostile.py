"""Dockerfiles that want to do harm: they end in an error with a place, and soon."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.frontend import BUILD_PLATFORM, Resolver, plan_of
from tierce.cli.building.answers import CheckAnswer
from tierce.dockerfile.lint import FINDINGS_LIMIT
from tierce.dockerfile.parser import parse
from tierce.errors import DockerfileError
from tierce.frontend.check import check
from tierce.frontend.options import Options

WORDS = (
    "$A ${A} ${A:-x} ${A%*x} ${A/x/$A} ${ ' \" \\ ` <<E <<-'E' E [\"a\"] [1] a=b = : , / .. /a"
    " --from=s --from=0 --mount=type=cache,target=/c --mount=from=s,target=/x --chmod=7 -- AS s"
    " alpine scratch 80 80/udp 1-9 CMD NONE \0 \x85 \ufeff é \ud800 # \t"
).split(" ")
KEYWORDS = (
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL"
    " STOPSIGNAL USER VOLUME WORKDIR ONBUILD\tRUN from #escape=` # RUM"
).split(" ")

LINES = st.builds(
    lambda keyword, words, end: " ".join([keyword, *words]) + end,
    st.sampled_from(KEYWORDS),
    st.lists(st.sampled_from(WORDS), max_size=5),
    st.sampled_from(["\n", "\r\n", " \\\n", "`\n", "\nE\n", ""]),
)
FILES = st.builds(
    lambda head, lines: head + "".join(lines),
    st.sampled_from(["", "FROM alpine\n", "FROM alpine AS s\n", "ARG A=1\nFROM full\n"]),
    st.lists(LINES, max_size=8),
)


@settings(max_examples=500)
@given(FILES, st.dictionaries(st.sampled_from(["A", "s"]), st.text(max_size=5)))
def test_any_file_lowers_or_is_refused_with_a_line(text: str, arguments: dict[str, str]) -> None:
    error: DockerfileError | None = None
    try:
        plan_of(text, build_args=arguments).config.encode()
    except DockerfileError as caught:
        error = caught
    if error is not None:
        lines = text.removeprefix("\ufeff").count("\n") + 1
        assert 0 <= error.line <= error.end_line <= lines
        assert error.line or "stages" in error.message or "empty" in error.message
        assert "\n" not in error.message


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    error: DockerfileError | None = None
    try:
        parse(b"FROM a\n" + raw)
    except DockerfileError as caught:
        error = caught
    assert error is None or error.line >= 1


@pytest.mark.parametrize(
    "text",
    [
        "ENV a=0123456789abcdef\n" + "ENV a=$a$a\n" * 64,
        "ENV a=" + "x" * 60_000 + "\n" + "".join(f"ENV b{i}=$a$a$a$a\n" for i in range(100)),
        "ARG a=" + "x" * 60_000 + "\n" + "RUN true\n" * 500,
        "ENV a=" + "x" * 60_000 + "\n" + "".join(f"LABEL l{i}=$a$a\n" for i in range(200)),
        "ENV a=" + "x" * 60_000 + "\nENV b=" + "$a" * 30_000 + "\n",
        "ENV a=" + "x" * 60_000 + "\nLABEL l=" + "${a%y}" * 10_000 + "\n",
        "ENV a=" + "x" * 60_000 + "\nENV b=${a//x/" + "y" * 5_000 + "}\n",
        "ENV a=" + "x" * 60_000 + "\nENV b=${a//?/y}\n",
        "USER " + "${a:-" * 10_000 + "\n",
        "".join(f"EXPOSE 1-65535\nEXPOSE {i}\n" for i in range(40)),
    ],
    ids=[
        "doubling",
        "many-large-variables",
        "arguments-in-each-history-entry",
        "labels",
        "long-line-of-variables",
        "patterns",
        "large-replacement",
        "many-replacements",
        "deep",
        "all-ports",
    ],
)
def test_growth_is_bounded(text: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan_of("FROM alpine\n" + text)
    assert caught.value.line > 1


def test_many_steps_and_stages_take_no_recursion() -> None:
    stages = "".join(
        f"FROM s{number - 1} AS s{number}\nCOPY --from=s{number - 1} /a /b\n"
        for number in range(1, 1500)
    )
    plan = plan_of("FROM alpine AS s0\n" + stages)
    assert len(plan.layers) == 1499


def test_long_continuation_is_one_instruction() -> None:
    plan = plan_of("FROM alpine\nRUN " + "a \\\n" * 20_000 + "b\n")
    assert plan.vertex.source is not None
    assert plan.vertex.source.last_line == 20_002


def test_file_made_of_findings_has_a_bounded_number_of_them() -> None:
    files = {
        "many": "FROM alpine\n" + "CMD a\n" * 20_000,
        "long": "FROM alpine\nENV " + " \\\n ".join(f"a{n}=$b{n}" for n in range(20_000)),
        "wide": "FROM alpine\nEXPOSE " + " ".join(["80:80/TCP"] * 6000),
    }
    for name, text in files.items():
        options = Options(build_platform=BUILD_PLATFORM)
        result = check(text.encode(), "Dockerfile", options, Resolver(), lambda: None)
        assert 1 <= len(result.findings) <= FINDINGS_LIMIT, name
        answer = CheckAnswer(result)
        assert answer.status == 1
        assert len(answer.text("Dockerfile")) < 50_000_000, name
