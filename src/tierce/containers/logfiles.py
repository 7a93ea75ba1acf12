"""The files of a container's log: the one that is written, and older ones.

They are `log`, and, where the log is bounded, `log.1` to `log.<n>` with what came before, the
last of them the oldest. A full one gets the next number, and whoever writes makes another `log`.
"""

from __future__ import annotations

import os

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

JSON_FILE, LOCAL, NONE = "json-file", "local", "none"
"""The drivers; only options (see `logdriver`) make the first bounded, as the second is."""

LOG = "log"


class LogLimits(Value):
    """How much of a log is kept: files of about `size_bytes` (0: one, of any size), so many."""

    size_bytes: int = 0
    files: int = 1


class LogMark(Value):
    """A place in a log: a file, by its identity, and a byte in that. None: before all files."""

    file: tuple[int, int] | None = None
    position: int = 0


class LogFiles:
    """The log in a directory; neither need be there."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.current = f"{directory}/{LOG}"

    def open(self) -> list[int]:
        """Descriptors of all files, the oldest first.

        What gets another number meanwhile is neither missed nor met twice.
        """
        found: dict[tuple[int, int], int] = {}
        try:
            while self._open_again(found):
                pass
        except BaseException:
            for descriptor in found.values():
                os.close(descriptor)
            raise
        return list(found.values())[::-1]

    def _open_again(self, found: dict[tuple[int, int], int]) -> bool:
        """Opens what there is, the newest first; says whether that is more than was `found`.

        Only then can there have been another one, that got its number behind our back.
        """
        before = dict(found)
        known = set(found)
        found.clear()
        try:
            for number in self.numbers():
                try:
                    descriptor = os.open(self.path(number), os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:  # it has another number now
                    continue
                key = identity(descriptor)
                for earlier in (found.pop(key, -1), before.pop(key, -1)):
                    if earlier >= 0:
                        os.close(earlier)
                found[key] = descriptor
        finally:
            found |= before  # those that are gone meanwhile were the oldest
        return not known.issuperset(found)

    def numbers(self) -> Sequence[int]:
        """Of which files there are, in order; 0 is the one that is written."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return ()
        found = [name.removeprefix(LOG).removeprefix(".") for name in names if name[:3] == LOG]
        return sorted(int(text or "0") for text in found if not text.strip("0123456789"))

    def newest(self) -> tuple[int, int] | None:
        """The identity of the file that is written; None when there is none just now."""
        try:
            return identity(self.current)
        except FileNotFoundError:
            return None

    def mark(self) -> LogMark:
        """The present end of the log."""
        try:
            status = os.stat(self.current)
        except FileNotFoundError:
            return LogMark()
        return LogMark((status.st_dev, status.st_ino), status.st_size)

    def move_on(self, limits: LogLimits) -> None:
        """Gives each file the next number, so that a new one can be begun; the oldest goes.

        Who is killed in between leaves out a number, which the next call fills.
        """
        last = limits.files - 1
        if last == 0:
            os.unlink(self.current)
            return
        numbers = self.numbers()
        free = next((each for each in range(1, last) if each not in numbers), last)
        for number in range(free, 0, -1):
            try:
                os.rename(self.path(number - 1), self.path(number))
            except FileNotFoundError:
                continue

    def path(self, number: int) -> str:
        return f"{self.current}.{number}" if number else self.current


def identity(file: int | str) -> tuple[int, int]:
    """What tells a file from all others, whatever its name."""
    status = os.stat(file)
    return status.st_dev, status.st_ino
