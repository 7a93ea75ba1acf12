"""How an error is shown: one line, a hint, the marked lines of a Dockerfile; never a traceback.

An exception that nobody foresaw is a mistake in tierce: its traceback goes to a file whose place
is printed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback

import tierce
from tierce.cli.excerpt import write_build_error
from tierce.errors import BuildError, DockerfileError, TierceError, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import TextIO

    from tierce.cli.flags import Command

NEW_ISSUE = "please report it, with this file"


def show(error: BaseException, command: Command, stream: TextIO, *, debug: bool) -> None:
    """Write what went wrong in running the command."""
    if debug:
        stream.write("".join(traceback.format_exception(error)))
    if isinstance(error, DockerfileError | BuildError):
        write_build_error(error, stream)
    elif isinstance(error, TierceError):
        stream.write(f"tierce: {error.message}\n")
        if error.hint:
            stream.write(f"hint: {error.hint}\n")
        if isinstance(error, UsageError):
            stream.write(f"See '{f'tierce {command.name}'.rstrip()} --help'.\n")
    elif isinstance(error, OSError) and error.errno is not None:
        # Such as a full disk under standard output. The program is sound; no report is of use.
        place = f": {os.fsdecode(error.filename)}" if error.filename else ""
        stream.write(f"tierce: system call failed{place}: {error.strerror}\n")
    else:
        stream.write(f"tierce: internal error: {_one_line(error)}\n")
        report = write_report(error)
        if report:
            stream.write(f"hint: {NEW_ISSUE}: {report}\n")
    stream.flush()


def write_report(error: BaseException) -> str:
    """Save the traceback and what led to it; return the file's path, or "" if that fails too."""
    lines = [
        f"tierce {tierce.__version__}, Python {sys.version.split()[0]}, {' '.join(os.uname())}",
        f"at {time.strftime('%Y-%m-%d %H:%M:%S %z')}: {sys.argv}",
        "".join(traceback.format_exception(error)),
    ]
    try:
        # Readable by this user only: arguments may hold secrets.
        number, path = tempfile.mkstemp(prefix="tierce-error-", suffix=".txt")
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(lines))
    except OSError:
        return ""
    return path


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
