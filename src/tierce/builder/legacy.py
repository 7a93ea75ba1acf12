"""Builds in docker's classic form (DOCKER_BUILDKIT=0): step by step, each making an image.

The graph, the cache and the final image are those of every build: only the order is that of the
file, and there is an image for each step. What docker's classic builder cannot do is refused.
"""

from __future__ import annotations

import os
from contextlib import nullcontext

from tierce.builder.contexts import open_context
from tierce.builder.legacy_words import context_size, refuse, unused_arguments
from tierce.dockerfile.gotext import well_formed
from tierce.dockerfile.instructions import Copy, Run, Workdir
from tierce.errors import StepFailed
from tierce.export.image import Built, export_image, finish_image
from tierce.solver.legacy import (
    ArgumentsUnused,
    CacheUsed,
    ContainerBegun,
    ContainerRemoved,
    ContextSent,
    ImageBuilt,
    StepBegun,
    StepEnded,
    TriggersBegun,
)
from tierce.solver.progress import VertexFinished
from tierce.values import Value
from tierce.worker.results import FileSystem
from tierce.worker.runner import Runner

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tierce.builder.leaks import LeakCheck
    from tierce.builder.request import BuildRequest, BuildResult
    from tierce.dockerfile.parser import Dockerfile
    from tierce.frontend.options import Plan
    from tierce.frontend.stages import Stage, Step
    from tierce.graph.ops import Exec
    from tierce.graph.vertex import Vertex
    from tierce.oci.config import ImageConfig
    from tierce.oci.digest import Digest
    from tierce.solver.progress import Event, Listener
    from tierce.solver.scheduler import Solver
    from tierce.solver.types import Step as RunningStep
    from tierce.store import Store
    from tierce.worker.context import LocalTree
    from tierce.worker.credentials import Credentials
    from tierce.worker.results import Result
    from tierce.worker.secrets import SecretSearch
    from tierce.worker.worker import LocalContext


class State(Value):
    """A stage before its steps (`step` is None) or after one of them.

    `text` is the instruction; `config` that of the image so far, to which `layers` have added, and
    the first `inherited` entries of whose history came with the base image, which is `base`;
    `base_stage` is the number of the stage in its place. FROM runs `triggers`.
    """

    stage: int
    text: str
    step: Step | None
    vertex: Vertex
    config: ImageConfig
    layers: tuple[Vertex, ...]
    inherited: int
    base: Digest | None
    base_stage: int | None
    triggers: int

    @property
    def is_trigger(self) -> bool:
        return self.step is not None and self.step.is_trigger


