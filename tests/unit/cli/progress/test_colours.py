"""NO_COLOR and BUILDKIT_COLORS."""

import pytest

from tierce.cli.progress.colours import Colours, colours_of

USUAL = Colours(
    run="\x1b[34m", cancel="\x1b[33m", error="\x1b[31m", warning="\x1b[33m", faint="\x1b[2m"
)


def test_colours_are_buildkits_unless_told_otherwise() -> None:
    assert colours_of({}) == USUAL
    assert colours_of({"NO_COLOR": "", "BUILDKIT_COLORS": ""}) == USUAL


def test_no_color_turns_all_of_them_off() -> None:
    assert colours_of({"NO_COLOR": "1", "BUILDKIT_COLORS": "run=green"}) == Colours()


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("run=green:warning=yellow:error=red:cancel=cyan", {"run": "32", "cancel": "36"}),
        ("RUN=Light-Blue", {"run": "94"}),
        ("error=default", {"error": "39"}),
        ('run="0,0,0"', {"run": "38;5;16"}),
        ("run=255,255,255", {"run": "38;5;231"}),
        ("run=123,20,245", {"run": "38;5;93"}),
    ],
)
def test_chosen_colours_replace_the_usual(text: str, changed: dict[str, str]) -> None:
    codes = {key: f"\x1b[{code}m" for key, code in changed.items()}
    assert colours_of({"BUILDKIT_COLORS": text}) == USUAL.replace(**codes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ran=green", "unknown key ran"),
        ("run", "run:  is no colour"),
        ("run=greenish", "greenish is no colour"),
        ("run=1,2", "1,2 is no colour"),
        ("run=1,2,256", "1,2,256 is no colour"),
        ("run=a,b,c", "a,b,c is no colour"),
    ],
)
def test_mistakes_are_told_and_change_nothing(text: str, problem: str) -> None:
    colours = colours_of({"BUILDKIT_COLORS": text})
    assert colours.replace(problems=()) == USUAL
    assert problem in colours.problems[0]
