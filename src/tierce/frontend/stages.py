"""The stages of a Dockerfile: what each is built from, which of them the target needs."""

from __future__ import annotations

from tierce.dockerfile import words
from tierce.dockerfile.gotext import quote
from tierce.dockerfile.instructions import Arg, Command, Copy, From, OnBuild, Run, Workdir
from tierce.dockerfile.parser import Dockerfile, Instruction
from tierce.dockerfile.readers import parse_error
from tierce.dockerfile.suggest import did_you_mean
from tierce.errors import DockerfileError, InvalidValue
from tierce.frontend.image import ImageDraft
from tierce.frontend.options import ResolvedImage
from tierce.graph.vertex import Vertex
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCRATCH = "scratch"
_STEP_TYPES = (Run, Copy, Workdir)
_IMAGE_NAMES = ("alpine", "busybox", "centos", "debian", "fedora", "golang", "ubuntu")


class External:
    """An image that files are copied or mounted from, without being the base of a stage."""

    def __init__(self, name: str, place: Instruction) -> None:
        self.name = name
        self.place = place
        self.platform: Platform | None = None
        self.reference: Reference | None = None
        self.resolved: ResolvedImage | None = None
        self.vertex: Vertex | None = None


class Step:
    """One instruction of a stage; `sources` are the stages and images it takes files from.

    They are in the order of its mounts; None where files come from the build context, or from
    nowhere. `is_trigger`: it comes from an ONBUILD of the base image.
    """

    __slots__ = ("command", "is_trigger", "sources")

    def __init__(self, command: Command, *, is_trigger: bool = False) -> None:
        self.command = command
        self.is_trigger = is_trigger
        self.sources: tuple[Stage | External | None, ...] = ()

    @property
    def place(self) -> Instruction:
        return self.command.source


class Stage:
    """What lies between one FROM and the next, and the state it is in while it is lowered.

    `base_name` is the image or stage it starts from, variables replaced; `base` the stage, if it
    is one. `shown_name` is how steps call it, empty in a Dockerfile with only one.
    """

    def __init__(self, definition: From, index: int) -> None:
        self.definition = definition
        self.index = index
        self.name = definition.name
        self.shown_name = definition.name or f"stage-{index}"
        self.base_name = definition.base
        self.base: Stage | None = None
        self.platform: Platform | None = None
        self.reference: Reference | None = None
        self.resolved: ResolvedImage | None = None
        self.steps: list[Step] = []
        self.triggers_done = False
        self.steps_shown = 0
        # Below: the state, once lowering has begun.
        self.vertex: Vertex | None = None
        self.image: ImageDraft | None = None
        self.environment: dict[str, str] = {}
        self.environment_size = 0
        self.directory = "/"
        self.arguments: dict[str, str] = {}
        self.cmd_is_set = False

    @property
    def place(self) -> Instruction:
        return self.definition.source

    @property
    def is_scratch(self) -> bool:
        return self.base is None and self.base_name == SCRATCH

    @property
    def step_total(self) -> int:
        """The number behind the slash in "[2/8]": FROM an image, and what makes vertices."""
        steps = sum(isinstance(step.command, _STEP_TYPES) for step in self.steps)
        return steps + (self.base is None and not self.is_scratch)

    def sources(self) -> Iterator[Stage | External]:
        """Everything that has to be built or found before this stage."""
        if self.base is not None:
            yield self.base
        for step in self.steps:
            for source in step.sources:
                if source is not None:
                    yield source


