"""Running containers from Python."""

from __future__ import annotations

from tierce.containers import run as running
from tierce.containers.environment import read_env_file
from tierce.containers.foreground import Streams
from tierce.containers.request import HostPath, RunRequest
from tierce.containers.volumes import parse_mount, parse_volume
from tierce.store import Store

__all__ = [
    "Containers",
    "HostPath",
    "RunRequest",
    "Streams",
    "parse_mount",
    "parse_volume",
    "read_env_file",
]


class Containers:
    """The containers of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, request: RunRequest, streams: Streams | None = None) -> int:
        """Run a container until its process ends; the process's exit status.

        Its streams are `streams`, this process's own by default; signals that this process gets
        meanwhile go to the container's. Raises NotFound for the image, Conflict for the name,
        ContainerError when it cannot be started, RuntimeUnavailable, StoreError.
        """
        return running.run(self._store, request, streams)
