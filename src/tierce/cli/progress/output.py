"""Where a display writes: a terminal or pipe that may go away while the build goes on."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import TextIO


class Output:
    """A stream to which writing never fails: without a reader, what is written is nobody's loss.

    A build is for its result; it must not end because `| head` has seen enough of its progress.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._is_gone = False

    def write(self, text: str) -> None:
        """Write and flush."""
        if self._is_gone or not text:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # ValueError: it was closed
            self._is_gone = True
