"""`--progress=quiet`: nothing but, when the build fails, the output of the step that did."""

from __future__ import annotations

import threading

from tierce.cli.progress.output import Output
from tierce.cli.progress.summary import write_failures
from tierce.cli.progress.trace import Trace
from tierce.solver.progress import VertexLog

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from tierce.solver.progress import Event


class QuietRenderer:
    def __init__(self, stream: TextIO) -> None:
        self._output = Output(stream)
        self._trace = Trace()
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self, event: Event) -> None:
        with self._lock:
            vertex = self._trace.apply(event)
            if isinstance(event, VertexLog) and vertex is not None and vertex.log is not None:
                vertex.log.add(event.stream, event.data, event.time - vertex.started)

    def close(self, error: BaseException | None = None) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                write_failures(self._trace, error, self._output)


def make(stream: TextIO, environ: Mapping[str, str], debug: bool = False) -> QuietRenderer:
    return QuietRenderer(stream)