class LegacyBuild:
    """One build in the classic form: its listener, its observer of the lowering, its solving."""

    def __init__(
        self,
        store: Store,
        request: BuildRequest,
        listener: Listener,
    ) -> None:
        """`listener` is told of the events that every build has."""
        assert request.legacy is not None
        self._store = store
        self._request = request
        self._mode = request.legacy
        self._tell = request.legacy.listener
        self._listener = listener
        self._labels = sorted(
            (well_formed(name), well_formed(value)) for name, value in request.labels
        )
        self._states: list[State] = []
        self._images: dict[int, Digest | None] = {}
        """The newest image of each stage."""
        self._ran: set[str] = set()
        self._container = ""
        self._leaks: LeakCheck | None = None

    def listen(self, event: Event) -> None:
        """Takes the events of the build."""
        if isinstance(event, VertexFinished) and not event.cached:
            self._ran.add(event.vertex)
        self._listener(event)

    def observe(self, stage: Stage, step: Step | None) -> None:
        """See `tierce.frontend.lower.Observer`."""
        assert stage.image is not None
        assert stage.vertex is not None
        first = stage
        while first.base is not None:
            first = first.base
        resolved = first.resolved
        self._states.append(
            State(
                stage=stage.index,
                text=(stage.place if step is None else step.place).code,
                step=step,
                vertex=stage.vertex,
                config=stage.image.freeze(),
                layers=tuple([layer.vertex for layer in stage.image.layers]),
                inherited=0 if resolved is None else len(resolved.config.history),
                base=None if resolved is None else resolved.manifest,
                base_stage=None if stage.base is None else stage.base.index,
                triggers=sum(each.is_trigger for each in stage.steps),
            )
        )

    def runner(
        self,
        store: Store,
        image_steps: set[str],
        credentials: Credentials | None,
        subject: str,
        search: SecretSearch | None,
        isolation: str,
    ) -> Runner:
        """Runs the steps of the build, and tells when one begins to."""
        return _Announcing(
            *(self._begin_container, store, image_steps, credentials, subject, search, isolation)
        )

    # Building

    def solve(
        self,
        solver: Solver[Result],
        plan: Plan,
        dockerfile: Dockerfile,
        contexts: Mapping[str, LocalContext],
        leaks: LeakCheck | None,
    ) -> Result:
        """Build step by step; the result of the last one. Raises as `Solver.solve`.

        With `leaks`, no layer gets into an image in which there is a secret.
        """
        self._leaks = leaks
        size = context_size(self._context(contexts), len(dockerfile.source.encode()))
        self._tell(ContextSent(size))
        before = []
        for instruction in dockerfile.instructions:
            if instruction.name == "from":
                break
            before.append(instruction.code)
        labels = [f"LABEL {name}={value}" for name, value in self._labels]
        steps = [state for state in self._states if not state.is_trigger]
        total = len(before) + len(steps) + len(labels)
        for number, text in enumerate(before, 1):
            self._tell(StepBegun(number, total, text))
        number = len(before)
        last = len(self._states) - 1
        for place, state in enumerate(self._states):
            if not state.is_trigger:
                number += 1
                self._tell(StepBegun(number, total, state.text))
            self._images[state.stage] = self._step(solver, plan, state, dockerfile)
            if place == last or not self._states[place + 1].is_trigger:
                self._tell(StepEnded(str(self._images[state.stage] or "")))
        [result] = solver.solve([plan.vertex])
        self._add_labels(labels, number, total, plan, result)
        return result

    def finished(self, result: BuildResult, dockerfile: Dockerfile) -> None:
        """The image is there, and has its names."""
        unused = unused_arguments(self._request, dockerfile)
        if unused:
            self._tell(ArgumentsUnused(unused))
        if result.image_id is not None:
            self._tell(ImageBuilt(str(result.image_id), result.tags))

    def _context(self, contexts: Mapping[str, LocalContext]) -> LocalTree | None:
        """The directory that docker would send, whether it is used or not."""
        opened = contexts.get("context")
        if opened is None and os.path.isdir(self._request.context):
            opened = open_context(self._store, self._request, lambda event: None)
        return None if opened is None else opened.tree

    def _step(
        self, solver: Solver[Result], plan: Plan, state: State, dockerfile: Dockerfile
    ) -> Digest | None:
        """Build one step; its image."""
        if state.step is None:
            return self._begin_stage(state)
        command = state.step.command
        refuse(command, dockerfile)
        seen = state.vertex.digest in self._ran
        try:
            [result] = solver.solve([state.vertex])
        except StepFailed as error:
            self._fail(error)
            raise
        if self._leaks is not None and isinstance(result, FileSystem):
            inherited, outcomes = len(state.config.diff_ids), solver.outcomes()
            self._leaks.check_layers(result.snapshot, inherited, state.layers, outcomes)
        was_run = not seen and state.vertex.digest in self._ran
        parent = self._images[state.stage]
        if isinstance(command, (Run, Copy)):
            if not was_run:
                self._tell(CacheUsed())
            self._end_container()
            return self._commit(plan, state.config, state.inherited, result, parent)
        known = self._is_known(plan, state.config, state.inherited, result)
        if isinstance(command, Workdir) and was_run:
            known = False
        self._tell_of_container(known=known)
        return self._commit(plan, state.config, state.inherited, result, parent)

    def _begin_stage(self, state: State) -> Digest | None:
        if state.triggers:
            self._tell(TriggersBegun(state.triggers))
        if state.base_stage is not None:
            return self._images[state.base_stage]
        return None if state.base is None else self._store.images.get(state.base).config

    def _add_labels(
        self, labels: Sequence[str], number: int, total: int, plan: Plan, result: Result
    ) -> None:
        """The labels of the command line, each as a step of its own at the end."""
        state = self._states[-1]
        config, added = state.config, dict(state.config.config.labels)
        for (name, value), text in zip(self._labels, labels):
            number += 1
            self._tell(StepBegun(number, total, text))
            added[name] = value
            inner = config.config.replace(labels=tuple(sorted(added.items())))
            config = config.replace(config=inner)
            self._tell_of_container(known=self._is_known(plan, config, state.inherited, result))
            parent = self._images[state.stage]
            image = self._commit(plan, config, state.inherited, result, parent)
            self._images[state.stage] = image
            self._tell(StepEnded(str(image)))

    # Images of steps

    def _built(self, plan: Plan, config: ImageConfig, inherited: int, result: Result) -> Built:
        assert isinstance(result, FileSystem)
        platform = config.platform.normalized()
        if self._request.platform:
            platform = plan.config.platform
        config = config.replace(
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
            os_version=platform.os_version,
            os_features=platform.os_features,
        )
        return Built(result.snapshot, config, inherited)

    def _is_known(self, plan: Plan, config: ImageConfig, inherited: int, result: Result) -> bool:
        """Whether the image of a step that changes no file was made before."""
        if self._request.no_cache:
            return False
        built = self._built(plan, config, inherited, result)
        finished = finish_image(self._store, built, epoch=plan.source_date_epoch)
        return self._store.images.find(str(finished.image_id)) is not None

    def _commit(
        self,
        plan: Plan,
        config: ImageConfig,
        inherited: int,
        result: Result,
        parent: Digest | None,
    ) -> Digest:
        made = export_image(
            self._store,
            self._built(plan, config, inherited, result),
            (),
            lambda text: nullcontext(),
            epoch=plan.source_date_epoch,
        )
        assert made.image_id is not None
        if parent is not None and parent != made.image_id:
            self._store.images.set_parent(made.image_id, parent)
        return made.image_id

    # Containers

    def _begin_container(self) -> None:
        self._container = os.urandom(32).hex()
        self._tell(ContainerBegun(self._container))

    def _end_container(self) -> None:
        if self._container and self._mode.remove:
            self._tell(ContainerRemoved(self._container))
        self._container = ""

    def _tell_of_container(self, *, known: bool) -> None:
        """What docker's builder does for what changes only the config, and need not be done."""
        if known:
            self._tell(CacheUsed())
        else:
            self._begin_container()
            self._end_container()

    def _fail(self, error: StepFailed) -> None:
        """A RUN has failed: say so in docker's words, and keep it under its container's id."""
        words = " ".join(error.command)
        error.message = f"The command '{words}' returned a non-zero code: {error.status}"
        error.exit_code, error.classic = error.status, True
        steps = self._store.failed_steps
        step = steps.find(error.failed_step)
        if step is not None:
            process = steps.process(step)
            steps.remove(step.id)
            error.failed_step = ""
            if not self._mode.force_remove:
                kept = steps.add(
                    step.build, step.name, step.snapshot, process, identifier=self._container
                )
                error.failed_step = kept.id
        if self._mode.force_remove:
            self._tell(ContainerRemoved(self._container))


class _Announcing(Runner):
    """Tells when a step begins to run."""

    def __init__(
        self,
        announce: Callable[[], None],
        store: Store,
        image_steps: set[str],
        credentials: Credentials | None,
        subject: str,
        search: SecretSearch | None,
        isolation: str,
    ) -> None:
        super().__init__(store, image_steps, credentials, subject, search, isolation)
        self._announce = announce

    def run(
        self, op: Exec, base: FileSystem, inputs: Sequence[Result], step: RunningStep
    ) -> FileSystem:
        self._announce()
        return super().run(op, base, inputs, step)
