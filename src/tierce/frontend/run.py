"""RUN: a command, what it sees of other file systems, and how the history tells of it."""

from __future__ import annotations

from tierce import frontend
from tierce.dockerfile import lexer
from tierce.dockerfile.gotext import SPACES
from tierce.dockerfile.instructions import Run
from tierce.errors import InvalidValue
from tierce.frontend.context import Context
from tierce.frontend.entitlements import check_step
from tierce.frontend.image import ImageDraft
from tierce.frontend.mounts import Mounts
from tierce.frontend.paths import absolute
from tierce.frontend.stages import Stage, Step
from tierce.graph.ops import Bind, Exec
from tierce.graph.vertex import Vertex

_SCRIPTS = "/dev/pipes"
_SCRIPT_MODE = 0o755
"""A heredoc that names its interpreter is a file there, for the one step."""


def lower_run(
    context: Context, stage: Stage, image: ImageDraft, step: Step, command: Run, base: Vertex
) -> None:
    """Run the command on `base`. Raises InvalidValue."""
    options = context.options
    network = command.network if command.network != "default" else options.network
    check_step(options.allow, network=network, security=command.security)
    if command.devices:
        # In BuildKit, devices are a matter of its front end for experiments.
        raise InvalidValue(
            "device feature is only supported in Dockerfile frontend 1.14.0-labs or later"
        )
    words, summary = _command_words(command)
    inputs = [base]
    script: tuple[Bind, ...] = ()
    if summary and words[0].startswith("#!"):
        document = command.source.heredocs[0]
        vertex, path = frontend.documents.document_vertex(
            context, document.name, words[0], _SCRIPT_MODE
        )
        words = (_SCRIPTS + path,)
        inputs.append(vertex)
        script = (Bind(_SCRIPTS, 1),)
    if command.command.is_shell:
        words = (*image.command_shell, *words)
    if any("\0" in word for word in words):
        raise InvalidValue("a command cannot hold a NUL byte")
    mounts = Mounts.read(context, stage, command.mounts, step.sources, inputs)
    operation = Exec(
        args=words,
        env=(*stage.environment.items(), *mounts.environment),
        cwd=absolute(stage.directory),
        user=image.user,
        mounts=(*mounts.operations, *script),  # last, as none may hide it
        network=network,
        hosts=options.add_hosts,
        security=command.security,
        proxy=context.proxies,
        limits=options.limits,
    )
    stage.vertex = context.vertex(
        operation,
        inputs,
        name=context.step_name(
            stage, step, summary, is_command=True, secrets=mounts.secret_variables
        ),
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
