"""`tierce build --check` and `--call`, and what a build is warned of."""

import json
from pathlib import Path

import pytest

from support.program import Tierce, write_context
from tierce.client import Client
from tierce.client.builds import BuildRequest

QUESTIONABLE = """\
# base is described
FROM golden-base as base
ARG WHAT=1
ENV a $nothing
RUN --mount=type=secret,id=key,required true
CMD run
"""
LINES = [
    "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)",
    "UndefinedVar: Usage of undefined variable '$nothing' (line 4)",
    (
        'LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value"'
        " format (line 4)"
    ),
    (
        "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior"
        " related to OS signals (line 6)"
    ),
]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_context(tmp_path / "context", QUESTIONABLE)


def test_check_prints_each_warning_with_its_lines_and_runs_nothing(
    shared: Tierce, context: Path
) -> None:
    outcome = shared.build(context, "--check", status=1)
    lines = outcome.stdout.splitlines()
    assert lines[:11] == [
        "Check complete, 4 warnings have been found!",
        "",
        "WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/",
        "'as' and 'FROM' keywords' casing do not match",
        f"{context}/Dockerfile:2",
        "--------------------",
        "   1 |     # base is described",
        "   2 | >>> FROM golden-base as base",
        "   3 |     ARG WHAT=1",
        "   4 |     ENV a $nothing",
        "--------------------",
    ]
    assert [line for line in lines if line.startswith("WARNING")][1:] == [
        f"WARNING: {name} - https://docs.docker.com/go/dockerfile/rule/{page}/"
        for name, page in (
            ("UndefinedVar", "undefined-var"),
            ("LegacyKeyValueFormat", "legacy-key-value-format"),
            ("JSONArgsRecommended", "json-args-recommended"),
        )
    ]
    assert "[internal] load build definition" in outcome.stderr
    assert "RUN" not in outcome.stderr
    assert "exporting" not in outcome.stderr


def test_check_of_a_good_file_says_so(shared: Tierce, tmp_path: Path) -> None:
    good = write_context(tmp_path / "good", "FROM golden-base\nRUN true\n")
    assert shared.build(good, "--check").stdout == "Check complete, no warnings found.\n"


def test_check_goes_to_the_mistake_and_tells_it(shared: Tierce, tmp_path: Path) -> None:
    text = "FROM golden-base AS A\nENV a=${b:?why}\n"
    bad = write_context(tmp_path / "bad", text)
    outcome = shared.build(bad, "--check", status=1)
    assert outcome.stdout.startswith("Check complete, 2 warnings have been found!\n")
    assert outcome.stdout.endswith("--------------------\n\n")
    refusal = outcome.stderr.splitlines()
    start = refusal.index('ERROR: failed to process "${b:?why}": b: why')
    assert refusal[start + 1 : start + 5] == [
        f"{bad}/Dockerfile:2",
        "--------------------",
        "   1 |     FROM golden-base AS A",
        "   2 | >>> ENV a=${b:?why}",
    ]


def test_check_needs_the_base_as_buildkit_does(shared: Tierce, tmp_path: Path) -> None:
    absent = write_context(tmp_path / "absent", "FROM nowhere AS A\nENV a=$b\n")
    outcome = shared.build(absent, "--check", status=1)
    assert "StageNameCasing" in outcome.stdout
    assert "UndefinedVar" not in outcome.stdout
    assert "ERROR: nowhere: resolve docker.io/library/nowhere:latest" in outcome.stderr


def test_check_as_json_and_in_the_metadata_file(
    shared: Tierce, context: Path, tmp_path: Path
) -> None:
    path = tmp_path / "metadata"
    outcome = shared.build(
        context, "--call=check,format=json", "--metadata-file", str(path), status=1
    )
    document = json.loads(outcome.stdout)
    assert [each["ruleName"] for each in document["warnings"]] == [
        line.partition(":")[0] for line in LINES
    ]
    [source] = document["sources"]
    assert (source["filename"], source["language"]) == ("Dockerfile", "Dockerfile")
    metadata = json.loads(path.read_text())
    assert metadata["result.json"] == document
    assert metadata["result.statuscode"] == "1"
    assert metadata["result.txt"].startswith("\nWARNING: FromAsCasing")


def test_check_can_leave_the_exit_status_alone(shared: Tierce, context: Path) -> None:
    assert shared.build(context, "--call=check,ignorestatus=true").stdout.startswith("Check")


def test_outline_shows_what_a_build_takes(shared: Tierce, context: Path) -> None:
    assert shared.build(context, "--call", "outline", "--build-arg", "WHAT=2").stdout == (
        "TARGET:      base\n"
        "DESCRIPTION: is described\n"
        "\n"
        "BUILD ARG   VALUE   DESCRIPTION\n"
        "WHAT        2       \n"
        "\n"
        "SECRET   REQUIRED\n"
        "key      true\n"
        "\n"
    )
    document = json.loads(shared.build(context, "--call=outline,format=json").stdout)
    assert [each["name"] for each in document["args"]] == ["WHAT"]
    assert document["secrets"][0]["required"] is True


