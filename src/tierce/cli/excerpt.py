"""The end of a failed build: the lines of the Dockerfile with the mistake marked, and the error."""

from __future__ import annotations

from tierce.errors import BuildError, DockerfileError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import TextIO

RULE = "-" * 20
LINES_AROUND_ONE = 4
LINES_AROUND_SEVERAL = 2
LONGEST_LINE = 200


def write_build_error(error: DockerfileError | BuildError, stream: TextIO) -> None:
    """Write the excerpt, where there is a place to show, then the error and its hint."""
    stream.write(excerpt(error))
    stream.write(f"ERROR: {error.message}\n")
    if error.hint:
        stream.write(f"hint: {error.hint}\n")
    stream.flush()


def excerpt(error: DockerfileError | BuildError) -> str:
    """The lines around the place of the error, in BuildKit's form; empty without a place.

    About four lines are shown around one line, about two around several, as many before as after.
    """
    lines = error.source.split("\n")
    first, last = error.line, min(error.end_line, len(lines))
    if not error.source or not 1 <= first <= len(lines):
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
    text = [f"{error.file}:{first}", RULE]
    for number in range(start, end + 1):
        mark = ">>>" if first <= number <= last else "   "
        text.append(f" {number:3} | {mark} {_shown(lines[number - 1])}")
    return "\n".join([*text, RULE, ""])


def _shown(line: str) -> str:
    """A line as far as it is of use, with nothing in it that a terminal would act on."""
    if len(line) > LONGEST_LINE:
        line = line[:LONGEST_LINE] + "…"
    return "".join(char if char.isprintable() or char == "\t" else "�" for char in line)
