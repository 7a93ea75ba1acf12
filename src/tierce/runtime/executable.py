"""What can be wrong with a container's command, in docker's words.

Runtimes say it each in their own way, and mix it into the container's output. What can be seen
before the start is therefore looked for before.
"""

from __future__ import annotations

import os
import stat

from tierce.errors import ContainerError
from tierce.runtime.bundle import ProcessSpec

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_FOUND = ("not found", "no such file or directory", "missing dynamic library")
_NOT_EXECUTABLE = (
    *("permission denied", "operation not permitted", "exec format error", "is a directory"),
)


def check(process: ProcessSpec, status: Callable[[str], os.stat_result | None]) -> None:
    """Looks for the command as execvp(3) does; `status` is stat(2) in the container's root.

    Raises ContainerError with status 127 (not found) or 126 (not executable).
    """
    name = process.args[0]
    if "/" not in name:
        if any(_is_executable(status(f"{part or '.'}/{name}")) for part in _search_path(process)):
            return
        raise _not_found(f'exec: "{name}": executable file not found in $PATH')
    found = status(name if name.startswith("/") else f"{process.cwd}/{name}")
    if found is None:
        raise _not_found(f'exec: "{name}": stat {name}: no such file or directory')
    if stat.S_ISDIR(found.st_mode):
        raise _not_executable(f'exec: "{name}": is a directory')
    if not _is_executable(found):
        raise _not_executable(f'exec: "{name}": permission denied')


def failure(name: str, reason: str) -> ContainerError:
    """The error for what a runtime gave as the reason for not starting a command."""
    lower = reason.lower()
    if any(words in lower for words in _NOT_EXECUTABLE):
        return _not_executable(f'exec: "{name}": {reason}')
    if any(words in lower for words in _NOT_FOUND):
        return _not_found(f'exec: "{name}": {reason}')
    return ContainerError(f'start "{name}": {reason}')


def _search_path(process: ProcessSpec) -> list[str]:
    path = [entry[5:] for entry in process.env if entry.startswith("PATH=")]
    return path[-1].split(":") if path else []


def _is_executable(found: os.stat_result | None) -> bool:
    return found is not None and stat.S_ISREG(found.st_mode) and found.st_mode & 0o111 != 0


def _not_found(message: str) -> ContainerError:
    return ContainerError(message, status=ContainerError.COMMAND_NOT_FOUND)


def _not_executable(message: str) -> ContainerError:
    return ContainerError(message, status=ContainerError.NOT_EXECUTABLE)
