"""The table of commands agrees with the commands, and finds them."""

import pytest

from tierce.cli import table
from tierce.cli.flags import Command
from tierce.errors import UsageError


@pytest.mark.parametrize("path", table.COMMANDS)
def test_module_of_a_command_says_what_the_table_says(path: str) -> None:
    module = table.load(path)
    command: Command = module.COMMAND
    assert command.name == path
    assert command.short == table.COMMANDS[path]
    assert callable(module.run)


@pytest.mark.parametrize("path", table.COMMANDS)
def test_flags_of_a_command_do_not_collide(path: str) -> None:
    flags = table.load(path).COMMAND.flags
    names = [flag.name for flag in flags]
    letters = [flag.short for flag in flags if flag.short]
    assert len(set(names)) == len(names)
    assert len(set(letters)) == len(letters)
    assert all(len(letter) == 1 for letter in letters)
    assert "help" not in names


def test_every_alias_leads_to_a_command() -> None:
    assert set(table.ALIASES.values()) <= table.COMMANDS.keys()
    assert not table.ALIASES.keys() & table.COMMANDS.keys()
    assert {path.split()[0] for path in table.COMMANDS if " " in path} == table.GROUPS.keys()
    assert set(table.COMMON) <= table.top_level().keys()


@pytest.mark.parametrize(
    ("words", "path", "rest"),
    [
        (["image", "ls", "-a"], "image ls", ("-a",)),
        (["image", "list"], "image ls", ()),
        (["images", "x"], "image ls", ("x",)),
        (["build", "."], "image build", (".",)),
        (["builder", "build"], "image build", ()),
        (["rmi", "x", "y"], "image rm", ("x", "y")),
        (["info"], "system info", ()),
        (["import", "-"], "image import", ("-",)),
        (["version"], "version", ()),
    ],
)
def test_words_find_their_command(words: list[str], path: str, rest: tuple[str, ...]) -> None:
    assert table.find(words) == table.Found(path, rest)


@pytest.mark.parametrize("words", [["image"], ["image", "--help"], ["system", "-h", "x"]])
def test_group_alone_is_found_as_a_group(words: list[str]) -> None:
    assert table.find(words) == table.Found(words[0], (), is_group=True)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["imag"], "'imag' is not a tierce command.", "did you mean 'image'?"),
        (["biuld"], "'biuld' is not a tierce command.", "did you mean 'build'?"),
        (["image", "lst"], "'image lst' is not a tierce command.", "did you mean 'image ls'?"),
        (["xyzzy"], "'xyzzy' is not a tierce command.", ""),
        (["image", "--all"], "unknown flag: --all", "'image' takes a command"),
    ],
)
def test_what_is_no_command_is_refused_with_the_nearest(
    words: list[str], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        table.find(words)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_aliases_in_the_group_come_first() -> None:
    assert table.aliases("image ls") == ["image list", "images"]
    assert table.aliases("image inspect") == []


def test_what_users_do_without_a_namespace_are_commands() -> None:
    assert table.COMMANDS.keys() > table.WITHOUT_NAMESPACE
