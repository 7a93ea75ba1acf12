"""The end of a failed build: the lines of the Dockerfile with the mistake marked, and the error."""

from __future__ import annotations

from tierce.errors import BuildError, DockerfileError, StepFailed

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

RULE = "-" * 20
LINES_AROUND_ONE = 4
LINES_AROUND_SEVERAL = 2
LONGEST_LINE = 200
SHORT_ID = 12


def write_build_error(error: DockerfileError | BuildError, stream: TextIO) -> None:
    """Write the excerpt, where there is a place to show, then the error and its hint."""
    if isinstance(error, StepFailed) and error.classic:
        stream.write(f"{error.message}\n")
    else:
        stream.write(f"{excerpt(error)}ERROR: {error.message}\n")
    if error.hint:
        stream.write(f"hint: {error.hint}\n")
    if isinstance(error, BuildError) and error.failed_step:
        stream.write(f"hint: {look_around(error.failed_step)}\n")
    stream.flush()


def look_around(failed_step: str) -> str:
    """How to see what a failed step left."""
    return f"look around in the step: tierce container run -it {failed_step[:SHORT_ID]} sh"


def excerpt(error: DockerfileError | BuildError) -> str:
    """The lines around the place of the error, with that marked; empty without a place."""
    return marked_lines(error.file, error.source.split("\n"), error.line, error.end_line)


def marked_lines(
    file: str,
    lines: Sequence[str],
    first_line: int,
    last_line: int,
    longest: int = LONGEST_LINE,
) -> str:
    """The lines of a file around some of them, which are marked, in BuildKit's form.

    About four lines are shown around one line, about two around several, as many before as after.
    Lines are cut to `longest` characters. Empty when there are no such lines.
    """
    first, last = first_line, min(last_line, len(lines))
    if lines == [""] or not 1 <= first <= len(lines):
        return ""
    start, end = first, last
    padding = LINES_AROUND_ONE if start == end else LINES_AROUND_SEVERAL
    shown = 0
    while shown < padding:
        if start > 1:
            start -= 1
            shown += 1
        if end != len(lines):
            end += 1
            shown += 1
        shown += 1  # so that a file of a single line comes to an end
    text = [f"{file}:{first}", RULE]
    for number in range(start, end + 1):
        mark = ">>>" if first <= number <= last else "   "
        text.append(f" {number:3} | {mark} {_shown(lines[number - 1], longest)}")
    return "\n".join([*text, RULE, ""])


def _shown(line: str, longest: int) -> str:
    """A line as far as it is of use, with nothing in it that a terminal would act on."""
    line = line.removesuffix("\r")
    if len(line) > longest:
        line = line[:longest] + "…"
    return "".join(char if char.isprintable() or char == "\t" else "�" for char in line)
