"""What is remembered of a container: the JSON in its row."""

from __future__ import annotations

from tierce.lean import json
from tierce.oci.config import Healthcheck
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

CREATED = "created"
STARTING = "starting"
"""Somebody who holds the container's lock starts it; if nobody does, who did was killed."""

RUNNING = "running"
EXITED = "exited"
REMOVING = "removing"
"""As STARTING, for a removal."""


class ContainerState(Value):
    """A container as it was made, and how far it came.

    `status` is one of the constants here; `exit_code` counts when it is EXITED; `error` says why
    it could not start. Times are seconds since the epoch, 0.0 for not yet. `remove` says that the
    container goes with its process, `remove_volumes` that its anonymous volumes go with it.

    A running container has a `launcher`, that of the command in whose foreground it is, or a
    `monitor`, the conmon in the background, and then the `process` is its process 1: each a
    number and when it started, as in `runtime.monitor.ProcessId`, in the `boot` of this id.

    The rest is how it was made. `ports` are as in `runtime.ports.PortRequest`; `binds` are
    source, target, whether read-only, and options;
    `volumes` are name, target, whether read-only, whether anonymous, and the part that is shown;
    `memory` are target and options. `rights` are what `Rights.encode` gave.
    `directories` are the VOLUMEs of an image made of it. `health` has the fields of a
    `Healthcheck`, `shell` is what its command is run by. `log_start` is the place in the log where
    the present run begins: device and inode of a file, and a byte in it.
    """

    status: str = CREATED
    exit_code: int = 0
    error: str = ""
    out_of_memory: bool = False
    started: float = 0.0
    finished: float = 0.0
    launcher: str = ""
    monitor: tuple[int, int] = (0, 0)
    process: tuple[int, int] = (0, 0)
    boot: str = ""
    detached: bool = False
    remove: bool = False
    remove_volumes: bool = False
    image_name: str = ""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = "/"
    user: str = ""
    hostname: str = ""
    stdin: bool = False
    stdin_once: bool = False
    attached: tuple[str, ...] = ()
    terminal: bool = False
    network: str = "default"
    ports: tuple[tuple[int, str, str, int, int], ...] = ()
    publish_all: bool = False
    address: str = ""
    mac: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    binds: tuple[tuple[str, str, bool, tuple[str, ...]], ...] = ()
    volumes: tuple[tuple[str, str, bool, bool, str], ...] = ()
    memory: tuple[tuple[str, tuple[str, ...]], ...] = ()
    volumes_from: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    directories: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    privileged: bool = False
    read_only: bool = False
    stop_signal: str = ""
    stop_timeout: int | None = None
    platform: str = ""
    log_driver: str = "json-file"
    log_options: tuple[tuple[str, str], ...] = ()
    log_start: tuple[int, int, int] = (0, 0, 0)
    health: tuple[tuple[str, ...], int, int, int, int, int] | None = None
    shell: tuple[str, ...] = ()

    @property
    def may_have_keeper(self) -> bool:
        """False for most; for the others `keeping` knows."""
        return self.health is not None or bool(self.log_options) or self.log_driver == "local"

    @property
    def health_check(self) -> Healthcheck | None:
        """How to see whether the container is well; None when nobody is to."""
        return None if self.health is None else Healthcheck(*self.health)

    rights: tuple[tuple[str, Any], ...] = ()

    @property
    def runtime(self) -> str:
        """The name of the OCI runtime that it is to have; empty for the usual one."""
        return str(dict(self.rights).get("runtime", ""))

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
