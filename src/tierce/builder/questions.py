"""What can be asked of a build instead of building: nothing is run, and no image is made."""

from __future__ import annotations

import threading

from tierce import builder
from tierce.builder.build import options_of
from tierce.builder.contexts import open_definition
from tierce.builder.images import ImageResolver
from tierce.builder.lint import Warnings, find_ignore
from tierce.builder.request import BuildRequest
from tierce.dockerfile.parser import parse
from tierce.frontend import check as checking
from tierce.frontend import outline as outlining
from tierce.frontend.targets import TargetList, list_targets

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.builder.definition import Definition
    from tierce.frontend.check import CheckResult
    from tierce.frontend.options import Options
    from tierce.frontend.outline import Outline
    from tierce.solver.progress import Listener
    from tierce.store import Store

# The images that a Dockerfile names have to be there, as in BuildKit: which variables are set,
# what shell there is and what ONBUILD adds is known only from their configs.


def check(store: Store, request: BuildRequest, listener: Listener) -> CheckResult:
    """Check the Dockerfile of a request; see `tierce.frontend.check.check`.

    Raises BuildError where it cannot be read.
    """
    with store.leases.take("check"):
        definition, options = _opened(store, request, listener)
        return checking.check(
            definition.text,
            definition.name,
            options,
            _resolver(store, request, listener),
            lambda: find_ignore(request),
        )


def outline(store: Store, request: BuildRequest, listener: Listener) -> Outline:
    """What the build of a target takes. Raises DockerfileError, NotFound, BuildError."""
    with store.leases.take("outline"):
        definition, options = _opened(store, request, listener)
        linter = Warnings(definition, listener).linter(options.build_args)
        found = outlining.outline(
            parse(definition.text, definition.name),
            options,
            _resolver(store, request, listener),
            linter,
            lambda: find_ignore(request),
        )
    return found.replace(source=definition.text)


def targets(store: Store, request: BuildRequest, listener: Listener) -> TargetList:
    """The targets of the Dockerfile of a request. Raises DockerfileError, BuildError."""
    with store.leases.take("targets"):
        definition, _ = _opened(store, request, listener)
    dockerfile = parse(definition.text, definition.name)
    return TargetList(list_targets(dockerfile), definition.text)


def _resolver(store: Store, request: BuildRequest, listener: Listener) -> ImageResolver:
    return ImageResolver(
        store,
        listener,
        lambda: builder.pulling.Puller(
            *(store, dict(request.environment), listener, threading.Event())
        ),
        always=request.pull,
    )


def _opened(store: Store, request: BuildRequest, listener: Listener) -> tuple[Definition, Options]:
    """The Dockerfile, and what the request asks of the front end."""
    options = options_of(request)
    opened = open_definition(store, request, listener, threading.Event())
    if request.contexts:
        named = builder.named.NamedContexts(
            store, request.contexts, listener, _resolver(store, request, listener)
        )
        options = options.replace(contexts=named.values, load_context=named.load)
    return opened.definition, options.replace(context=opened.context)
