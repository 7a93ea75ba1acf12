"""RUN: a command, what it sees of other file systems, and how the history tells of it."""

from __future__ import annotations

from tierce.dockerfile import lexer
from tierce.dockerfile.gotext import SPACES
from tierce.dockerfile.instructions import Run
from tierce.dockerfile.mounts import MountSpec, parse_mount
from tierce.errors import InvalidValue
from tierce.frontend.context import Context
from tierce.frontend.image import ImageDraft
from tierce.frontend.paths import absolute
from tierce.frontend.stages import External, Stage, Step
from tierce.graph.ops import Bind, CacheMount, Exec, Mount
from tierce.graph.vertex import Vertex

_DEFAULT_MODE = 0o755


def lower_run(
    context: Context, stage: Stage, image: ImageDraft, step: Step, command: Run, base: Vertex
) -> None:
    """Run the command on `base`. Raises InvalidValue."""
    if command.security != "sandbox":
        raise InvalidValue(f"RUN --security={command.security} is not supported yet")
    if command.devices:
        raise InvalidValue("RUN --device is not supported yet")
    words, summary = _command_words(command)
    if command.command.is_shell:
        words = (*image.command_shell, *words)
    if any("\0" in word for word in words):
        raise InvalidValue("a command cannot hold a NUL byte")
    inputs = [base]
    mounts = _mounts(context, stage, step, command, inputs)
    options = context.options
    network = command.network if command.network != "default" else options.network
    operation = Exec(
        args=words,
        env=tuple(stage.environment.items()),
        cwd=absolute(stage.directory),
        user=image.user,
        mounts=mounts,
        network=network,
        hosts=options.add_hosts,
        proxy=context.proxies,
    )
    stage.vertex = context.vertex(
        operation,
        inputs,
        name=context.step_name(stage, step, summary, is_command=True),
        place=step.place,
        ignore_cache=context.ignores_cache(stage),
    )
    created_by = f"RUN {_history_text(stage, words)} # buildkit"
    image.add_history(created_by, context.created, stage.vertex)


def _command_words(command: Run) -> tuple[tuple[str, ...], str]:
    """(words without the shell, what the name of the step says of a heredoc)."""
    heredocs = command.source.heredocs
    if not heredocs:
        return command.command.words, ""
    text = command.command.words[0]
    if lexer.heredoc_word(text) is None:
        # The shell reads the documents itself.
        documents = "".join([f"\n{each.content}{each.name}" for each in heredocs])
        return (text + documents,), ""
    # A heredoc alone is the script, for shells that know of no heredocs too.
    script = heredocs[0].text
    if script.startswith("#!"):
        raise InvalidValue("RUN of a heredoc that begins with #! is not supported yet")
    lines = heredocs[0].content.strip(SPACES).replace("\r\n", "\n").split("\n")
    return (script,), f" ({lines[0]}{'...' if len(lines) > 1 else ''})"


def _history_text(stage: Stage, words: tuple[str, ...]) -> str:
    """`|2 a=1 b=2 /bin/sh -c make`: the arguments of the build, their number before them."""
    if not stage.arguments:
        return " ".join(words)
    arguments = [
        f"{name}={stage.environment.get(name, value)}" for name, value in stage.arguments.items()
    ]
    return " ".join([f"|{len(arguments)}", *arguments, *words])


def _mounts(
    context: Context, stage: Stage, step: Step, command: Run, inputs: list[Vertex]
) -> tuple[Mount, ...]:
    """The mounts; file systems that they show are added to the inputs."""
    mounts: list[Mount] = []
    for text, source in zip(command.mounts, step.sources):
        spec = parse_mount(text, lambda word: context.expand(word, stage))
        if spec.type == "bind":
            mounts.append(_bind(context, stage, spec, source, inputs))
        elif spec.type == "cache":
            mounts.append(_cache(stage, spec, source, inputs))
        else:
            raise InvalidValue(f"RUN --mount=type={spec.type} is not supported yet")
    return tuple(mounts)


def _bind(
    context: Context,
    stage: Stage,
    spec: MountSpec,
    source: Stage | External | None,
    inputs: list[Vertex],
) -> Bind:
    path = absolute(spec.source)
    vertex = context.build_context(path) if source is None else _built(spec, source)
    return Bind(_target(stage, spec), _add_input(inputs, vertex), path, spec.read_only)


def _cache(
    stage: Stage, spec: MountSpec, source: Stage | External | None, inputs: list[Vertex]
) -> CacheMount:
    path = absolute(spec.source)
    given = (spec.mode, spec.uid, spec.gid) != (None, None, None)
    # As in BuildKit, permissions are for a cache that starts empty, and make it so.
    starts_empty = source is None or (path == "/" and given)
    number = 0 if starts_empty or source is None else _add_input(inputs, _built(spec, source))
    return CacheMount(
        target=_target(stage, spec),
        id=spec.id or _clean(spec.target),
        sharing=spec.sharing or "shared",
        read_only=spec.read_only,
        mode=_DEFAULT_MODE if spec.mode is None else spec.mode,
        uid=spec.uid or 0,
        gid=spec.gid or 0,
        input=number,
        source=path if number else "/",
    )


def _clean(path: str) -> str:
    return absolute(path) if path.startswith("/") else absolute(path)[1:] or "."


def _target(stage: Stage, spec: MountSpec) -> str:
    target = absolute(spec.target, stage.directory)
    if target == "/":
        raise InvalidValue('invalid mount target "/"')
    return target


def _built(spec: MountSpec, source: Stage | External) -> Vertex:
    if source.vertex is None:
        raise InvalidValue(
            f'cannot mount from stage "{spec.source_from}" to "{spec.target}",'
            " stage needs to be defined before current command"
        )
    return source.vertex


def _add_input(inputs: list[Vertex], vertex: Vertex) -> int:
    """The number of the vertex among the inputs, to which it is added if need be."""
    for number, known in enumerate(inputs):
        # Input 0 is what the command writes to; the same file system can be shown beside it.
        if number and known.digest == vertex.digest:
            return number
    inputs.append(vertex)
    return len(inputs) - 1