def test_targets_are_listed_whether_they_can_be_built_or_not(
    shared: Tierce, tmp_path: Path
) -> None:
    several = write_context(
        tmp_path / "several", "# a is first\nFROM nowhere AS a\nFROM a AS other\n"
    )
    assert shared.build(several, "--call=targets").stdout == (
        "TARGET          DESCRIPTION\na               is first\nother (default) \n"
    )


def test_questions_can_be_asked_for(shared: Tierce, context: Path) -> None:
    listed = shared.build(context, "--call=subrequests.describe").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [
        "NAME",
        "outline",
        "targets",
        "subrequests.describe",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("nothing", "ERROR: unsupported request frontend.nothing"),
        ("check,outline", "tierce: invalid print value: check,outline"),
        ("check,form=json", "tierce: invalid print field: form=json"),
        ("check,ignorestatus=x", "tierce: invalid ignorestatus print value: x"),
    ],
)
def test_calls_that_make_no_sense_are_refused(
    shared: Tierce, context: Path, call: str, message: str
) -> None:
    assert message in shared.build(context, f"--call={call}", status=1).stderr.splitlines()


def test_call_of_a_build_builds(shared: Tierce, tmp_path: Path) -> None:
    plain = write_context(tmp_path / "plain", "FROM golden-base\n")
    assert "exporting to image" in shared.build(plain, "--call=build").stderr


def test_warnings_are_summed_up_after_a_build(shared: Tierce, tmp_path: Path) -> None:
    text = QUESTIONABLE.replace(",required", "")
    context = write_context(tmp_path / "context", text)
    stderr = shared.build(context).stderr
    for line in LINES:
        assert f"#1 WARN: {line}\n" in stderr
    summary = [" 4 warnings found (use tierce --debug to expand):"]
    summary += [f" - {line}" for line in LINES]
    assert stderr.splitlines()[-5:] == summary
    expanded = shared.run("--debug", "build", "--progress", "plain", str(context)).stderr
    assert " 4 warnings found:\n" in expanded
    assert (
        f" - {LINES[0]}\n"
        "The 'as' keyword should match the case of the 'from' keyword\n"
        "More info: https://docs.docker.com/go/dockerfile/rule/from-as-casing/\n"
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     # base is described\n"
        "   2 | >>> FROM golden-base as base\n"
    ) in expanded


def test_warnings_of_a_build_that_fails_come_before_the_mistake(
    shared: Tierce, tmp_path: Path
) -> None:
    bad = write_context(tmp_path / "bad", "FROM golden-base as a\nRUN false\n")
    stderr = shared.build(bad, status=1).stderr
    assert stderr.index("1 warning found") < stderr.index("\nERROR: ")


def test_warnings_are_whole_in_raw_json(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base \\\n  as a\n")
    lines = shared.run("build", "--progress", "rawjson", str(context)).stderr.splitlines()
    [warning] = [each for line in lines for each in json.loads(line).get("warnings", ())]
    assert warning["vertex"].startswith("sha256:")
    assert warning["url"].endswith("/from-as-casing/")
    assert warning["sourceInfo"]["filename"] == "Dockerfile"
    assert [each["start"]["line"] for each in warning["range"]] == [1, 2]
    assert len(warning["detail"]) == 1


def test_violations_can_be_errors(shared: Tierce, tmp_path: Path) -> None:
    text = "FROM golden-base as a\nRUN true\n"
    strict = write_context(tmp_path / "strict", f"# check=error=true\n{text}")
    message = "ERROR: lint violation found for rules: FromAsCasing"
    outcome = shared.build(strict, status=1)
    assert message in outcome.stderr.splitlines()
    assert "RUN true" not in outcome.stderr
    argument = "BUILDKIT_DOCKERFILE_CHECK=skip=FromAsCasing"
    shared.build(strict, "--build-arg", argument)
    lax = write_context(tmp_path / "lax", text)
    shared.build(lax)
    argument = "BUILDKIT_DOCKERFILE_CHECK=error=true"
    assert message in shared.build(lax, "--build-arg", argument, status=1).stderr
    argument = "BUILDKIT_DOCKERFILE_CHECK=x"
    message = 'failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK: invalid check option "x"'
    for flags in ((), ("--check",)):
        stderr = shared.build(lax, *flags, "--build-arg", argument, status=1).stderr
        assert f"ERROR: {message}" in stderr.splitlines()


def test_library_answers_with_values(shared: Tierce, context: Path) -> None:
    with Client(shared.root) as client:
        request = BuildRequest(str(context))
        checked = client.builds.check(request)
        assert checked.error is None
        assert [(each.rule.name, each.first_line) for each in checked.findings] == [
            ("FromAsCasing", 2),
            ("UndefinedVar", 4),
            ("LegacyKeyValueFormat", 4),
            ("JSONArgsRecommended", 6),
        ]
        outline = client.builds.outline(request)
        assert [(each.name, each.value) for each in outline.arguments] == [("WHAT", "1")]
        assert [(each.name, each.is_required) for each in outline.secrets] == [("key", True)]
        [target] = client.builds.targets(request).targets
        assert (target.name, target.is_default) == ("base", True)
