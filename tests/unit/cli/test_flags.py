"""The grammar of flags: pflag's, case by case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.cli.flags import (
    Command,
    Flag,
    Parsed,
    check_arguments,
    converted,
    edit_distance,
    nearest,
    parse,
    parse_size,
)
from tierce.errors import UsageError

COMMAND = Command(
    name="thing do",
    usage="[OPTIONS] THING",
    short="Do a thing",
    flags=(
        Flag("all", "a"),
        Flag("interactive", "i"),
        Flag("tty", "t"),
        Flag("rm"),
        Flag("human", "H", default=True),
        Flag("format", "f", kind="string", default="table"),
        Flag("hostname", "h", kind="string"),
        Flag("limit", "n", kind="int", default=3),
        Flag("cpus", kind="float"),
        Flag("memory", "m", kind="bytes"),
        Flag("filter", kind="list"),
        Flag("env", "e", kind="map"),
        Flag("colour", "c", kind="string", implied="always"),
        Flag("secret", kind="string", hidden=True),
    ),
    minimum=1,
    maximum=None,
)
RUN = COMMAND.replace(interspersed=False)


def parsed(*words: str, command: Command = COMMAND) -> Parsed:
    return parse(command, words)


def refusal(*words: str, command: Command = COMMAND) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        parse(command, words)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--format=x"], "x"),
        (["--format", "x"], "x"),
        (["-f", "x"], "x"),
        (["-fx"], "x"),
        (["-f=x"], "x"),
        (["-f="], "="),
        (["--format="], ""),
        (["--format", "-x"], "-x"),
        (["--format", "--"], "--"),
        (["-f", "a", "-f", "b"], "b"),
        (["--format=a=b"], "a=b"),
        ([], "table"),
    ],
)
def test_string_takes_its_value_in_every_form(words: list[str], value: str) -> None:
    assert parsed(*words).text("format") == value


@pytest.mark.parametrize(
    ("words", "all_", "tty"),
    [
        (["-at"], True, True),
        (["-a", "-t"], True, True),
        (["--all=true"], True, False),
        (["--all=false", "-t"], False, True),
        (["-a=0"], False, False),
        (["-a=T"], True, False),
        (["--all", "--all=false"], False, False),
    ],
)
def test_booleans_are_bundled_and_take_values_behind_an_equals_sign(
    words: list[str], all_: bool, tty: bool
) -> None:
    found = parsed(*words)
    assert (found.flag("all"), found.flag("tty")) == (all_, tty)


def test_boolean_does_not_swallow_the_word_after_it() -> None:
    found = parsed("--all", "false")
    assert found.flag("all")
    assert found.arguments == ["false"]


def test_last_of_a_bundle_may_take_a_value() -> None:
    found = parsed("-itfx", "-ita", "y")
    assert found.text("format") == "x"
    assert found.arguments == ["y"]


def test_default_stands_until_the_flag_is_given() -> None:
    assert parsed().flag("human")
    assert not parsed("--human=false").flag("human")
    assert parsed().integer("limit") == 3
    assert not parsed("--human=false").given("limit")
    assert parsed("-n", "0x10").integer("limit") == 16


def test_lists_and_maps_collect_in_order() -> None:
    found = parsed("--filter", "a=1", "--filter=b", "-eX=1", "-e", "Y", "--env=Z=")
    assert found.texts("filter") == ["a=1", "b"]
    assert found.pairs("env") == [("X", "1"), ("Y", None), ("Z", "")]
    assert parsed().texts("filter") == []


def test_flag_with_an_implied_value_takes_another_only_behind_an_equals_sign() -> None:
    assert parsed("--colour", "never").text("colour") == "always"
    assert parsed("--colour", "never").arguments == ["never"]
    assert parsed("--colour=never").text("colour") == "never"
    assert parsed("-c").text("colour") == "always"


def test_flags_and_arguments_mix_unless_the_command_says_otherwise() -> None:
    assert parsed("x", "--all", "y").arguments == ["x", "y"]
    assert parsed("x", "--all", "y").flag("all")
    found = parsed("-i", "image", "sh", "-a", "--", "x", command=RUN)
    assert found.arguments == ["image", "sh", "-a", "--", "x"]
    assert not found.flag("all")


def test_two_dashes_end_the_flags() -> None:
    assert parsed("-a", "--", "--format", "-t").arguments == ["--format", "-t"]
    assert parsed("--", "image", "--", "x", command=RUN).arguments == ["image", "--", "x"]


def test_single_dash_and_empty_words_are_arguments() -> None:
    assert parsed("-", "", "x").arguments == ["-", "", "x"]


def test_help_is_known_to_every_command() -> None:
    assert parsed("--help", "x").wants_help
    assert parse(Command("x", "", ""), ["-h"]).wants_help
    # This one has another use for the letter.
    assert parsed("-h", "host").text("hostname") == "host"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--fromat"], "unknown flag: --fromat", "did you mean --format?"),
        (["--fil"], "unknown flag: --fil", "did you mean --filter?"),
        (["--fromat=x"], "unknown flag: --fromat", "did you mean --format?"),
        (["--quite-other"], "unknown flag: --quite-other", ""),
        (["--secre"], "unknown flag: --secre", ""),
        (["-z"], "unknown shorthand flag: 'z' in -z", ""),
        (["-az"], "unknown shorthand flag: 'z' in -az", ""),
        (["-rm"], "unknown shorthand flag: 'r' in -rm", "did you mean --rm?"),
        (["--format"], "flag needs an argument: --format", ""),
        (["-f"], "flag needs an argument: 'f' in -f", ""),
        (["-af"], "flag needs an argument: 'f' in -af", ""),
        (["--=x"], "bad flag syntax: --=x", ""),
        (["---all"], "bad flag syntax: ---all", ""),
    ],
)
def test_mistakes_are_refused_in_the_words_of_docker(
    words: list[str], message: str, hint: str
) -> None:
    assert refusal(*words) == (message, hint)


@pytest.mark.parametrize(
    ("words", "value", "flag", "complaint"),
    [
        ("--all=maybe", "maybe", "-a, --all", "must be true or false"),
        ("--rm=x", "x", "--rm", "must be true or false"),
        ("-n x", "x", "-n, --limit", "must be a whole number"),
        ("--cpus x", "x", "--cpus", "must be a number"),
        ("-m x", "x", "-m, --memory", "must be a size such as 96m or 1.5g"),
        ("-m 8e", "8e", "-m, --memory", "must be a size such as 96m or 1.5g"),
        (f"-m {'9' * 400}", "9" * 400, "-m, --memory", "is more than can be counted"),
        ("-e =x", "=x", "-e, --env", "the name before '=' is missing"),
    ],
)
def test_value_that_does_not_fit_is_refused_with_the_reason(
    words: str, value: str, flag: str, complaint: str
) -> None:
    message = f'invalid argument "{value}" for "{flag}" flag: {complaint}'
    assert refusal(*words.split()) == (message, "")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512), ("96m", 96 << 20), ("1.5g", 3 << 29), ("1k", 1024), ("1KiB", 1024),
        ("2 MB", 2 << 20), ("7b", 7), ("0", 0), ("1T", 1 << 40), ("1p", 1 << 50),
    ],
)  # fmt: skip
def test_sizes_have_binary_units(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert converted("bytes", text) == size


@pytest.mark.parametrize("text", ["", "m", "1x", "-1", "1.2.3", "one", "1 k k", "٣", "1e3", "."])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("least", "most", "count", "complaint"),
    [
        (0, 0, 1, "accepts no arguments."),
        (2, 2, 1, "requires exactly 2 arguments."),
        (1, 1, 0, "requires exactly 1 argument."),
        (1, None, 0, "requires at least 1 argument."),
        (0, 1, 2, "requires at most 1 argument."),
        (1, 2, 3, "requires at least 1 and at most 2 arguments."),
    ],
)
def test_number_of_arguments_is_checked(
    least: int, most: int | None, count: int, complaint: str
) -> None:
    command = Command("image tag", "", "", minimum=least, maximum=most)
    with pytest.raises(UsageError) as caught:
        check_arguments(command, ["x"] * count)
    assert caught.value.message == f'"tierce image tag" {complaint}'


@pytest.mark.parametrize(
    ("least", "most", "count"), [(0, 0, 0), (1, None, 5), (0, 1, 0), (1, 2, 2)]
)
def test_right_number_of_arguments_passes(least: int, most: int | None, count: int) -> None:
    check_arguments(Command("x", "", "", minimum=least, maximum=most), ["x"] * count)


@given(st.lists(st.text(alphabet="-=aitfxn1 ", max_size=6), max_size=6))
def test_any_words_are_parsed_or_refused_cleanly(words: list[str]) -> None:
    try:
        found = parse(COMMAND, words)
    except UsageError:
        return
    assert len(found.arguments) <= len(words)


@given(st.lists(st.text(max_size=8)))
def test_what_follows_two_dashes_comes_back_as_it_is(words: list[str]) -> None:
    assert parse(COMMAND, ["--", *words]).arguments == words


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [
        ("", "", 0),
        ("a", "", 1),
        ("abc", "abd", 1),
        ("fromat", "format", 1),
        ("ab", "ba", 1),
        ("kitten", "sitting", 3),
    ],
)
def test_edit_distance_counts_a_swap_as_one(left: str, right: str, distance: int) -> None:
    assert edit_distance(left, right) == edit_distance(right, left) == distance


def test_nearest_prefers_what_a_word_begins_and_gives_nothing_far_away() -> None:
    assert nearest("bui", ["build", "run"]) == "build"
    assert nearest("imgae", ["image", "images", "import"]) == "image"
    assert nearest("xyzzy", ["image", "run"]) == ""
