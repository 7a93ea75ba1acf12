"""Lowers a Dockerfile to the graph of operations that builds it, and to the image's config.

The names of steps and the history are those of BuildKit (frontend/dockerfile/dockerfile2llb).
"""

from __future__ import annotations

import time

from tierce import frontend
from tierce.dockerfile import lint, words
from tierce.dockerfile.gotext import well_formed
from tierce.dockerfile.instructions import Arg, Command, Copy, From, Run, Workdir
from tierce.dockerfile.parser import Dockerfile, Instruction, parse_trigger
from tierce.dockerfile.reading import read_all, read_instruction
from tierce.errors import BuildError, DockerfileError, InvalidValue, NotFound
from tierce.frontend import arguments, metadata
from tierce.frontend.context import Context
from tierce.frontend.copy import lower_copy
from tierce.frontend.image import ImageDraft
from tierce.frontend.lint import check_defaults, check_image, check_sources
from tierce.frontend.options import ImageRequest, Options, Plan, ResolvedImage, Resolver
from tierce.frontend.paths import absolute, working_directory
from tierce.frontend.run import lower_run
from tierce.frontend.stages import External, Stage, StageGraph, Step
from tierce.graph import ops
from tierce.graph.ops import Exec, ImageSource, MakeDirectory, Scratch
from tierce.graph.vertex import Vertex
from tierce.oci.config import History, ImageConfig
from tierce.oci.epoch import EPOCH
from tierce.oci.platform import Platform

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tierce.dockerfile.ignore import Ignore
    from tierce.dockerfile.lint import Linter

    Observer = Callable[[Stage, Step | None], None]
    """Looks at the state of a stage, as it is after a step, or before all of them (None)."""

__all__ = ["Options", "Plan", "ResolvedImage", "lower"]


def lower(
    dockerfile: Dockerfile,
    options: Options,
    resolver: Resolver,
    linter: Linter | None = None,
    find_ignore: Callable[[], Ignore | None] = lambda: None,
    observer: Observer | None = None,
) -> Plan:
    """Find out what has to be done to build a Dockerfile.

    `resolver` is called with the images that the target needs; images of other stages are not
    asked for. What is questionable is reported by the `linter`; `find_ignore`, which gives the
    rules of the ignore file, is called when something is copied from the build context; the
    `observer` with each stage as it begins, then with each of its steps when that is lowered.
    Raises DockerfileError with the place of the mistake, UsageError for options that make no
    sense, and what the resolver raises.
    """
    lowering = Lowering(dockerfile, options, linter or lint.silent_linter(), find_ignore)
    lowering.observer = observer
    return lowering.plan(lowering.lower(resolver))


