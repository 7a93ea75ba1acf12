"""The stages of a Dockerfile: what each is built from, which of them the target needs."""

from __future__ import annotations

from tierce.dockerfile import words
from tierce.dockerfile.gotext import quote
from tierce.dockerfile.instructions import Arg, Command, Copy, From, OnBuild, Run, Workdir
from tierce.dockerfile.parser import Dockerfile, Instruction
from tierce.dockerfile.suggest import did_you_mean
from tierce.errors import DockerfileError, InvalidValue
from tierce.frontend.image import ImageDraft
from tierce.frontend.lint import check_arguments, check_platform, report_at
from tierce.frontend.options import NamedContext, ResolvedImage
from tierce.graph.vertex import Vertex
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tierce.dockerfile.lint import Linter
    from tierce.frontend.lint import Reporter
    from tierce.graph.ops import Mount

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
        self.context = ""  # the name of the build context that is there in its place
        self.files: NamedContext | None = None
        self.vertex: Vertex | None = None


class Step:
    """One instruction of a stage; `sources` are the stages and images it takes files from.

    They are in the order of its mounts; None where files come from the build context, or from
    nowhere. `is_trigger`: it comes from an ONBUILD of the base image.
    """

    __slots__ = ("command", "is_trigger", "mounts", "sources")

    def __init__(self, command: Command, *, is_trigger: bool = False) -> None:
        self.command = command
        self.is_trigger = is_trigger
        self.sources: tuple[Stage | External | None, ...] = ()
        self.mounts: tuple[Mount, ...] = ()  # once it is lowered

    @property
    def place(self) -> Instruction:
        return self.command.source


