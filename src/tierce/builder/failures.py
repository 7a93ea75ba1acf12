"""Keeps the state before a COPY that failed, as what a failed RUN leaves is kept."""

from __future__ import annotations

from tierce.dockerfile.lint import silent_linter
from tierce.errors import TierceError
from tierce.frontend.lower import lower
from tierce.graph.ops import Copy, ImageSource, Merge, Scratch
from tierce.graph.vertex import sorted_vertices
from tierce.store.failed_steps import StepProcess

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.dockerfile.parser import Dockerfile
    from tierce.errors import BuildError
    from tierce.frontend.options import Options, Resolver
    from tierce.frontend.stages import Stage, Step
    from tierce.graph.vertex import Vertex
    from tierce.solver.cache import Outcome
    from tierce.store import Store


def keep_copy(
    store: Store,
    subject: str,
    root: Vertex,
    outcomes: Sequence[Outcome],
    error: BuildError,
    dockerfile: Dockerfile,
    options: Options,
    resolver: Resolver,
) -> None:
    """Keep the file system that a COPY should have copied to, and say so in its error.

    `root` is what was to be solved, with these `outcomes`; the rest is what the Dockerfile was
    lowered with. Nothing happens when it was no COPY that failed, or none upon any file system.
    """
    vertex = _failed_copy(root, error)
    if vertex is None:
        return
    try:
        snapshot = _snapshot(store, vertex.inputs[0], outcomes)
        if snapshot is None:
            return
        state = _State(vertex)
        lower(dockerfile, options, resolver, silent_linter(), observer=state)
        if state.process is not None:
            kept = store.failed_steps.add(subject, error.vertex, snapshot, state.process)
            error.failed_step = kept.id
    except TierceError as reason:
        error.hint = error.hint or f"the state before it could not be kept: {reason.message}"


class _State:
    """What a RUN in the place of a step would be given; found by lowering the Dockerfile again.

    An observer of `tierce.frontend.lower`: the state of each step of each build would cost time.
    """

    def __init__(self, vertex: Vertex) -> None:
        self.process: StepProcess | None = None
        self._digest = vertex.digest

    def __call__(self, stage: Stage, step: Step | None) -> None:
        vertex, image = stage.vertex, stage.image
        if self.process is not None or vertex is None or image is None or step is None:
            return
        if vertex.digest == self._digest:
            self.process = StepProcess(
                shell=image.command_shell[:1],
                env=tuple([f"{name}={value}" for name, value in stage.environment.items()]),
                cwd=stage.directory,
                user=image.user,
            )


def _failed_copy(root: Vertex, error: BuildError) -> Vertex | None:
    """The vertex of the COPY that failed or, for one with --link, of what lays it over its base."""
    for vertex in sorted_vertices([root]):
        parts: tuple[Vertex, ...]
        if isinstance(vertex.op, Merge):
            parts = (vertex, vertex.inputs[1])
        elif isinstance(vertex.op, Copy) and not isinstance(vertex.inputs[0].op, Scratch):
            parts = (vertex,)
        else:
            continue
        if any(_is_place(part, error) for part in parts):
            return vertex
    return None


def _is_place(vertex: Vertex, error: BuildError) -> bool:
    place = vertex.source
    return vertex.name == error.vertex and place is not None and place.first_line == error.line


def _snapshot(store: Store, base: Vertex, outcomes: Sequence[Outcome]) -> int | None:
    """The snapshot of a vertex that was found or run; None for an empty file system."""
    if isinstance(base.op, ImageSource):
        found = store.snapshots.for_layers(base.op.diff_ids)
        return None if found is None else found.id
    for outcome in outcomes:
        if outcome.vertex.digest == base.digest and outcome.record is not None:
            return outcome.record.snapshot
    return None
