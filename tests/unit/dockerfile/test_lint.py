"""Rules, and what decides whether they are reported. What they find is in tests/golden/lint."""

import pytest

from tierce.dockerfile import lint
from tierce.dockerfile.lint import (
    CheckOptions,
    Finding,
    Linter,
    check_directive,
    make_linter,
    parse_check_options,
)
from tierce.errors import InvalidValue

RULES = [value for value in vars(lint).values() if isinstance(value, lint.Rule)]


def linter_with(options: str) -> tuple[Linter, list[Finding]]:
    found: list[Finding] = []
    return Linter(parse_check_options(options), found.append), found


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) == 22


def test_page_of_a_rule_is_its_name_in_other_spelling() -> None:
    for rule in RULES:
        if rule.page:
            assert rule.page.replace("-", "") == rule.name.lower()
            assert rule.url == f"https://docs.docker.com/go/dockerfile/rule/{rule.page}/"
        else:
            assert rule.url == ""


def test_finding_has_the_words_in_their_places() -> None:
    linter, found = linter_with("")
    linter.report(lint.SECRETS_USED_IN_ARG_OR_ENV, 3, 4, "ENV", 'a"b')
    [finding] = found
    assert finding.message.endswith('(ENV "a\\"b")')
    assert (finding.first_line, finding.last_line) == (3, 4)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", CheckOptions()),
        (" ", CheckOptions()),
        ("skip=all", CheckOptions(skip_all=True)),
        ("skip=A, B ,C", CheckOptions(frozenset(["A", "B", "C"]))),
        ("experimental=all;error=1", CheckOptions(experimental_all=True, is_error=True)),
        ("error=true;error=false", CheckOptions()),
        ("skip=all;skip=A", CheckOptions(frozenset(["A"]))),
    ],
)
def test_options_are_read(text: str, options: CheckOptions) -> None:
    assert parse_check_options(text) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skip", 'invalid check option "skip"'),
        ("skip=A;", 'invalid check option ""'),
        ("x=y", 'invalid check option "x"'),
        (
            "error=maybe",
            (
                'failed to parse check option "error=maybe":'
                ' strconv.ParseBool: parsing "maybe": invalid syntax'
            ),
        ),
    ],
)
def test_options_without_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_check_options(text)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"# check=skip=all\nFROM x", "skip=all"),
        (b"\xef\xbb\xbf#check = a b\r\n", "a"),
        (b"#!/bin/x\n# escape=`\n# check=a", "a"),
        (b"# comment\n# check=a", ""),
        (b"# unknown=a\n# check=a", ""),
        (b"\n# check=a", ""),
        (b" # check=a", ""),
        (b"FROM x\n# check=a", ""),
        (b"# check=\xff", "\ufffd"),
        (b"", ""),
        (b"#", ""),
    ],
)
def test_directive_stands_at_the_top(text: bytes, value: str) -> None:
    assert check_directive(text) == value


def test_experimental_rule_is_reported_where_it_is_asked_for() -> None:
    rule = lint.INVALID_DEFINITION_DESCRIPTION
    for options, is_reported in (
        ("", False),
        ("skip=all;experimental=all", True),
        (f"experimental={rule.name}", True),
        ("experimental=Other", False),
        (f"experimental=all;skip={rule.name}", True),
    ):
        linter, found = linter_with(options)
        linter.report(rule, 1, 1, "ARG", "x")
        assert bool(found) == is_reported, options


def test_comment_adds_to_the_options_for_one_instruction() -> None:
    linter, found = linter_with("skip=MaintainerDeprecated;error=true")
    here = linter.under(["text", "check=skip=StageNameCasing // why"])
    here.report(lint.STAGE_NAME_CASING, 1, 1, "A")
    here.report(lint.MAINTAINER_DEPRECATED, 1, 1)
    assert not found
    linter.report(lint.STAGE_NAME_CASING, 1, 1, "A")
    assert len(found) == 1
    assert linter.under(["check=nonsense", "check=skip=all"]) is linter
    assert linter.under([]) is linter


def test_failure_names_each_violated_rule_once() -> None:
    linter, _ = linter_with("error=true")
    assert linter.failure() == ""
    linter.report(lint.STAGE_NAME_CASING, 1, 1, "A")
    linter.under(["check=skip=FromAsCasing"]).report(lint.MAINTAINER_DEPRECATED, 2, 2)
    linter.report(lint.STAGE_NAME_CASING, 3, 3, "B")
    expected = "lint violation found for rules: StageNameCasing, MaintainerDeprecated"
    assert linter.failure() == expected
    lax, _ = linter_with("")
    lax.report(lint.STAGE_NAME_CASING, 1, 1, "A")
    assert lax.failure() == ""


def test_build_argument_stands_in_place_of_the_directive() -> None:
    found: list[Finding] = []
    given = {lint.BUILD_ARG: "skip=StageNameCasing"}
    linter = make_linter(b"# check=skip=all\n", given, found.append)
    linter.report(lint.STAGE_NAME_CASING, 1, 1, "A")
    linter.report(lint.MAINTAINER_DEPRECATED, 1, 1)
    assert [each.rule.name for each in found] == ["MaintainerDeprecated"]
    with pytest.raises(InvalidValue, match="failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK"):
        make_linter(b"", {lint.BUILD_ARG: "x"}, found.append)
    with pytest.raises(InvalidValue, match="failed to parse check options"):
        make_linter(b"# check=x\n", {}, found.append)
