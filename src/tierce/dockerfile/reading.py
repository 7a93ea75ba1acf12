"""Reads all instructions of a file, and reports what is questionable in them on the way."""

from __future__ import annotations

from tierce.dockerfile import checks, lexer
from tierce.dockerfile.instructions import Arg, Command, From
from tierce.dockerfile.lint import Linter
from tierce.dockerfile.parser import Dockerfile, Instruction
from tierce.dockerfile.readers import reader_of
from tierce.errors import DockerfileError, InvalidValue


def read_all(dockerfile: Dockerfile, linter: Linter) -> list[From | Command]:
    """The typed instructions of a file; before the first FROM there is nothing but ARG.

    What is questionable is reported up to the first mistake; a line that cannot even be cut into
    words is a mistake that comes before all others. Raises DockerfileError with the place.
    """
    commands, mistakes = _read(dockerfile)
    checks.check_lines(dockerfile, linter)
    in_stage = False
    for number, instruction in enumerate(dockerfile.instructions):
        here = linter.under(instruction.comments) if instruction.comments else linter
        checks.check_unread(instruction, here)
        if number in mistakes:
            raise _parse_error(dockerfile, instruction, mistakes[number])
        command = commands[number]
        checks.check_read(command, here)
        in_stage = in_stage or isinstance(command, From)
        if not in_stage and not isinstance(command, Arg):
            raise dockerfile.error(
                "no build stage in current context",
                instruction.first_line,
                instruction.last_line,
                hint="only ARG can stand before the first FROM",
            )
    if not in_stage:
        raise dockerfile.error("dockerfile contains no stages to build")
    checks.check_stages(commands, linter)
    return commands


def _read(dockerfile: Dockerfile) -> tuple[list[From | Command], dict[int, InvalidValue]]:
    """The instructions up to the first mistake, and the mistakes by number of instruction."""
    found: list[From | Command] = []
    mistakes: dict[int, InvalidValue] = {}
    for number, instruction in enumerate(dockerfile.instructions):
        try:
            command = reader_of(instruction)(instruction, dockerfile.escape)
        except lexer.SyntaxMistake as error:
            raise _parse_error(dockerfile, instruction, error) from None
        except InvalidValue as error:
            mistakes[number] = error
        else:
            if not mistakes:
                found.append(command)
    return found, mistakes


def read_instruction(instruction: Instruction, dockerfile: Dockerfile) -> From | Command:
    """The typed form of one instruction. Raises DockerfileError with the place."""
    try:
        return reader_of(instruction)(instruction, dockerfile.escape)
    except InvalidValue as error:
        raise _parse_error(dockerfile, instruction, error) from None


def _parse_error(
    dockerfile: Dockerfile, instruction: Instruction, error: InvalidValue
) -> DockerfileError:
    """A mistake in how an instruction is written, with its place."""
    message = error.message
    if not isinstance(error, lexer.SyntaxMistake):
        message = f"dockerfile parse error on line {instruction.first_line}: {message}"
    return dockerfile.error(
        message,
        instruction.first_line,
        instruction.last_line,
        hint=error.hint,
    )