class StageGraph:
    """All stages of a Dockerfile; `connect` joins them.

    Raises DockerfileError where a stage names what cannot be.
    """

    def __init__(
        self,
        dockerfile: Dockerfile,
        instructions: Sequence[From | Command],
        arguments: Mapping[str, str],
    ) -> None:
        self.dockerfile = dockerfile
        self.stages: list[Stage] = []
        self._by_name: dict[str, Stage] = {}
        self._externals: dict[str, External] = {}
        self._rules = words.Rules(escape=dockerfile.escape)
        self._add_stages(instructions, arguments)

    def connect(self) -> None:
        """Find the sources of all steps, needed or not. Raises DockerfileError."""
        extras = 0
        for stage in self.stages:
            for step in stage.steps:
                extras += self.connect_step(step)
        self._check_circles()
        # BuildKit counts sources that are no stages as further stages here, so that a lone
        # stage has a name in the steps as soon as a RUN has a mount.
        if len(self.stages) + extras == 1:
            self.stages[0].shown_name = ""

    def _add_stages(
        self, instructions: Sequence[From | Command], arguments: Mapping[str, str]
    ) -> None:
        for instruction in instructions:
            if isinstance(instruction, From):
                self._add_stage(instruction, arguments)
            elif self.stages:
                self.stages[-1].steps.append(Step(instruction))
            elif not isinstance(instruction, Arg):
                raise parse_error(
                    self.dockerfile,
                    instruction.source,
                    InvalidValue(
                        "no build stage in current context",
                        hint="only ARG can stand before the first FROM",
                    ),
                )
        if not self.stages:
            raise self.dockerfile.error("dockerfile contains no stages to build")

    def _add_stage(self, definition: From, arguments: Mapping[str, str]) -> None:
        stage = Stage(definition, len(self.stages))
        try:
            stage.base_name = words.expand(definition.base, arguments, self._rules)
            if not stage.base_name:
                raise InvalidValue(f"base name ({definition.base}) should not be blank")
            stage.base = self._by_name.get(stage.base_name)
            if definition.platform:
                stage.platform = self._platform(definition.platform, arguments)
            if stage.base is None and stage.base_name != SCRATCH:
                stage.reference = self._reference(stage.base_name)
        except InvalidValue as error:
            raise self.error(stage.place, error.message, hint=error.hint) from None
        if stage.name:
            self._by_name[stage.name] = stage
        self.stages.append(stage)

    def _platform(self, text: str, arguments: Mapping[str, str]) -> Platform:
        expanded = words.expand(text, arguments, self._rules)
        if not expanded:
            near = did_you_mean(text.strip("${}"), arguments)
            raise InvalidValue(f"empty platform value from expression {text}{near}")
        try:
            return Platform.parse(expanded)
        except InvalidValue as error:
            raise InvalidValue(
                f"failed to parse platform {text}: {error.message}", hint=error.hint
            ) from None

    def _reference(self, name: str) -> Reference:
        try:
            return Reference.parse(name).with_default_tag()
        except InvalidValue as error:
            raise InvalidValue(
                f"failed to parse stage name {quote(name)}: {error.message}", hint=error.hint
            ) from None

    def connect_step(self, step: Step) -> int:
        """Find the sources of a step; how many of them are no stages."""
        command = step.command
        try:
            if isinstance(command, Copy) and command.copy_from:
                source = self._copy_source(command)
                step.sources = (source,)
                return int(isinstance(source, External))
            if isinstance(command, Run) and command.mount_sources:
                sources = [
                    self._source(name, command.source) if name else None
                    for name in command.mount_sources
                ]
                step.sources = tuple(sources)
                return sum(not isinstance(source, Stage) for source in sources)
        except InvalidValue as error:
            raise self.error(command.source, error.message, hint=error.hint) from None
        return 0

    def _copy_source(self, command: Copy) -> Stage | External:
        name = command.copy_from
        if words.expand(name, {}, self._rules) != name:
            raise InvalidValue(
                "variable expansion is not supported for --from, define a new stage with FROM"
                " using ARG from global scope as a workaround"
            )
        if not name.removeprefix("-").removeprefix("+").isdecimal():
            return self._source(name, command.source)
        if len(name) > 9 or not 0 <= int(name) < len(self.stages):
            raise InvalidValue(
                f"invalid stage index {name}",
                hint=f"the stages are numbered from 0 to {len(self.stages) - 1}",
            )
        return self.stages[int(name)]

    def _source(self, name: str, place: Instruction) -> Stage | External:
        """The stage of that name, whatever its case, or else the image."""
        stage = self._by_name.get(name.lower())
        if stage is not None:
            return stage
        external = self._externals.get(name)
        if external is None:
            external = External(name, place)
            if name != SCRATCH:
                external.reference = self._reference(name)
            self._externals[name] = external
        return external

    def _check_circles(self) -> None:
        """Refuse stages that copy from each other in a circle."""
        done: set[Stage] = set()
        for start in self.stages:
            if start in done:
                continue
            path: dict[Stage, Iterator[tuple[Stage, Instruction]]] = {start: _edges(start)}
            while path:
                stage, edges = next(reversed(path.items()))
                following = next(edges, None)
                if following is None:
                    done.add(stage)
                    del path[stage]
                    continue
                target, place = following
                if target in path:
                    raise self.error(
                        place, f"circular dependency detected on stage: {start.shown_name}"
                    )
                if target not in done:
                    path[target] = _edges(target)

    def target(self, name: str) -> Stage:
        """The stage that is to be built: by name, or the last. Raises DockerfileError.

        Numbers name none: as in BuildKit, they are for `--from`.
        """
        if not name:
            return self.stages[-1]
        stage = self._by_name.get(name.lower())
        if stage is not None:
            return stage
        names = [stage.name for stage in self.stages if stage.name]
        raise self.dockerfile.error(
            f"target stage {quote(name)} could not be found{did_you_mean(name, names)}",
            hint=f"the stages are: {', '.join(names)}"
            if names
            else "no stage has a name; give it one with FROM … AS NAME",
        )

    def needed(self, target: Stage) -> tuple[list[Stage], list[External]]:
        """The target and everything it needs, stages in the order of the file."""
        found: dict[Stage | External, None] = {}
        todo: list[Stage | External] = [target]
        while todo:
            each = todo.pop()
            if each not in found:
                found[each] = None
                if isinstance(each, Stage):
                    todo += each.sources()
        stages = [stage for stage in self.stages if stage in found]
        return stages, [each for each in found if isinstance(each, External)]

    def triggers(self, stage: Stage) -> list[str]:
        """What the base of a stage wants to have run in it (ONBUILD)."""
        if stage.base is not None:
            commands = [step.command for step in stage.base.steps]
            return [each.trigger for each in commands if isinstance(each, OnBuild)]
        return list(stage.resolved.config.config.on_build) if stage.resolved else []

    def suggestion(self, base_name: str) -> str:
        """` (did you mean …?)` for a base image that is not there."""
        return did_you_mean(base_name, [*self._by_name, *_IMAGE_NAMES])

    def error(self, place: Instruction, message: str, *, hint: str = "") -> DockerfileError:
        """A mistake in what an instruction asks for, with its place."""
        return self.dockerfile.error(message, place.first_line, place.last_line, hint=hint)


def _edges(stage: Stage) -> Iterator[tuple[Stage, Instruction]]:
    """The stages that the steps of a stage take files from, with the step."""
    for step in stage.steps:
        for source in step.sources:
            if isinstance(source, Stage):
                yield source, step.place
