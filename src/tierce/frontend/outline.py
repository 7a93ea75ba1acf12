"""What can be given to the build of a target: arguments, secrets, agents."""

from __future__ import annotations

from tierce.dockerfile import words
from tierce.frontend import entitlements
from tierce.frontend.lower import Lowering
from tierce.frontend.stages import Stage
from tierce.frontend.targets import described
from tierce.graph.ops import Secret, Ssh
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tierce.dockerfile.ignore import Ignore
    from tierce.dockerfile.lint import Linter
    from tierce.dockerfile.parser import Dockerfile, Instruction
    from tierce.frontend.options import Options, Resolver


class OutlinedArgument(Value):
    """A build argument with the value that it has here; `description` is from a comment."""

    name: str
    description: str
    value: str
    first_line: int
    last_line: int


class OutlinedMount(Value):
    """A secret or an agent, and the first RUN that uses it."""

    name: str
    is_required: bool
    first_line: int
    last_line: int


class Outline(Value):
    """What the build of a target takes, in the order of the file. `name` may be empty.

    `source` is the text of the Dockerfile.
    """

    name: str
    description: str
    arguments: tuple[OutlinedArgument, ...]
    secrets: tuple[OutlinedMount, ...]
    agents: tuple[OutlinedMount, ...]
    source: bytes = b""


def outline(
    dockerfile: Dockerfile,
    options: Options,
    resolver: Resolver,
    linter: Linter,
    find_ignore: Callable[[], Ignore | None],
) -> Outline:
    """Lower a target to find out what its build takes. Raises what `lower` raises.

    As in BuildKit, it is for the platform of this machine, whatever the options say, and a RUN may
    want what a build has to allow.
    """
    options = options.replace(platform=None, allow=entitlements.ALL)
    lowering = Lowering(dockerfile, options, linter, find_ignore)
    target = lowering.lower(resolver)
    reached = list(_reached(target))
    arguments = _arguments(reached, _global_arguments(lowering, dockerfile, options.build_args))
    definition = target.definition
    return Outline(
        definition.name,
        described(definition.name, definition.source.comments),
        tuple(sorted(arguments, key=lambda each: each.first_line)),
        _mounts(reached, Secret),
        _mounts(reached, Ssh),
    )


def _reached(target: Stage) -> Iterator[Stage]:
    """The target, what it is built from, and what it takes files from."""
    seen: dict[Stage, None] = {}
    todo = [target]
    while todo:
        stage = todo.pop()
        if stage in seen:
            continue
        seen[stage] = None
        yield stage
        todo += reversed([each for each in stage.sources() if isinstance(each, Stage)])


def _lineage(stage: Stage | None) -> Iterator[Stage]:
    """The stage, the one it is built from, and so on."""
    while stage is not None:
        yield stage
        stage = stage.base


class _Global:
    """An argument that is declared before the first FROM, and the names that its value needs."""

    def __init__(self, shown: OutlinedArgument, needs: set[str]) -> None:
        self.shown = shown
        self.needs = needs


def _global_arguments(
    lowering: Lowering, dockerfile: Dockerfile, given: Mapping[str, str]
) -> dict[str, _Global]:
    found: dict[str, _Global] = {}
    variables = dict(lowering.predefined)
    rules = words.Rules(escape=dockerfile.escape)
    for instruction in lowering.global_declarations:
        for declaration in instruction.declarations:
            name = declaration.name
            needs: set[str] = set()
            value = given.get(name)
            if value is None and declaration.default is not None:
                references = words.References()
                value = words.expand(declaration.default, variables, rules, references)
                needs = set(references.found)
                if name in needs:
                    needs.discard(name)
                    needs |= found[name].needs if name in found else set()
            if value is not None:
                variables[name] = value
            found[name] = _Global(_argument(name, value or "", instruction.source), needs)
    return found


def _argument(name: str, value: str, place: Instruction) -> OutlinedArgument:
    description = described(name, place.comments)
    return OutlinedArgument(name, description, value, place.first_line, place.last_line)


def _arguments(stages: list[Stage], known: Mapping[str, _Global]) -> Iterator[OutlinedArgument]:
    """Each name once, as the first stage that uses it sees it."""
    seen: set[str] = set()
    for stage in stages:
        todo = [name for each in _lineage(stage) for name in each.used_arguments]
        for name, declared in stage.declared.items():
            if declared is None:
                todo.append(name)
            elif name not in seen:
                seen.add(name)
                yield _argument(name, *declared)
                # What its global namesake needs is not needed here.
        while todo:
            name = todo.pop(0)
            if name not in seen and name in known:
                seen.add(name)
                yield known[name].shown
                todo += known[name].needs


def _mounts(stages: list[Stage], kind: type[Secret | Ssh]) -> tuple[OutlinedMount, ...]:
    found: dict[str, OutlinedMount] = {}
    for stage in stages:
        for step in stage.steps:
            place = step.place
            for mount in step.mounts:
                if isinstance(mount, kind):
                    shown = OutlinedMount(
                        mount.id, mount.required, place.first_line, place.last_line
                    )
                    found.setdefault(mount.id, shown)
    return tuple(sorted(found.values(), key=lambda each: each.first_line))
