"""What containers have on a network, and the notes of it that outlive the command.

A note is a file named by the container's id: JSON with the database of the store whose container
it is, its ports, and when it is there its address. It is written before anything is set up and
goes when nothing of that is left.

Each has a lock beside it, `.<id>`, for who sets up or takes down what the note is about. The
plugins that are called meanwhile hold it, too: one that has lost its caller may still be at it.
"""

from __future__ import annotations

import fcntl
import os
import time

from tierce.lean import json
from tierce.runtime.ports import PortRequest, Published
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any


_LOCK_SECONDS = 20.0
_POLL_SECONDS = 0.002


class EndpointRequest(Value):
    """What a container is to have on a network. Empty texts: of the network's choice."""

    ports: tuple[PortRequest, ...] = ()
    address: str = ""
    mac: str = ""


class Endpoint(Value):
    """What a container has on a network; addresses as text, `prefix` in bits."""

    address: str = ""
    prefix: int = 0
    gateway: str = ""
    mac: str = ""
    ports: tuple[Published, ...] = ()


class Note(Value):
    """`owner` is the path of a store's database; without an `endpoint`, that is being made."""

    owner: str
    ports: tuple[Published, ...] = ()
    endpoint: Endpoint | None = None


class Notes:
    """The notes in a directory, which is made when the first one is written."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def path(self, identifier: str) -> str:
        return f"{self._directory}/{identifier}"

    def write(self, identifier: str, note: Note) -> None:
        """Writes a note, or another one in its place; at any moment one of them is there.

        For who holds the lock.
        """
        document: dict[str, Any] = {"owner": note.owner, "ports": _ports_out(note.ports)}
        if note.endpoint is not None:
            found = note.endpoint
            document["endpoint"] = [found.address, found.prefix, found.gateway, found.mac]
        made = f"{self._directory}/.{identifier}.new"
        with open(made, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(document, file)
        os.rename(made, self.path(identifier))

    def read(self, identifier: str) -> Note | None:
        """The note about a container, or None."""
        try:
            with open(self.path(identifier), encoding="utf-8", errors="surrogateescape") as file:
                found = json.load(file)
        except FileNotFoundError:
            return None
        ports = tuple([Published(*port) for port in found["ports"]])
        if "endpoint" not in found:
            return Note(found["owner"], ports)
        address, prefix, gateway, mac = found["endpoint"]
        return Note(found["owner"], ports, Endpoint(address, prefix, gateway, mac, ports))

    def remove(self, identifier: str) -> None:
        """Removes a note, and what was killed while it wrote another one. Idempotent."""
        for path in (self.path(identifier), f"{self._directory}/.{identifier}.new"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue

    def lock(self, identifier: str, seconds: float = _LOCK_SECONDS) -> int:
        """A descriptor that holds the lock of a note, -1 when somebody else does for so long."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        path = f"{self._directory}/.{identifier}"
        deadline = time.monotonic() + seconds
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                if time.monotonic() > deadline:
                    return -1
                time.sleep(_POLL_SECONDS)
                continue
            # Whoever had it before may have removed the file.
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)

    def unlock(self, identifier: str, descriptor: int) -> None:
        """Gives the lock back, and removes its file."""
        os.unlink(f"{self._directory}/.{identifier}")
        os.close(descriptor)

    def remove_unused_locks(self, names: Collection[str]) -> None:
        """Of these files, removes what was killed between a lock and the note that it is for."""
        for name in names:
            identifier = name[1:].removesuffix(".new")
            if not name.startswith(".") or identifier in names:
                continue
            lock = self.lock(identifier, seconds=0.0)
            if lock >= 0:
                if not os.path.exists(self.path(identifier)):
                    self.remove(identifier)
                self.unlock(identifier, lock)

    def names(self) -> list[str]:
        """The containers that there are notes about."""
        try:
            return [name for name in os.listdir(self._directory) if not name.startswith(".")]
        except FileNotFoundError:
            return []

    def left_by(self, owner: str, names: Iterable[str]) -> list[str]:
        """Of these, the ones about containers of one store, or of a store that is no more."""
        found = [(name, self.read(name)) for name in names]
        return [
            name
            for name, note in found
            if note is not None and (note.owner == owner or not os.path.exists(note.owner))
        ]

    def publisher(self, address: str, port: int, protocol: str, *, besides: str = "") -> str:
        """The container that a port of this machine is forwarded to; empty if there is none."""
        wanted = Published(0, protocol, address, port)
        for name in self.names():
            note = self.read(name) if name != besides else None
            if note is not None and any(wanted.is_in_way_of(given) for given in note.ports):
                return name
        return ""


def _ports_out(ports: tuple[Published, ...]) -> list[list[Any]]:
    return [[port.container, port.protocol, port.host_ip, port.port] for port in ports]
