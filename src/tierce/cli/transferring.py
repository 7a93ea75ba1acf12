"""How `pull` and `push` show what they come to: as docker, on a terminal and elsewhere."""

from __future__ import annotations

import threading

from tierce.cli.table import load_module

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol, Self, TextIO

    from tierce.cli.transfer import TransferLines
    from tierce.distribution.progress import Step

    class Shown(AbstractContextManager["Shown"], Protocol):
        """Takes steps from several threads."""

        def step(self, step: Step) -> None: ...


_OF_ALL = ("Pulling from ", "digest: ")
"""How steps begin that have the tag for a name, which may look like that of a layer."""


def shown_on(stream: TextIO, *, quiet: bool = False) -> Shown:
    """What shows steps on a stream: one line for each layer, or for each change."""
    if quiet:
        return _Nothing()
    return _Live(stream) if stream.isatty() else _Plain(stream)


class _Nothing:
    def step(self, step: Step) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Plain(_Nothing):
    """A line for each change; how far something is, is none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._guard = threading.Lock()

    def step(self, step: Step) -> None:
        if step.total:
            return
        line = f"{step.id}: {step.text}\n" if step.id else f"{step.text}\n"
        with self._guard:
            self._stream.write(line)
            self._stream.flush()


class _Live(_Nothing):
    """Layers have lines that change; what is about all goes before them or after them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Only a terminal is written to so.
        self._new: type[TransferLines] = load_module("tierce.cli.transfer").TransferLines
        self._lines = self._new(stream)
        self._layers = False
        self._guard = threading.Lock()

    def step(self, step: Step) -> None:
        with self._guard:
            if not step.id or step.text.startswith(_OF_ALL):
                self._end()
                self._stream.write(f"{step.id}: {step.text}\n" if step.id else f"{step.text}\n")
                self._stream.flush()
                return
            if not self._layers:
                self._lines.__enter__()
                self._layers = True
        if step.total:
            self._lines.show(step.id, step.text, step.current, step.total)
        else:
            self._lines.show(step.id, step.text)

    def _end(self) -> None:
        if self._layers:
            self._lines.__exit__()
            self._lines = self._new(self._stream)
            self._layers = False

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._end()
