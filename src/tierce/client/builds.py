"""Building images from Python."""

from __future__ import annotations

from tierce import builder
from tierce.builder import BuildRequest, BuildResult

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import threading

    from tierce.solver.progress import Event, Listener
    from tierce.store import Store

__all__ = ["BuildRequest", "BuildResult", "Builds"]


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
