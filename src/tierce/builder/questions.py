"""What can be asked of a build instead of building: nothing is run, and no image is made."""

from __future__ import annotations

from tierce.builder.build import options_of
from tierce.builder.definition import read_definition
from tierce.builder.images import ImageResolver
from tierce.builder.lint import Warnings, find_ignore
from tierce.builder.request import BuildRequest
from tierce.dockerfile.parser import parse
from tierce.frontend import check as checking
from tierce.frontend import outline as outlining
from tierce.frontend.targets import TargetList, list_targets

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.frontend.check import CheckResult
    from tierce.frontend.outline import Outline
    from tierce.solver.progress import Listener
    from tierce.store import Store

# The images that a Dockerfile names have to be there, as in BuildKit: which variables are set,
# what shell there is and what ONBUILD adds is known only from their configs.


def check(store: Store, request: BuildRequest, listener: Listener) -> CheckResult:
    """Check the Dockerfile of a request; see `tierce.frontend.check.check`.

    Raises BuildError where it cannot be read.
    """
    definition = read_definition(request, listener)
    with store.leases.take("check"):
        return checking.check(
            definition.text,
            definition.name,
            options_of(request),
            ImageResolver(store, listener),
            lambda: find_ignore(request),
        )


def outline(store: Store, request: BuildRequest, listener: Listener) -> Outline:
    """What the build of a target takes. Raises DockerfileError, NotFound, BuildError."""
    definition = read_definition(request, listener)
    options = options_of(request)
    linter = Warnings(definition, listener).linter(options.build_args)
    with store.leases.take("outline"):
        found = outlining.outline(
            parse(definition.text, definition.name),
            options,
            ImageResolver(store, listener),
            linter,
            lambda: find_ignore(request),
        )
    return found.replace(source=definition.text)


def targets(request: BuildRequest, listener: Listener) -> TargetList:
    """The targets of the Dockerfile of a request. Raises DockerfileError, BuildError."""
    definition = read_definition(request, listener)
    dockerfile = parse(definition.text, definition.name)
    return TargetList(list_targets(dockerfile), definition.text)
