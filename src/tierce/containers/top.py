"""`container top`: what ps(1) of this machine says of a container's processes."""

from __future__ import annotations

import os

from tierce.containers.processes import processes_of
from tierce.errors import Conflict, RuntimeUnavailable, TierceError, UsageError
from tierce.store import Store
from tierce.store.containers import ContainerRow

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

_USUAL = ("-ef",)
_PID = "PID"
_RENAMED = r"\s+([^\s]*)=\s*(PID[^\s]*)"


def top(store: Store, row: ContainerRow, options: Sequence[str]) -> list[list[str]]:
    """The processes as rows of what ps writes with these options, titles first.

    Raises Conflict when the container does not run, TierceError for options that ps does not take
    or without a column of numbers, UsageError, RuntimeUnavailable without ps.
    """
    if not row.running:
        raise Conflict(f"container {row.id} is not running")
    import re  # 4 ms, which commands beside this one do not need

    options = tuple(word for text in options for word in text.split(" ")) or _USUAL
    for name, title in re.findall(_RENAMED, f" {' '.join(options)}"):
        # Another column of this title would be taken for the numbers.
        if name != "pid":
            raise UsageError(f'specifying "{name}={title}" is not allowed')
    numbers = processes_of(store, row)
    return rows_of(_output_of(options, numbers), {str(number) for number in numbers})


def rows_of(text: str, numbers: set[str]) -> list[list[str]]:
    """The titles of ps, and its lines on these processes and on their threads, in fields.

    What has spaces in it is the last field. Raises TierceError.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    titles = lines[0] if lines else []
    if _PID not in titles:
        raise TierceError("Couldn't find PID field in ps output")
    column = titles.index(_PID)
    found = [titles]
    within = False
    for fields in lines[1:]:
        if len(fields) < len(titles):
            fields += [""] * (len(titles) - len(fields))
        # A thread has a dash in the place of the number, and follows its process.
        within = fields[column] in numbers or (within and fields[column] == "-")
        if within:
            last = len(titles) - 1
            found.append([*fields[:last], " ".join(fields[last:]).strip()])
    return found


def _output_of(options: Sequence[str], numbers: Sequence[int]) -> str:
    import subprocess  # takes 10 ms to import

    # Some options cannot be used with a choice of processes; the others are then left out here.
    choices = ([f"-q{','.join(map(str, numbers))}"], []) if numbers else ([],)
    error = ""
    for chosen in choices:
        try:
            done = subprocess.run(
                ["ps", *options, *chosen],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                # Columns are told apart by spaces, whatever the language and the terminal.
                env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "100000"},
            )
        except FileNotFoundError as failure:
            raise RuntimeUnavailable(
                "find ps: it is not in PATH", hint="apt-get install procps"
            ) from failure
        if done.returncode == 0:
            return done.stdout.decode(errors="replace")
        error = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    raise TierceError(f"ps: {error or 'it failed without a reason'}")
