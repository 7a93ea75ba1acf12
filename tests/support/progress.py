"""Builds as their events, at times that never change."""

from tierce.solver.progress import (
    Event,
    VertexFinished,
    VertexLog,
    VertexStarted,
    VertexStatus,
    VertexWarning,
)

BEGAN = 1_700_000_000.0


def start(vertex: str, name: str, at: float, *inputs: str) -> VertexStarted:
    return VertexStarted(vertex, name, BEGAN + at, inputs)


def end(
    vertex: str, at: float, *, cached: bool = False, error: str = "", canceled: bool = False
) -> VertexFinished:
    return VertexFinished(vertex, BEGAN + at, cached, error, canceled)


def log(vertex: str, at: float, text: str, stream: int = 1) -> VertexLog:
    return VertexLog(vertex, BEGAN + at, stream, text.encode())


def part(
    vertex: str, id: str, at: float, end_at: float = 0, current: int = 0, total: int = 0
) -> VertexStatus:
    finished = BEGAN + end_at if end_at else 0.0
    return VertexStatus(vertex, id, BEGAN + at, current, total, finished)


def successful() -> list[Event]:
    """A build with a cached step, one that runs, a hidden one, and a warning."""
    return [
        start("v1", "[internal] load build definition from Dockerfile", 0.0),
        part("v1", "transferring dockerfile:", 0.0, 0.001, 312),
        VertexWarning("v1", "JSON arguments recommended for CMD", "JSONArgsRecommended", line=3),
        end("v1", 0.01),
        start("v2", "[internal] load metadata for docker.io/library/alpine:3.15", 0.01),
        end("v2", 0.02),
        start("hidden", "", 0.02),
        end("hidden", 0.02),
        start("v3", "[1/3] FROM docker.io/library/alpine:3.15", 0.02),
        end("v3", 0.02, cached=True),
        start("v4", "[internal] load build context", 0.02),
        part("v4", "transferring context:", 0.02, 0.22, 3200000),
        end("v4", 0.25),
        start("v5", "[2/3] RUN make all", 0.25, "v3"),
        log("v5", 0.65, "compiling\n"),
        log("v5", 1.25, "half a li"),
        log("v5", 1.30, "ne\nwarning: old\n", stream=2),
        log("v5", 12.3, "linking\n"),
        end("v5", 13.0),
        start("v6", "[3/3] COPY . /app", 13.0, "v5", "v4"),
        end("v6", 13.1),
        start("v7", "exporting to image", 13.1),
        part("v7", "exporting layers", 13.1, 13.5),
        part("v7", "writing image sha256:0123456789abcdef", 13.5, 13.5),
        part("v7", "naming to docker.io/library/app", 13.5, 13.5),
        end("v7", 13.5),
    ]


def failing() -> list[Event]:
    """Two steps in parallel, of which one fails and so ends the other."""
    error = 'process "/bin/sh -c npm installer" did not complete successfully: exit code: 1'
    return [
        start("v1", "[a 2/2] RUN npm installer", 0.0),
        start("v2", "[b 2/2] RUN sleep 60", 0.1),
        log("v2", 0.2, "sleeping\n"),
        *[log("v1", 0.399 + n / 1000, f"npm ERR! {n}\n", stream=2) for n in range(12)],
        end("v1", 0.5, error=error),
        end("v2", 0.6, error="cancelled", canceled=True),
    ]
