"""A build as docker's classic builder shows it: on standard output, step after step."""

from __future__ import annotations

import threading

from tierce.cli.format.units import human_size
from tierce.cli.progress.output import Output
from tierce.oci.reference import Reference
from tierce.solver import legacy
from tierce.solver.progress import VertexLog

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import TextIO

    from tierce.solver.legacy import LegacyEvent
    from tierce.solver.progress import Event

_SHORT = 12


class LegacyRenderer:
    """Listens to the events of a build, and to those of its classic form (`step`).

    With `on_failure`, nothing is shown but, there, what would have been when the build fails.
    """

    def __init__(self, stream: TextIO, on_failure: TextIO | None = None) -> None:
        self._output = Output(stream if on_failure is None else on_failure)
        self._held: list[str] | None = None if on_failure is None else []
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        if isinstance(event, VertexLog):
            # What a character is cut from comes with the next event: bytes stay as they are.
            self._write(event.data.decode("utf-8", "surrogateescape"))

    def step(self, event: LegacyEvent) -> None:
        """Show an event of the classic form."""
        self._write(_text(event))

    def close(self, error: BaseException | None = None) -> None:
        """See `tierce.cli.progress.Renderer`."""
        with self._lock:
            held, self._held = self._held, None
        if held and error is not None:
            self._output.write("".join(held))

    def _write(self, text: str) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append(text)
            else:
                self._output.write(text)


def _text(event: LegacyEvent) -> str:
    """The lines of an event, in docker's words (moby, daemon/builder/dockerfile)."""
    if isinstance(event, legacy.ContextSent):
        # The carriage returns are what is left of a display that is drawn again and again.
        return f"Sending build context to Docker daemon  {human_size(event.size)}\r\r\n"
    if isinstance(event, legacy.StepBegun):
        return f"Step {event.number}/{event.total} : {event.text}\n"
    if isinstance(event, legacy.TriggersBegun):
        return f"# Executing {event.count} build trigger{'s' if event.count > 1 else ''}\n"
    if isinstance(event, legacy.CacheUsed):
        return " ---> Using cache\n"
    if isinstance(event, legacy.ContainerBegun):
        return f" ---> Running in {event.id[:_SHORT]}\n"
    if isinstance(event, legacy.ContainerRemoved):
        return f"Removing intermediate container {event.id[:_SHORT]}\n"
    if isinstance(event, legacy.StepEnded):
        return f" ---> {_short(event.image)}\n"
    if isinstance(event, legacy.ArgumentsUnused):
        names = " ".join(event.names)
        return f"[Warning] One or more build-args [{names}] were not consumed\n"
    lines = [f"Successfully built {_short(event.image)}\n"]
    lines += [f"Successfully tagged {Reference.parse(name).familiar}\n" for name in event.names]
    return "".join(lines)


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:_SHORT]
