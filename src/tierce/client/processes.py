"""The processes of running containers: commands in them, and their streams."""

from __future__ import annotations

from tierce.containers import attaching, executing
from tierce.containers.attaching import AttachOptions
from tierce.containers.executing import ExecRequest
from tierce.containers.foreground import Streams
from tierce.containers.request import RunRequest
from tierce.containers.run import run
from tierce.containers.stop import resolve
from tierce.store import Store

__all__ = ["AttachOptions", "ExecRequest", "Processes", "Streams"]


class Processes:
    """What runs in the containers of one store, which are named as in `Containers`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, name: str, request: ExecRequest, streams: Streams | None = None) -> int:
        """Run a command in a container; its exit status, 0 when it is detached.

        Raises as `executing.execute`.
        """
        return executing.execute(self._store, resolve(self._store, name), request, streams)

    def attach(self, name: str, options: AttachOptions, streams: Streams | None = None) -> int:
        """Attach to a running container until its end; its exit status.

        Raises as `attaching.attach`.
        """
        return attaching.attach(self._store, resolve(self._store, name), options, streams)

    def start_attached(
        self, name: str, options: AttachOptions, streams: Streams | None = None
    ) -> int:
        """Start a container, attached from its first word to its end; its exit status.

        0 for who detached by the keys. Raises as `Containers.start`.
        """
        return attaching.start_attached(self._store, resolve(self._store, name), options, streams)

    def run_in_front(
        self,
        request: RunRequest,
        options: AttachOptions,
        streams: Streams | None = None,
        *,
        must: bool = True,
    ) -> int:
        """Run a container in the background, attached to its end; its exit status.

        It outlives this process. 0 for who detached by the keys. Unless that `must` be, it is run
        as by `Containers.run` where it cannot: without conmon, and in the place of a failed step.
        Raises as `Containers.run`.
        """
        if not must and not attaching.can_detach(self._store, request):
            return run(self._store, request, streams)
        return attaching.run_attached(self._store, request, options, streams)
