"""Calls into the C library for what the `os` module lacks."""

from __future__ import annotations

import os

from tierce import lean

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

    Argument = str | bytes | int | None

SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
"""System calls since Linux 5.0 have one number on every architecture but alpha."""


def call(function: str, *arguments: Argument, path: str | None = None) -> int:
    """Calls a function of the C library that returns -1 and sets errno when it fails.

    Text is passed as the file system encodes it, None as a null pointer. `path` goes into the
    OSError, so that its message says what the call was about.
    """
    foreign = lean.foreign  # loaded by the first call: most commands get by without
    result: int = foreign.function(function)(*[_converted(each) for each in arguments])
    if result < 0:
        number = foreign.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def syscall(number: int, *arguments: Argument, path: str | None = None) -> int:
    """Like `call`, for a system call that the C library may be too old to know."""
    return call("syscall", number, *arguments, path=path)


def _converted(argument: Argument) -> Any:
    """Integers become longs: as C's varargs, an `int` would leave the upper half undefined."""
    if isinstance(argument, int):
        return lean.foreign.Long(argument)
    return argument if argument is None or isinstance(argument, bytes) else os.fsencode(argument)