class Stage:
    """What lies between one FROM and the next, and the state it is in while it is lowered.

    `base_name` is the image or stage it starts from, variables replaced; `base` the stage, if it
    is one. `shown_name` is how steps call it, empty in a Dockerfile with only one. `context` is
    the name of the build context that it starts from, or that `replaces` all of it.
    """

    def __init__(self, definition: From, index: int) -> None:
        self.definition = definition
        self.index = index
        self.name = definition.name
        self.shown_name = definition.name or f"stage-{index}"
        self.base_name = definition.base
        self.used_arguments: dict[str, None] = {}  # that FROM itself asked for, and found
        self.base: Stage | None = None
        self.platform: Platform | None = None
        self.reference: Reference | None = None
        self.resolved: ResolvedImage | None = None
        self.context = ""
        self.replaced = False
        self.files: NamedContext | None = None
        self.steps: list[Step] = []
        self.triggers_done = False
        self.steps_shown = 0
        self._step_total: int | None = None
        # Below: the state, once lowering has begun.
        self.vertex: Vertex | None = None
        self.image: ImageDraft | None = None
        self.environment: dict[str, str] = {}
        self.environment_size = 0
        self.directory = "/"
        self.arguments: dict[str, str] = {}
        self.declared: dict[str, tuple[str, Instruction] | None] = {}
        """The value and the place of each ARG; None for one that hands on a global argument."""
        self.last_places: dict[type[Command], Instruction] = {}
        """Of instructions of which only the last one counts."""
        self.has_directory = False  # by a WORKDIR, its own or of a stage below

    @property
    def place(self) -> Instruction:
        return self.definition.source

    @property
    def is_scratch(self) -> bool:
        return self.base is None and self.base_name == SCRATCH and not self.context

    @property
    def step_total(self) -> int:
        """The number behind the slash in "[2/8]": FROM an image, and what makes vertices.

        Asked for once all steps are there, those of triggers too.
        """
        if self._step_total is None:
            steps = sum(isinstance(step.command, _STEP_TYPES) for step in self.steps)
            self._step_total = steps + (self.base is None and not self.is_scratch)
        return self._step_total

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
        linter: Linter,
        contexts: Mapping[str, str],
    ) -> None:
        """`contexts` are those of `Options`."""
        self.dockerfile = dockerfile
        self._contexts = contexts
        self.stages: list[Stage] = []
        self._by_name: dict[str, Stage] = {}
        self._externals: dict[str, External] = {}
        self._rules = words.Rules(escape=dockerfile.escape)
        self._linter = linter
        self._arguments = arguments
        self._declared = set(arguments)
        self._add_stages(instructions)

    @property
    def externals(self) -> list[External]:
        """All images that are no base of a stage."""
        return list(self._externals.values())

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

    def _add_stages(self, instructions: Sequence[From | Command]) -> None:
        for instruction in instructions:
            if isinstance(instruction, From):
                self._add_stage(instruction)
            elif self.stages:
                if not self.stages[-1].replaced:
                    self.stages[-1].steps.append(Step(instruction))
            else:
                assert isinstance(instruction, Arg)  # nothing else stands before FROM
                self._declared.update([each.name for each in instruction.declarations])

    def _add_stage(self, definition: From) -> None:
        stage = Stage(definition, len(self.stages))
        report = report_at(self._linter, definition.source)
        try:
            stage.base_name = self._expand(definition.base, stage, report)
            if not stage.base_name:
                raise InvalidValue(f"base name ({definition.base}) should not be blank")
            stage.base = self._by_name.get(stage.base_name)
            if definition.platform:
                stage.platform = self._platform(stage, report)
            self._replace(stage)
        except InvalidValue as error:
            raise self.error(stage.place, error.message, hint=error.hint) from None
        if stage.name:
            self._by_name[stage.name] = stage
        self.stages.append(stage)

    def _replace(self, stage: Stage) -> None:
        """Put a named context in the place of a stage, or else of the image it starts from."""
        if not self._contexts:
            return
        if stage.name not in ("context", SCRATCH):
            stage.context = self._context_named(stage.name)
            stage.replaced = bool(stage.context)
        if stage.replaced:
            stage.base = None
        elif stage.base is None and stage.base_name != SCRATCH:
            stage.context = self._context_named(stage.base_name)
        target = self._target_of(stage.context)
        if target is not None:
            stage.base, stage.context = target, ""

    def _context_named(self, name: str) -> str:
        """The name under which there is a context for a stage or an image; empty for none."""
        if not self._contexts or not name:
            return ""
        try:
            familiar = Reference.parse(name).familiar.removesuffix(":latest")
        except InvalidValue:
            return ""
        return familiar if familiar in self._contexts else ""

    def _target_of(self, context: str) -> Stage | None:
        """The stage that a context stands for, if it is one."""
        scheme, colon, name = self._contexts.get(context, "").partition(":")
        if scheme != "target" or not colon:
            return None
        stage = self._by_name.get(name.lower())
        if stage is None:
            raise InvalidValue(
                f"failed to find target {name} for context {context}",
                hint="it is a stage of the Dockerfile, before the one that uses it",
            )
        return stage

    def _expand(
        self,
        text: str,
        stage: Stage,
        report: Reporter,
        references: words.References | None = None,
    ) -> str:
        """A word of FROM with the global arguments."""
        references = references or words.References()
        try:
            return words.expand(text, self._arguments, self._rules, references)
        finally:
            stage.used_arguments |= references.found
            check_arguments(references, self._arguments, self._declared, report)

    def _platform(self, stage: Stage, report: Reporter) -> Platform:
        text = stage.definition.platform
        references = words.References()
        expanded = self._expand(text, stage, report, references)
        check_platform(stage.definition, expanded, references, self._arguments, report)
        near = self._suggested(references.missing)
        if not expanded:
            raise InvalidValue(f"empty platform value from expression {text}{near}")
        try:
            return Platform.parse(expanded)
        except InvalidValue as error:
            raise InvalidValue(
                f"failed to parse platform {text}: {error.message}{near}", hint=error.hint
            ) from None

    def _suggested(self, missing: Iterable[str]) -> str:
        """` (did you mean …?)` for the first of the names that is near a global argument."""
        for name in missing:
            if near := did_you_mean(name, self._arguments):
                return near
        return ""

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
            external.context = self._context_named(name)
            target = self._target_of(external.context)
            if target is not None:
                return target
            self._externals[name] = external
        return external

    def name_images(self) -> None:
        """Read the names of all images, needed or not. Raises DockerfileError."""
        users: list[Stage | External] = [*self.stages, *self.externals]
        for user in users:
            if user.reference is not None or user.context:
                continue
            name = user.name if isinstance(user, External) else user.base_name
            if name == SCRATCH or (isinstance(user, Stage) and user.base is not None):
                continue
            try:
                user.reference = self._reference(name)
            except InvalidValue as error:
                raise self.error(user.place, error.message, hint=error.hint) from None

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

    def needed(self, *targets: Stage) -> tuple[list[Stage], list[External]]:
        """The targets and everything they need, stages in the order of the file."""
        found: dict[Stage | External, None] = {}
        todo: list[Stage | External] = list(targets)
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
        if stage.replaced:
            return []
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
