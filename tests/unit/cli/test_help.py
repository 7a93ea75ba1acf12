"""`--help` in docker's layout."""

import pytest

from tierce.cli import help as help_of
from tierce.cli import table
from tierce.cli.flags import Command, Flag
from tierce.cli.main import ROOT

IMAGE_LS = """\
Usage:  tierce image ls [OPTIONS] [REPOSITORY[:TAG]]

List images

Aliases:
  tierce image ls, tierce image list, tierce images

Options:
  -a, --all             Show all images (default hides intermediate images)
      --digests         Show digests
  -f, --filter filter   Filter output based on conditions provided
      --format string   Format output using a custom template:
                        'table':            Print output in table format with column headers (default)
                        'table TEMPLATE':   Print output in table format using the given Go template
                        'json':             Print in JSON format
                        'TEMPLATE':         Print output using the given Go template.
      --no-trunc        Don't truncate output
  -q, --quiet           Only show image IDs
"""  # noqa: E501 - the layout is docker's


def test_help_of_a_command_has_usage_aliases_and_aligned_options() -> None:
    assert help_of.command_help(table.load("image ls").COMMAND, 120) == IMAGE_LS


def test_defaults_are_shown_and_hidden_flags_are_not() -> None:
    command = Command(
        "x",
        "",
        "Do x",
        flags=(
            Flag("human", default=True, help="Be nice"),
            Flag("limit", kind="int", default=5, help="Stop there"),
            Flag("mode", kind="string", default="auto", help="How"),
            Flag("when", kind="string", implied="always", help="When"),
            Flag("odd", help="Not for you", hidden=True),
        ),
    )
    text = help_of.command_help(command, 80)
    assert "--odd" not in text
    assert "Be nice (default true)" in text
    assert "Stop there (default 5)" in text
    assert 'How (default "auto")' in text
    assert '--when string[="always"]   When' in text


def test_command_without_flags_has_no_options() -> None:
    assert "Options:" not in help_of.command_help(table.load("image tag").COMMAND, 80)


@pytest.mark.parametrize("path", table.COMMANDS)
@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_help_of_every_command_fits_any_terminal(path: str, width: int) -> None:
    text = help_of.command_help(table.load(path).COMMAND, width)
    assert text.startswith(f"Usage:  tierce {path}")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_long_texts_are_wrapped_under_their_column() -> None:
    text = help_of.wrapped("one two three four five six seven", 10, 40)
    assert text == "one two three four five\n          six seven"


def test_group_lists_its_commands() -> None:
    lines = help_of.group_help("system").splitlines()
    assert lines[0] == "Usage:  tierce system COMMAND"
    assert "  df          Show disk usage" in lines
    assert lines[-1] == "Run 'tierce system COMMAND --help' for more information on a command."


def test_root_lists_common_commands_groups_and_global_options() -> None:
    text = help_of.root_help(ROOT.flags, 100)
    sections = [line for line in text.splitlines() if line.endswith(":")]
    assert sections == [
        "Common Commands:",
        "Management Commands:",
        "Commands:",
        "Global Options:",
    ]
    assert "--host" not in text
    for name in table.top_level():
        assert f"\n  {name} " in text
