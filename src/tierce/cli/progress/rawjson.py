"""`--progress=rawjson`: BuildKit's SolveStatus as a line of JSON for each event."""

from __future__ import annotations

import threading
import time
from binascii import b2a_base64

from tierce.cli.format.gojson import encode
from tierce.cli.format.values import Struct
from tierce.cli.progress.output import Output
from tierce.cli.progress.trace import warning_text
from tierce.solver.progress import (
    StepExplained,
    VertexFinished,
    VertexLog,
    VertexStarted,
    VertexStatus,
)

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from tierce.solver.progress import Event, VertexWarning

LARGEST_SOURCE = 64 << 10
"""Characters of a file that are told with each warning about it; of a larger one, only the name."""


class RawJsonRenderer:
    def __init__(self, stream: TextIO) -> None:
        self._output = Output(stream)
        self._started: dict[str, VertexStarted] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, VertexStarted):
                self._started[event.vertex] = event
            kind, fields = self._fields(event)
            if fields is not None:
                self._output.write(encode(struct({kind: [fields]}), escape_html=True) + "\n")

    def close(self, error: BaseException | None = None) -> None:
        """Nothing is left to show; the error is told by whoever has it."""

    def _fields(self, event: Event) -> tuple[str, Struct | None]:
        if isinstance(event, VertexStarted | VertexFinished):
            started = self._started.get(event.vertex)
            return "vertexes", vertex_fields(started, event) if started else None
        if isinstance(event, VertexStatus):
            return "statuses", status_fields(event)
        if isinstance(event, VertexLog):
            return "logs", log_fields(event)
        if isinstance(event, StepExplained):
            return "explanations", explanation_fields(event)
        return "warnings", warning_fields(event)


def vertex_fields(started: VertexStarted, event: VertexStarted | VertexFinished) -> Struct:
    fields: dict[str, object] = {
        "digest": started.vertex,
        "inputs": list(started.inputs),
        "name": started.name,
        "started": timestamp(started.time),
    }
    if isinstance(event, VertexFinished):
        fields["completed"] = timestamp(event.time)
        fields["cached"] = event.cached
        fields["error"] = "context canceled" if event.canceled else event.error
    return struct(fields)


def status_fields(event: VertexStatus) -> Struct:
    return struct(
        {
            "id": event.id,
            "vertex": event.vertex,
            "total": event.total,
            "current": event.current,
            "timestamp": timestamp(event.finished or time.time()),
            "started": timestamp(event.started),
            "completed": timestamp(event.finished) if event.finished else "",
        },
        kept={"current"},
    )


def log_fields(event: VertexLog) -> Struct:
    return struct(
        {
            "vertex": event.vertex,
            "stream": event.stream,
            "data": b2a_base64(event.data, newline=False).decode(),
            "timestamp": timestamp(event.time),
        },
        kept={"data"},
    )


def warning_fields(event: VertexWarning) -> Struct:
    """A warning; BuildKit's texts are bytes, and each line of the place is a range of its own."""
    lines = [
        struct({"line": line}) for line in range(event.line, max(event.line, event.end_line) + 1)
    ]
    text = event.source if len(event.source) <= LARGEST_SOURCE else ""
    source = struct(
        {
            "filename": event.file,
            "data": b2a_base64(text.encode(), newline=False).decode(),
            "language": "Dockerfile",
        }
    )
    return struct(
        {
            "vertex": event.vertex,
            "level": 1,
            "short": b2a_base64(warning_text(event).encode(), newline=False).decode(),
            "detail": [b2a_base64(text.encode(), newline=False).decode() for text in event.detail],
            "url": event.url,
            "sourceInfo": source if event.file else "",
            "range": [struct({"start": line, "end": line}) for line in lines if event.line],
        }
    )


def explanation_fields(event: StepExplained) -> Struct:
    """Why a step was not cached: an event of tierce's own, in the manner of the others."""
    explanation = event.explanation
    return struct(
        {
            "vertex": event.vertex,
            "name": explanation.name,
            "reason": explanation.reason,
            "compared": explanation.compared,
            "comparedTime": timestamp(explanation.compared_time)
            if explanation.compared_time
            else "",
            "file": explanation.file,
            "line": explanation.line,
            "differences": [
                struct({name: getattr(each, name) for name in each._fields})
                for each in explanation.differences
            ],
        }
    )


def struct(fields: dict[str, object], kept: set[str] | None = None) -> Struct:
    """An object whose empty fields are left out, but those to be kept."""
    return Struct("", fields, omitted=frozenset(fields.keys() - (kept or set())))


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, with microseconds less their zeros at the end."""
    whole, fraction = divmod(round(seconds * 1_000_000), 1_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return text + (f".{fraction:06}".rstrip("0") if fraction else "") + "Z"


def make(stream: TextIO, environ: Mapping[str, str], debug: bool = False) -> RawJsonRenderer:
    return RawJsonRenderer(stream)