class Lowering:
    """One lowering, with what it finds out on the way.

    Made and used by `lower`, and by those who want to know about a Dockerfile without building it.
    """

    def __init__(
        self,
        dockerfile: Dockerfile,
        options: Options,
        linter: Linter,
        find_ignore: Callable[[], Ignore | None],
    ) -> None:
        self._dockerfile = dockerfile
        self.observer: Observer | None = None
        self._linter = linter
        self._find_ignore = find_ignore
        self._ignore: Ignore | None = None
        self._ignore_is_known = False
        self._options = options = options.replace(
            build_args=_well_formed(options.build_args), labels=_well_formed(options.labels)
        )
        self._build = (options.build_platform or Platform.host()).normalized()
        self._target = (options.platform or self._build).normalized()
        instructions = read_all(dockerfile, linter)
        self.global_declarations = _before_stages(instructions)
        self._arguments = self._global_arguments(instructions)
        self._epoch = self._resolve_epoch(instructions)
        options = self._options
        self.graph = StageGraph(dockerfile, instructions, self._arguments, linter, options.contexts)
        self._context = Context(dockerfile, options, self._arguments, linter)
        self._context.proxies = arguments.proxies(options.build_args)
        self._context.created = _time_text(self._epoch)

    def lower(self, resolver: Resolver, *, all_stages: bool = False) -> Stage:
        """Lower what the target needs, or all that there is; return the target."""
        target = self.graph.target(self._options.target)
        self.graph.connect()
        stages = self._resolve(target, resolver, all_stages=all_stages)
        for stage in stages:
            self._lower_stage(stage)
        if failure := self._linter.failure():
            raise self._dockerfile.error(failure)
        return target

    # Arguments

    def _global_arguments(self, instructions: list[From | Command]) -> dict[str, str]:
        stages = [each for each in instructions if isinstance(each, From)]
        last = stages[-1].name
        given = self._options.build_args
        result = arguments.platform_arguments(
            self._build, self._target, self._options.target or last, given
        )
        self.predefined = dict(result)
        self._check_defaults(stages)
        arguments.apply_global(result, self.global_declarations, given, self._dockerfile)
        return result

    def _resolve_epoch(self, instructions: list[From | Command]) -> int | None:
        """The time that the image shall tell. As in BuildKit, the argument becomes a number."""
        given, declared = self._options.build_args, self._arguments
        text = given.get(EPOCH, declared.get(EPOCH, ""))
        found = arguments.epoch_of(
            text,
            self._options.source_date_epoch,
            lambda name: frontend.epoch.resolve_epoch(
                *(name, self._dockerfile, instructions, declared, self._options, self._target)
            ),
        )
        if text:
            self._options = self._options.replace(build_args=arguments.with_epoch(given, found))
            self._arguments = arguments.with_epoch(declared, found)
        return found

    def _check_defaults(self, stages: list[From]) -> None:
        defaults = dict(self.predefined)
        try:
            arguments.apply_global(defaults, self.global_declarations, {}, self._dockerfile)
        except DockerfileError:
            return  # unless a value is given, in which case it is fine
        rules = words.Rules(escape=self._dockerfile.escape)
        check_defaults(stages, defaults, rules, self._linter)

    # Base images

    def _resolve(self, target: Stage, resolver: Resolver, *, all_stages: bool) -> list[Stage]:
        """Find all images that the target needs; the stages it needs, in their order.

        With `all_stages` the others too, but what triggers do there is left out.
        """
        while True:
            before = self.graph.stages[: target.index] if self._options.in_order else []
            stages, externals = self.graph.needed(target, *before)
            self.graph.name_images()
            self._find_images([*stages, *externals], resolver)
            # A trigger may copy from a further image, or from a stage that nobody needed so far.
            new_sources = [self._add_triggers(stage) for stage in stages]
            if not any(new_sources):
                break
        if all_stages:
            stages, externals = self.graph.stages, self.graph.externals
            self._find_images([*stages, *externals], resolver)
        self._check_images(stages)
        for external in externals:
            external.vertex = self._image_vertex(external)
        return stages

    def _find_images(self, users: list[Stage | External], resolver: Resolver) -> None:
        wanted: dict[ImageRequest, list[Stage | External]] = {}
        for user in users:
            if isinstance(user, Stage) and user.base is not None:
                continue
            if user.context:
                self._load_context(user)
                continue
            if user.reference is not None and user.resolved is None:
                request = (user.reference, user.platform or self._target)
                wanted.setdefault(request, []).append(user)
        if not wanted:
            return
        try:
            found = resolver(list(wanted))
        except NotFound as error:
            raise self._placed(error, wanted) from error
        for request, users_of_it in wanted.items():
            for user in users_of_it:
                user.resolved = found[request]

    def _load_context(self, user: Stage | External) -> None:
        """Find the files that a named context has in place of an image, or of all of a stage."""
        if user.files is not None:
            return
        load = self._options.load_context
        assert load is not None
        try:
            user.files = load(user.context, user.platform or self._target)
        except (BuildError, InvalidValue, NotFound) as error:
            raise self.graph.error(user.place, error.message, hint=error.hint) from error
        user.resolved = user.files.image

    def _check_images(self, stages: list[Stage]) -> None:
        """Check the platform of an image each time that it is used."""
        for stage in stages:
            if stage.base is None:
                self._check_image(stage, stage.base_name, stage.place)
            for step in stage.steps:
                for source in step.sources:
                    if isinstance(source, External):
                        self._check_image(source, source.name, step.place)

    def _check_image(self, user: Stage | External, name: str, place: Instruction) -> None:
        found = user.resolved
        if found is None or user.context or not found.config.diff_ids:
            return
        # As in BuildKit, comments say nothing about this, and mounts have no place.
        lines = (0, 0) if place.name == "run" else (place.first_line, place.last_line)
        expected, actual = self._platform_of(user, found), found.config.platform
        check_image(name, expected, actual, lines, self._linter)

    def _placed(
        self, error: NotFound, wanted: dict[ImageRequest, list[Stage | External]]
    ) -> Exception:
        """The error with the place of the FROM that names the image, if it is one of them."""
        for (reference, _), users in wanted.items():
            if error.name not in (str(reference), reference.familiar, reference.name):
                continue
            user = users[0]
            name = user.base_name if isinstance(user, Stage) else user.name
            near = self.graph.suggestion(name)
            return self.graph.error(user.place, f"{name}: {error.message}{near}", hint=error.hint)
        return error

    def _add_triggers(self, stage: Stage) -> bool:
        """Put the triggers of its base before the steps of a stage; whether these have sources."""
        if stage.triggers_done:
            return False
        stage.triggers_done = True
        steps: list[Step] = []
        for text in self.graph.triggers(stage):
            place = stage.place
            trigger = parse_trigger(text, self._dockerfile, place.first_line, place.last_line)
            command = read_instruction(trigger.instructions[0], trigger)
            if isinstance(command, From):
                raise self.graph.error(place, "FROM isn't allowed as an ONBUILD trigger")
            step = Step(command, is_trigger=True)
            self.graph.connect_step(step)
            steps.append(step)
        stage.steps[:0] = steps
        return any(step.sources for step in steps)

    def _image_vertex(self, user: Stage | External) -> Vertex:
        """The file system of an image, or of a stage's base. An image may have no layers."""
        if user.files is not None:
            return self._context_vertex(user, user.files.vertex)
        resolved = user.resolved
        if resolved is None or not resolved.config.diff_ids:
            return self._context.vertex(Scratch())
        operation = ImageSource(
            reference=resolved.reference,
            manifest=resolved.manifest,
            platform=self._platform_of(user, resolved),
            diff_ids=resolved.config.diff_ids,
        )
        if isinstance(user, Stage):
            name = self._context.base_name(user, resolved.reference)
        else:
            name = f"FROM {resolved.reference}"
        return self._context.vertex(operation, name=name, place=user.place)

    def _context_vertex(self, user: Stage | External, files: Vertex) -> Vertex:
        """The file system of a named context; a stage begins on one that is the store's."""
        if isinstance(user, External) or not isinstance(files.op, ops.LocalSource):
            return files
        whole = ops.Copy((ops.CopyPart(1, ("/",)),), "/")
        return self._context.vertex(whole, [self._context.vertex(Scratch()), files])

    def _platform_of(self, user: Stage | External, resolved: ResolvedImage) -> Platform:
        """What was asked for; or what the image is for, when nobody asked for anything."""
        if user.platform is not None:
            return user.platform
        found = resolved.config.platform
        wanted = (self._target.os, self._target.architecture)
        builds = (self._build.os, self._build.architecture)
        has = (found.os, found.architecture)
        if self._options.platform is None and has == builds != wanted:
            return self._build
        return self._target

    # Stages

    def _lower_stage(self, stage: Stage) -> None:
        """Lower all steps of a stage; those it is built from are lowered."""
        image = self._begin(stage)
        observer = self.observer
        if observer is not None:
            observer(stage, None)
        for step in stage.steps:
            try:
                self._lower_step(stage, image, step)
            except InvalidValue as error:
                raise self.graph.error(step.place, error.message, hint=error.hint) from None
            if observer is not None:
                observer(stage, step)

    def _begin(self, stage: Stage) -> ImageDraft:
        """Put a stage into the state of what it is built from."""
        base = stage.base
        if base is not None:
            assert base.image is not None
            assert base.vertex is not None
            image = base.image.child()
            stage.vertex = base.vertex
            stage.platform = base.platform
            stage.environment = dict(base.environment)
            stage.environment_size = base.environment_size
            stage.arguments = dict(base.arguments)
            stage.directory = base.directory
            stage.has_directory = base.has_directory
        elif stage.resolved is not None:
            image = ImageDraft(stage.resolved.config)
            image.on_build = []  # they are steps of this stage now
            stage.platform = self._platform_of(stage, stage.resolved)
            stage.vertex = self._image_vertex(stage)
        else:
            image = ImageDraft.empty(self._target)
            stage.platform = self._target
            stage.vertex = self._image_vertex(stage)
        image.ensure_path()
        try:
            for name, value in image.environment:
                self._context.set_variable(stage, name, value)
        except InvalidValue as error:
            raise self.graph.error(stage.place, error.message) from None
        if image.working_dir:
            image.working_dir = working_directory(image.working_dir, image.working_dir)
            stage.directory = image.working_dir
        stage.image = image
        return image

    def _lower_step(self, stage: Stage, image: ImageDraft, step: Step) -> None:
        command = step.command
        self._context.enter(step.place)
        assert stage.vertex is not None
        if isinstance(command, Run):
            lower_run(self._context, stage, image, step, command, stage.vertex)
            if isinstance(stage.vertex.op, Exec):
                step.mounts = stage.vertex.op.mounts
        elif isinstance(command, Copy):
            lower_copy(self._context, stage, image, step, command, stage.vertex)
            self._check_sources(stage, step, command)
        elif isinstance(command, Workdir):
            self._lower_workdir(stage, image, step, command, stage.vertex)
        else:
            metadata.apply(self._context, stage, image, command)

    def _lower_workdir(
        self, stage: Stage, image: ImageDraft, step: Step, command: Workdir, base: Vertex
    ) -> None:
        path = self._context.expand(command.path, stage)
        if not stage.has_directory and not path.startswith("/"):
            self._context.report(lint.WORKDIR_RELATIVE_PATH, path)
        stage.has_directory = True
        directory = working_directory(image.working_dir, path)
        image.working_dir = stage.directory = directory
        layer = None
        if directory != "/":
            layer = stage.vertex = self._context.vertex(
                MakeDirectory(absolute(directory), owner=image.user),
                [base],
                name=self._context.step_name(stage, step),
                place=step.place,
            )
        image.add_history(f"WORKDIR {directory}", self._context.created, layer)

    def _check_sources(self, stage: Stage, step: Step, command: Copy) -> None:
        if step.sources or not command.sources:
            return
        if not self._ignore_is_known:
            self._ignore_is_known = True
            self._ignore = self._find_ignore()
        if self._ignore is not None:
            # What is not set in them is reported already.
            rules = words.Rules(escape=self._dockerfile.escape)
            sources = [words.expand(each, stage.environment, rules) for each in command.sources]
            check_sources(command, sources, self._ignore, self._context.report)

    # The result

    def plan(self, target: Stage) -> Plan:
        """What has to be done for a target that is lowered."""
        image, vertex = target.image, target.vertex
        assert image is not None
        assert vertex is not None
        for name, value in self._options.labels.items():
            image.set_label(name, value)
        first = target
        while first.base is not None:
            first = first.base
        base = first.resolved
        return Plan(
            vertex=vertex,
            config=self._with_platform(self._with_history(image.freeze(), image, first)),
            layers=tuple(image.layers),
            base=base,
            inherited_history=0 if base is None else len(base.config.history),
            platform=target.platform or self._target,
            source_date_epoch=self._epoch,
            needs_context=self._context.uses_context,
            context_paths=tuple(self._context.context_paths),
            file=self._dockerfile.file,
            source=self._dockerfile.source,
        )

    def _with_history(self, config: ImageConfig, image: ImageDraft, first: Stage) -> ImageConfig:
        """The history, also of the layer of a context that is no image: as BuildKit tells of it."""
        if first.files is None or first.resolved is not None:
            return config
        files = first.files.vertex
        if isinstance(files.op, Scratch):
            return config
        # Its exporter has as many entries as there are layers, and calls them as it finds them.
        name = image.layers[-1].vertex.name if image.layers else files.name
        entry = History(self._context.created, name, "buildkit.exporter.image.v0")
        return config.replace(history=(*config.history, entry))

    def _with_platform(self, config: ImageConfig) -> ImageConfig:
        """The config, with the platform that was asked for where one was."""
        platform = config.platform
        if self._options.platform is not None:
            wanted = self._target
            is_same = (wanted.os, wanted.architecture) == (platform.os, platform.architecture)
            platform = Platform(
                wanted.os,
                wanted.architecture,
                wanted.variant or (platform.variant if is_same else ""),
                wanted.os_version or (platform.os_version if is_same else ""),
                wanted.os_features or platform.os_features,
            )
        platform = platform.normalized()
        return config.replace(
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
            os_version=platform.os_version,
            os_features=platform.os_features,
        )


def _before_stages(instructions: list[From | Command]) -> list[Arg]:
    """The ARGs before the first FROM: nothing else stands there."""
    declared: list[Arg] = []
    for instruction in instructions:
        if not isinstance(instruction, Arg):
            break
        declared.append(instruction)
    return declared


def _well_formed(values: Mapping[str, str]) -> dict[str, str]:
    """What comes from the command line may be no UTF-8, but has to go into JSON."""
    return {well_formed(name): well_formed(value) for name, value in values.items()}


def _time_text(seconds: int | None) -> str | None:
    """RFC 3339, in UTC."""
    if seconds is None:
        return None
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
