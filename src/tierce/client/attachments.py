"""Our streams on those of containers in the background."""

from __future__ import annotations

from tierce.containers import attaching
from tierce.containers.attaching import AttachOptions
from tierce.containers.foreground import Streams
from tierce.containers.request import RunRequest
from tierce.containers.stop import resolve
from tierce.store import Store

__all__ = ["AttachOptions", "Attachments", "Streams"]


class Attachments:
    """Attaches to the containers of one store, which are named as in `Containers`."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
        return attaching.run_attached(self._store, request, options, streams, must=must)
