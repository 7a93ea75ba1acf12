"""What a build tells whoever listens: typed events, each with the time in seconds since the epoch.

A vertex is known by its digest (that of the graph, or any unique text for a step outside it, such
as "[internal] load build definition"). Its events come in order: started, then any statuses and
logs, then finished. Events of different vertices interleave.
"""

from __future__ import annotations

from collections.abc import Callable

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.solver.explain import Explanation


class VertexStarted(Value):
    """A vertex is being worked on; `name` is shown as it is, `inputs` are digests."""

    vertex: str
    name: str
    time: float
    inputs: tuple[str, ...] = ()


class VertexFinished(Value):
    """The end of a vertex. `error` is empty unless it failed; `canceled` says another one did."""

    vertex: str
    time: float
    cached: bool = False
    error: str = ""
    canceled: bool = False


class VertexStatus(Value):
    """A part of a vertex with a progress of its own, as `transferring context: 3.20kB 0.1s done`.

    `id` is its text without figures; `current` and `total` are bytes (0 when not known);
    `finished` is 0.0 while it goes on.
    """

    vertex: str
    id: str
    started: float
    current: int = 0
    total: int = 0
    finished: float = 0.0


class VertexLog(Value):
    """Bytes that a step's process wrote to stream 1 or 2, as they came."""

    vertex: str
    time: float
    stream: int
    data: bytes


class VertexWarning(Value):
    """Something questionable about a vertex or, when `vertex` is empty, about the whole build.

    `detail` explains the `rule` behind it. `line` to `end_line` (0: there is no place) are those
    of `file`, of which `source` is the text.
    """

    vertex: str
    message: str
    rule: str = ""
    url: str = ""
    file: str = ""
    line: int = 0
    end_line: int = 0
    source: str = ""
    detail: tuple[str, ...] = ()


class StepExplained(Value):
    """Why a step was not cached, when that was asked for; told when all steps have ended."""

    vertex: str
    explanation: Explanation


Event = VertexStarted | VertexFinished | VertexStatus | VertexLog | VertexWarning | StepExplained
Listener = Callable[[Event], None]
"""Called from several threads, one at a time for one vertex; must not block for long."""
