"""The checks that need no more than the text of instructions, in BuildKit's order."""

from __future__ import annotations

from tierce.dockerfile import lint
from tierce.dockerfile.instructions import Arg, From
from tierce.dockerfile.lexer import split_blanks

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.dockerfile.instructions import Command
    from tierce.dockerfile.lint import Linter, Rule
    from tierce.dockerfile.parser import Dockerfile, Instruction

RESERVED = ("context", "scratch")
"""Names that mean something else where a stage could be named."""


def check_lines(dockerfile: Dockerfile, linter: Linter) -> None:
    for line in dockerfile.empty_continuations:
        linter.report(lint.NO_EMPTY_CONTINUATION, line, line)


def check_unread(instruction: Instruction, linter: Linter) -> None:
    """What can be said of an instruction even if it makes no sense."""
    name = instruction.name
    if name == "maintainer":
        _report(linter, lint.MAINTAINER_DEPRECATED, instruction)
    elif name == "from" and instruction.arguments:
        words = split_blanks(instruction.arguments)
        if len(words) == 3 and words[2] != words[2].lower():
            _report(linter, lint.STAGE_NAME_CASING, instruction, words[2])
        if len(words) >= 3 and not _same_casing(instruction.keyword, words[1]):
            _report(linter, lint.FROM_AS_CASING, instruction, instruction.keyword, words[1])


def _same_casing(keyword: str, other: str) -> bool:
    if keyword.islower():
        return other == other.lower()
    # A keyword in mixed case is the matter of another rule.
    return not keyword.isupper() or other == other.upper()


def check_read(command: From | Command, linter: Linter) -> None:
    """The comment above what it declares."""
    comments = command.source.comments
    if not comments:
        return
    if isinstance(command, Arg):
        keyword, names = "ARG", [each.name for each in command.declarations]
    elif isinstance(command, From) and command.name:
        keyword, names = "FROM", [command.name]
    else:
        return
    if comments[-1].split(" ")[0] not in names:
        shown = "<arg_key>" if len(names) > 1 else names[0]
        _report(linter, lint.INVALID_DEFINITION_DESCRIPTION, command.source, keyword, shown)


def check_stages(commands: Sequence[From | Command], linter: Linter) -> None:
    """The names of stages, and the case that keywords are written in."""
    known: set[str] = set()
    for command in commands:
        if isinstance(command, From) and command.name:
            if command.name in RESERVED:
                _report(linter, lint.RESERVED_STAGE_NAME, command.source, command.name)
            if command.name in known:
                _report(linter, lint.DUPLICATE_STAGE_NAME, command.source, command.name)
            known.add(command.name)
    _check_casing(commands, linter)


def _check_casing(commands: Sequence[From | Command], linter: Linter) -> None:
    first = next((i for i, each in enumerate(commands) if isinstance(each, From)), 0)
    counted = [command.source for command in commands[first:]]
    lower = sum(each.keyword.islower() for each in counted)
    upper = sum(each.keyword.isupper() for each in counted)
    majority_is_lower = lower > upper
    for each in counted:
        keyword = each.keyword
        if majority_is_lower and not keyword.islower():
            _report(linter, lint.CONSISTENT_INSTRUCTION_CASING, each, keyword, "lowercase")
        elif not majority_is_lower and not keyword.isupper():
            _report(linter, lint.CONSISTENT_INSTRUCTION_CASING, each, keyword, "uppercase")


def _report(linter: Linter, rule: Rule, place: Instruction, *words: str) -> None:
    linter.report(rule, place.first_line, place.last_line, *words)
