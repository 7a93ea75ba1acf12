"""What is remembered of a container: the JSON in its row."""

from __future__ import annotations

import json

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

CREATED = "created"
RUNNING = "running"
EXITED = "exited"


class ContainerState(Value):
    """A container as it was made, and how far it came.

    `status` is one of the constants here; `exit_code` counts when it is EXITED; `error` says why
    it could not start. Times are seconds since the epoch, 0.0 for not yet. `launcher` is the one
    that its process lives with, `remove` says that the container goes with its process. The rest
    is how it was made.
    """

    status: str = CREATED
    exit_code: int = 0
    error: str = ""
    started: float = 0.0
    finished: float = 0.0
    launcher: str = ""
    remove: bool = False
    image_name: str = ""
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = "/"
    user: str = ""
    hostname: str = ""
    stdin: bool = False
    terminal: bool = False
    network: str = "default"
    binds: tuple[tuple[str, str, bool], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    privileged: bool = False

    def encode(self) -> str:
        """JSON, without what is as by default."""
        fields = {
            name: value
            for name in self._fields
            if (value := getattr(self, name)) != self._defaults[name]
        }
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> ContainerState:
        """What `encode` wrote; fields of a newer tierce are left out."""
        fields: dict[str, Any] = {name: _frozen(value) for name, value in json.loads(text).items()}
        return cls(**{name: value for name, value in fields.items() if name in cls._fields})


def _frozen(value: object) -> object:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
