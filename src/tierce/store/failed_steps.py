"""What is kept of steps of a build that failed, so that somebody can look around in them.

A failed step is the file system as the step left it, and what its process was given: enough to
run another process in its place. Never kept are the values of secrets and the sockets of agents.
"""

from __future__ import annotations

import os
import time

from tierce.errors import InvalidValue
from tierce.lean import json
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from tierce.store.database import Database
    from tierce.store.leases import Leases

KEPT = 10
"""How many failed steps a store keeps: the newest."""

SHORT_ID = 12
_HEX = "0123456789abcdef"


class BindFiles(Value):
    """Shows `source` of a snapshot (None: of the empty file system) at `target`.

    What is written there, unless it is `read_only`, is thrown away.
    """

    target: str
    snapshot: int | None
    source: str = "/"
    read_only: bool = True


class CacheFiles(Value):
    """Shows `source` in the cache called `name` at `target`.

    `sharing` is "shared", "private" or "locked". A new one has this mode and owner.
    """

    target: str
    name: str
    source: str = "/"
    sharing: str = "shared"
    read_only: bool = False
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


class MemoryFiles(Value):
    """An empty directory in memory at `target`, of `size` bytes at most (0: no limit of ours)."""

    target: str
    size: int = 0
    read_only: bool = False


StepMount = BindFiles | CacheFiles | MemoryFiles

_KINDS: dict[str, type[StepMount]] = {
    "bind": BindFiles,
    "cache": CacheFiles,
    "tmpfs": MemoryFiles,
}


class StepProcess(Value):
    """What the process of a step was given; `args` are empty for a step that runs none.

    `env` holds "NAME=value"; `shell` is what to run to look around; `hosts` are (name, address).
    `network` is "default", "host" or "none"; `security` is "sandbox" or "insecure".
    """

    args: tuple[str, ...] = ()
    shell: tuple[str, ...] = ("/bin/sh",)
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    network: str = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    security: str = "sandbox"
    mounts: tuple[StepMount, ...] = ()

    def encode(self) -> str:
        """As JSON."""
        members = {name: getattr(self, name) for name in _PLAIN}
        members["mounts"] = [_encode_mount(mount) for mount in self.mounts]
        return json.dumps(members, separators=(",", ":"), sort_keys=True)

    @classmethod
    def decode(cls, text: str) -> StepProcess:
        """From JSON. Raises InvalidValue."""
        try:
            members = json.loads(text)
            return cls(
                args=tuple(members["args"]),
                shell=tuple(members["shell"]),
                env=tuple(members["env"]),
                cwd=members["cwd"],
                user=members["user"],
                network=members["network"],
                hosts=tuple((name, address) for name, address in members["hosts"]),
                security=members["security"],
                mounts=tuple(_decode_mount(mount) for mount in members["mounts"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidValue(f"read failed step: {error}") from error


_PLAIN = ("args", "shell", "env", "cwd", "user", "network", "hosts", "security")


class FailedStep(Value):
    """A step that failed. `id` is hexadecimal; `build` says of which build (see `add`).

    `name` is for people; `snapshot` the number of its file system; `created` is in seconds since
    the epoch.
    """

    id: str
    build: str
    name: str
    snapshot: int
    created: float

    @property
    def short(self) -> str:
        """The beginning of the id, as people are shown it."""
        return self.id[:SHORT_ID]


_COLUMNS = "id, build, name, snapshot, created"


class FailedSteps:
    """The failed steps of a store. What one refers to is not garbage while it is kept."""

    def __init__(self, database: Database, leases: Leases) -> None:
        self._database = database
        self._leases = leases

    def add(
        self,
        build: str,
        name: str,
        snapshot: int,
        process: StepProcess,
        *,
        identifier: str = "",
    ) -> FailedStep:
        """Keep a failed step, in place of the oldest if there are as many as are kept.

        `build` is any text that tells builds of one thing from those of others; the `identifier`
        is one that nothing else has, random by default. Raises StoreError.
        """
        step = FailedStep(identifier or os.urandom(32).hex(), build, name, snapshot, time.time())
        with self._database.transaction():
            self._database.execute(
                f"INSERT INTO failed_steps ({_COLUMNS}, process, lease)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(step.id, build, name, snapshot, step.created),
                    process.encode(),
                    self._leases.current,
                ),
            )
            used = [mount.snapshot for mount in process.mounts if isinstance(mount, BindFiles)]
            self._database.execute_many(
                "INSERT INTO failed_step_inputs (step, snapshot) VALUES (?, ?)",
                [(step.id, number) for number in used if number is not None],
            )
            for old in self.list()[KEPT:]:
                self.remove(old.id)
        return step

    def find(self, text: str) -> FailedStep | None:
        """The step whose id begins so, or None. Raises InvalidValue when several do."""
        if not text or text.strip(_HEX):
            return None
        found = self._select("WHERE id >= ? AND id < ? LIMIT 2", text, text + "g")
        if len(found) > 1:
            raise InvalidValue(f"find failed step {text}: several ids begin so", value=text)
        return found[0] if found else None

    def process(self, step: FailedStep) -> StepProcess:
        """What its process was given. Raises InvalidValue when the step was removed meanwhile."""
        row = self._database.one("SELECT process FROM failed_steps WHERE id = ?", (step.id,))
        return StepProcess.decode("" if row is None else row[0])

    def list(self) -> Sequence[FailedStep]:
        """All failed steps, newest first."""
        return self._select("ORDER BY created DESC, id")

    def remove(self, identifier: str) -> bool:
        """Drop a failed step; says whether it was there. `gc.collect` frees its files."""
        statement = "DELETE FROM failed_steps WHERE id = ?"
        return bool(self._database.execute(statement, (identifier,)).rowcount)

    def succeeded(self, build: str) -> int:
        """Drop the failed steps of a build that has succeeded now; how many there were."""
        return self._database.execute("DELETE FROM failed_steps WHERE build = ?", (build,)).rowcount

    def _select(self, condition: str, *parameters: Any) -> Sequence[FailedStep]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM failed_steps {condition}", parameters)
        return [FailedStep(*row) for row in rows]


def _encode_mount(mount: StepMount) -> dict[str, Any]:
    [kind] = [name for name, each in _KINDS.items() if isinstance(mount, each)]
    return {"type": kind, **{name: getattr(mount, name) for name in _fields(type(mount))}}


def _decode_mount(members: dict[str, Any]) -> StepMount:
    kind = _KINDS[members["type"]]
    return kind(**{name: members[name] for name in _fields(kind)})


def _fields(kind: type[StepMount]) -> tuple[str, ...]:
    return tuple(kind.__annotations__)
