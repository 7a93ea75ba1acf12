"""A small terminal: what a step's output looks like at its end, for the window of the tty display.

Programs draw progress bars with carriage returns and cursor movements; only their last state is
of interest. Colours and what else a terminal can do are ignored.
"""

from __future__ import annotations

import re

# Text, control sequences (with the parameters and the final letter apart), operating system
# commands, other escapes, single control characters.
PIECES = re.compile(
    r"([^\x00-\x1f\x7f]+)|\x1b\[([0-9;?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[()][A-Z0-9]|\x1b[^\[\]]|([\x00-\x1f])"
)
UNFINISHED = re.compile(r"\x1b(\[[0-9;?]*|\][^\x07\x1b]*)?\Z")
LARGEST_INPUT = 16_384
TAB = 8


class Screen:
    """Rows of text, of which the last `height` are kept; `rows` are without trailing space."""

    def __init__(self, height: int, width: int) -> None:
        self.height = max(height, 1)
        self.width = max(width, 1)
        self.written = 0
        self._rows = [""]
        self._row = 0
        self._column = 0
        self._input: list[str] = []
        self._waiting = 0

    def write(self, text: str) -> None:
        """Take output; it is looked at only when `rows` is asked for."""
        self.written += len(text)
        self._input.append(text)
        self._waiting += len(text)
        if self._waiting > 2 * LARGEST_INPUT:
            # No more than the end of it can still be seen.
            self._input = ["".join(self._input)[-LARGEST_INPUT:]]
            self._waiting = LARGEST_INPUT

    def resize(self, height: int, width: int) -> None:
        self.height = max(height, 1)
        self.width = max(width, 1)
        self._scroll()
        self._column = min(self._column, self.width)

    def rows(self) -> list[str]:
        """The rows with anything on them."""
        self._interpret()
        return [row for row in (row.rstrip()[: self.width] for row in self._rows) if row]

    def _interpret(self) -> None:
        text = "".join(self._input)
        unfinished = UNFINISHED.search(text[-64:])
        rest = unfinished[0] if unfinished else ""
        self._input = [rest] if rest else []
        self._waiting = len(rest)
        for piece in PIECES.finditer(text.removesuffix(rest)):
            printed, parameters, final, control = piece.groups()
            if printed:
                self._print(printed)
            elif final:
                self._command(final, parameters)
            elif control:
                self._control(control)

    def _print(self, text: str) -> None:
        while text:
            if self._column >= self.width:
                self._new_line()
                self._column = 0
            part, text = text[: self.width - self._column], text[self.width - self._column :]
            row = self._rows[self._row]
            end = self._column + len(part)
            self._rows[self._row] = row[: self._column].ljust(self._column) + part + row[end:]
            self._column = end

    def _new_line(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append("")
        self._scroll()

    def _scroll(self) -> None:
        surplus = max(0, len(self._rows) - self.height)
        del self._rows[:surplus]
        self._row = max(0, self._row - surplus)

    def _control(self, character: str) -> None:
        if character == "\n":
            self._new_line()
            self._column = 0
        elif character == "\r":
            self._column = 0
        elif character == "\b":
            self._column = max(0, self._column - 1)
        elif character == "\t":
            self._column = min((self._column // TAB + 1) * TAB, self.width - 1)

    def _command(self, final: str, parameters: str) -> None:
        numbers = [int(number or 0) for number in parameters.strip("?").split(";")]
        amount = numbers[0] or 1
        if final in "AF":
            self._row = max(0, self._row - amount)
        elif final in "BE":
            self._row = min(len(self._rows) - 1, self._row + amount)
        elif final == "C":
            self._column = min(self.width - 1, self._column + amount)
        elif final == "D":
            self._column = max(0, self._column - amount)
        elif final == "G":
            self._column = min(self.width, amount) - 1
        elif final in "Hf":
            self._row = min(len(self._rows), amount) - 1
            self._column = min(self.width, numbers[1] if len(numbers) > 1 else 1) - 1
        elif final == "K":
            self._erase_in_line(numbers[0])
        elif final == "J":
            self._erase_in_display(numbers[0])
        if final in "EF":
            self._column = 0

    def _erase_in_line(self, which: int) -> None:
        row = self._rows[self._row]
        before = row[: self._column] if which == 0 else ""
        after = row[self._column + 1 :] if which == 1 else ""
        erased = " " * (self._column + 1) if which == 1 else ""
        self._rows[self._row] = before + erased + after

    def _erase_in_display(self, which: int) -> None:
        if which >= 2:
            self._rows, self._row = [""], 0
            return
        self._erase_in_line(which)
        if which == 0:
            del self._rows[self._row + 1 :]
        else:
            self._rows[: self._row] = [""] * self._row
