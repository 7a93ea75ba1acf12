"""What a build is warned of, as events and as part of its result."""

from __future__ import annotations

import os

from tierce.builder.contexts import dockerfile_of
from tierce.dockerfile.gotext import well_formed
from tierce.dockerfile.ignore import read_ignore_file
from tierce.dockerfile.lint import make_linter
from tierce.errors import BuildError, DockerfileError, InvalidValue
from tierce.solver.progress import VertexWarning

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

    from tierce.builder.definition import Definition
    from tierce.builder.request import BuildRequest
    from tierce.dockerfile.ignore import Ignore
    from tierce.dockerfile.lint import Finding, Linter
    from tierce.solver.progress import Listener


class Warnings:
    """Tells a listener of each finding, and keeps them all."""

    def __init__(self, definition: Definition, listener: Listener) -> None:
        self.found: list[VertexWarning] = []
        self._definition = definition
        self._source = well_formed(definition.text.decode("utf-8", "surrogateescape"))
        self._listener = listener

    def linter(self, build_args: Mapping[str, str]) -> Linter:
        """The linter of the build. Raises DockerfileError for check options without sense."""
        try:
            return make_linter(self._definition.text, build_args, self._report)
        except InvalidValue as error:
            raise DockerfileError(error.message, file=self._definition.name) from None

    def _report(self, finding: Finding) -> None:
        rule, definition = finding.rule, self._definition
        warning = VertexWarning(
            definition.vertex,
            finding.message,
            rule=rule.name,
            url=rule.url,
            file=definition.name,
            line=finding.first_line,
            end_line=finding.last_line,
            source=self._source,
            detail=(rule.description,),
        )
        self.found.append(warning)
        self._listener(warning)


def find_ignore(request: BuildRequest) -> Ignore | None:
    """The rules of the ignore file of a build from a directory. Raises BuildError."""
    if not request.context or not os.path.isdir(request.context):
        return None
    try:
        context = os.path.realpath(request.context)
        ignore, _ = read_ignore_file(context, dockerfile_of(request))
    except InvalidValue as error:
        raise BuildError(error.message, hint=error.hint) from None
    return ignore
