"""Building images from Python."""

from __future__ import annotations

from tierce import builder
from tierce.builder import BuildRequest, BuildResult
from tierce.builder.request import Legacy

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import threading

    from tierce.frontend.check import CheckResult
    from tierce.frontend.outline import Outline
    from tierce.frontend.targets import TargetList
    from tierce.solver.progress import Event, Listener
    from tierce.store import Store

__all__ = ["BuildRequest", "BuildResult", "Builds", "Legacy"]


def _silent(event: Event) -> None:
    """Listens to nothing."""


class Builds:
    """Builds into one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def build(
        self,
        request: BuildRequest,
        listener: Listener = _silent,
        *,
        cancelled: threading.Event | None = None,
    ) -> BuildResult:
        """Build one image and give it its tags.

        `listener` is called with each event of `tierce.solver.progress`; setting `cancelled`
        ends the build. Raises DockerfileError, BuildError (StepFailed for a RUN), NotFound for a
        base that is not there, Cancelled, StoreError.
        """
        return builder.build(self._store, request, listener, cancelled=cancelled)

    def check(self, request: BuildRequest, listener: Listener = _silent) -> CheckResult:
        """Check the Dockerfile of a build by all rules, without running anything.

        The target of the request is checked with what it needs; all stages when it names none.
        What a build would be refused with is in the result. Raises BuildError for a Dockerfile
        that cannot be read, DockerfileError for a build argument of check options without sense.
        """
        return builder.questions.check(self._store, request, listener)

    def outline(self, request: BuildRequest, listener: Listener = _silent) -> Outline:
        """The arguments, secrets and agents that the build of a target takes; nothing is run.

        Raises what `build` raises for a Dockerfile, a base or a context that is not right.
        """
        return builder.questions.outline(self._store, request, listener)

    def targets(self, request: BuildRequest, listener: Listener = _silent) -> TargetList:
        """The stages of the Dockerfile of a build. Raises DockerfileError, BuildError."""
        return builder.questions.targets(self._store, request, listener)
