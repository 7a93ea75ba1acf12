"""What the lowering of every instruction needs to know, and does in the same way."""

from __future__ import annotations

from tierce.dockerfile import words
from tierce.dockerfile.parser import Dockerfile, Instruction
from tierce.errors import InvalidValue
from tierce.frontend.lint import check_variables
from tierce.frontend.options import Options
from tierce.frontend.stages import Stage, Step
from tierce.graph.ops import LocalSource, Op
from tierce.graph.vertex import SourceRange, Vertex

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.dockerfile.lint import Linter, Rule

ENVIRONMENT_LIMIT = 8 << 20
"""Characters of all variables of a stage; the kernel takes less for one process."""

_NAME_LIMIT = 16 << 10
"""Characters that variables may bring into the name of a step."""


class Context:
    """One lowering: its options, and what it has learned on the way.

    Methods that expand raise InvalidValue; who calls knows the instruction, and places it.
    """

    def __init__(
        self,
        dockerfile: Dockerfile,
        options: Options,
        arguments: Mapping[str, str],
        linter: Linter,
    ) -> None:
        self.dockerfile = dockerfile
        self.options = options
        self.arguments = arguments
        """The build arguments of global scope."""
        self.proxies: tuple[tuple[str, str], ...] = ()
        self.created: str | None = None
        """The time of new history entries, when it is given."""
        self.context_paths: dict[str, None] = {}
        self.uses_context = False
        escape = dockerfile.escape
        self._rules = words.Rules(escape=escape)
        self._name_rules = words.Rules(escape=escape, limit=_NAME_LIMIT)
        # The commands of RUN are the shell's: it sees the quotes, and variables of its own.
        self._command_rules = words.Rules(
            escape=escape, raw_quotes=True, keep_unset=True, limit=_NAME_LIMIT
        )
        self._vertices: dict[tuple[str, bool], Vertex] = {}
        self._file_linter = linter
        self._linter = linter
        self._place: Instruction

    def enter(self, place: Instruction) -> None:
        """From now on an instruction is lowered: what is found is found there."""
        self._place = place
        self._linter = self._file_linter.under(place.comments)

    def report(self, rule: Rule, *found: str) -> None:
        """A rule has found something in the instruction that is lowered."""
        self.report_there(self._place, rule, *found)

    def report_there(self, place: Instruction, rule: Rule, *found: str) -> None:
        """What the instruction that is lowered makes questionable in another place."""
        self._linter.report(rule, place.first_line, place.last_line, *found)

    def expand(self, text: str, stage: Stage, rules: words.Rules | None = None) -> str:
        """The text with the variables of the stage; those that are not set are reported.

        `rules` are the usual ones unless they are given.
        """
        rules = rules or self._rules
        if "$" not in text:
            return words.expand(text, stage.environment, rules)
        references = words.References()
        try:
            return words.expand(text, stage.environment, rules, references)
        finally:
            if references.missing:
                check_variables(references.missing, stage.arguments, stage.environment, self.report)

    def expand_words(self, text: str, stage: Stage) -> list[str]:
        return words.split(text, stage.environment, self._rules)

    def build_context(self, path: str) -> Vertex:
        """The build context, of which the path is going to be used."""
        if self.options.context is not None:
            return self.options.context
        self.uses_context = True
        self.context_paths[path] = None
        return self.vertex(LocalSource("context"), name="[internal] load build context")

    def vertex(
        self,
        operation: Op,
        inputs: Sequence[Vertex] = (),
        *,
        name: str = "",
        place: Instruction | None = None,
        ignore_cache: bool = False,
    ) -> Vertex:
        """The vertex of an operation; of equal ones the first in the file, with its name."""
        source = None
        if place is not None:
            source = SourceRange(self.dockerfile.file, place.first_line, place.last_line)
        made = Vertex(operation, inputs, name=name, source=source, ignore_cache=ignore_cache)
        return self._vertices.setdefault((made.digest, ignore_cache), made)

    def set_variable(self, stage: Stage, name: str, value: str) -> None:
        """Set a variable for the steps to come; it goes to the end, as in BuildKit."""
        old = stage.environment.pop(name, None)
        stage.environment_size += len(value) - len(old or "") + (len(name) if old is None else 0)
        if stage.environment_size > ENVIRONMENT_LIMIT:
            raise InvalidValue(f"the variables hold more than {ENVIRONMENT_LIMIT >> 20} MiB")
        stage.environment[name] = value

    def ignores_cache(self, stage: Stage) -> bool:
        return self.options.no_cache or stage.name in self.options.no_cache_stages

    def step_name(
        self,
        stage: Stage,
        step: Step,
        suffix: str = "",
        *,
        is_command: bool = False,
        secrets: Sequence[str] = (),
    ) -> str:
        """ "[builder 2/7] COPY . /src": the next step of the stage, in words as written.

        The variables that hold `secrets` are not known here, and are shown so that this is seen.
        """
        code = step.place.code + suffix
        variables = stage.environment
        if secrets:
            variables = variables | dict.fromkeys(secrets, "****")
        try:
            rules = self._command_rules if is_command else self._name_rules
            code = words.expand(code, variables, rules)
        except InvalidValue:
            pass  # shown as written
        keyword, blank, rest = code.partition(" ")
        trigger = "ONBUILD " if step.is_trigger else ""
        return self._numbered(stage) + trigger + keyword.upper() + blank + rest

    def base_name(self, stage: Stage, reference: str) -> str:
        """ "[1/8] FROM docker.io/library/alpine:3.15"."""
        return f"{self._numbered(stage)}FROM {reference}"

    def _numbered(self, stage: Stage) -> str:
        stage.steps_shown += 1
        total = str(stage.step_total)
        platform = ""
        if self.options.show_platform and stage.platform is not None:
            platform = f"{stage.platform} "
        name = f"{stage.shown_name} " if stage.shown_name else ""
        return f"[{platform}{name}{stage.steps_shown:>{len(total)}}/{total}] "
