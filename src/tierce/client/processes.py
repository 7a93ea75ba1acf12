"""The processes of running containers: what runs in them, and commands beside it."""

from __future__ import annotations

from tierce.containers import executing
from tierce.containers import top as ps
from tierce.containers.executing import ExecRequest
from tierce.containers.foreground import Streams
from tierce.containers.stop import resolve
from tierce.store import Store

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ExecRequest", "Processes", "Streams"]


class Processes:
    """What runs in the containers of one store, which are named as in `Containers`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, name: str, request: ExecRequest, streams: Streams | None = None) -> int:
        """Run a command in a container; its exit status, 0 when it is detached.

        Raises as `executing.execute`.
        """
        return executing.execute(self._store, resolve(self._store, name), request, streams)

    def top(self, name: str, options: Sequence[str] = ()) -> list[list[str]]:
        """The processes of a container, as ps shows them with these options, titles first.

        Raises as `top.top`.
        """
        return ps.top(self._store, resolve(self._store, name), options)
