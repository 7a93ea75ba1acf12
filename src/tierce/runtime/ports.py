"""Ports that are published: which are asked for, and holding them on this machine.

A published port is forwarded by the kernel, so that no program need listen to it. Something
does all the same while the container runs: nobody else is given a port that would never reach
him, and who asks for one that is taken is told before anything is started.
"""

from __future__ import annotations

import errno
import os

from tierce.errors import ContainerError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

ANY_ADDRESS = "0.0.0.0"
PROTOCOLS = ("tcp", "udp", "sctp")
_SCTP = 132

_IN_ORDER = {"tcp": 0, "udp": 1, "sctp": 2}


class PortRequest(Value):
    """A port of a container to be published on one of `first` to `last`; 0: any that is free.

    `host_ip` is an IPv4 address of this machine, or empty for all of them.
    """

    container: int
    protocol: str = "tcp"
    host_ip: str = ""
    first: int = 0
    last: int = 0


class Published(Value):
    """A port of a container, and the one of this machine by which it is reached."""

    container: int
    protocol: str
    host_ip: str
    port: int

    @property
    def name(self) -> str:
        """As docker writes it: "80/tcp"."""
        return f"{self.container}/{self.protocol}"

    def is_in_way_of(self, other: Published) -> bool:
        """Whether this machine cannot have both."""
        everywhere = {"", ANY_ADDRESS}
        return (self.port, self.protocol) == (other.port, other.protocol) and (
            self.host_ip == other.host_ip
            or self.host_ip in everywhere
            or other.host_ip in everywhere
        )


class HeldPorts:
    """Ports of this machine that nobody else gets while they are held. Context manager."""

    def __init__(self) -> None:
        self.published: tuple[Published, ...] = ()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> HeldPorts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """By which another process can go on holding them."""
        return tuple([held.fileno() for held in self._sockets])

    def hold(self, requests: Iterable[PortRequest], holder: Callable[[str, int, str], str]) -> None:
        """Takes a port for each request, those with a fixed one first.

        `holder` says who has an address, port and protocol, in words. Raises ContainerError for
        one that is taken.
        """
        given = list(requests)
        found: dict[int, Published] = {}
        for number in sorted(range(len(given)), key=lambda index: given[index].first == 0):
            found[number] = self._hold(given[number], holder)
        self.published = tuple([found[number] for number in range(len(given))])

    def _hold(self, request: PortRequest, holder: Callable[[str, int, str], str]) -> Published:
        address = request.host_ip or ANY_ADDRESS
        for port in range(request.first, max(request.first, request.last) + 1):
            try:
                held = _bound(address, port, request.protocol)
            except OSError as error:
                taken = error.errno == errno.EADDRINUSE
                if taken and port < request.last:
                    continue
                raise _refusal(address, port, request, error, holder) from error
            self._sockets.append(held)
            chosen = int(held.getsockname()[1])
            return Published(request.container, request.protocol, request.host_ip, chosen)
        raise AssertionError("a range has a port")

    def close(self) -> None:
        """Lets go of the ports. Idempotent."""
        while self._sockets:
            self._sockets.pop().close()


def _bound(address: str, port: int, protocol: str) -> socket.socket:
    import socket  # 4 ms, for containers that publish something

    datagrams = protocol == "udp"
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    made = socket.socket(socket.AF_INET, kind, _SCTP if protocol == "sctp" else 0)
    try:
        if not datagrams:
            # As servers do: connections of the last one that still linger are no hindrance.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if not datagrams:
            made.listen(0)
    except OSError:
        made.close()
        raise
    return made


def _refusal(
    address: str,
    port: int,
    request: PortRequest,
    error: OSError,
    holder: Callable[[str, int, str], str],
) -> ContainerError:
    if error.errno != errno.EADDRINUSE:
        reason = os.strerror(error.errno or 0).lower()
        hint = "users publish ports from 1024 on" if error.errno == errno.EACCES else ""
        return ContainerError(f"listen {request.protocol} {address}:{port}: {reason}", hint=hint)
    who = holder(address, port, request.protocol)
    return ContainerError(
        f"Bind for {address}:{port} failed: port is already allocated{f' ({who})' if who else ''}",
        hint="stop that, or publish another port",
    )


def process_with(address: str, port: int, protocol: str) -> str:
    """Which process of this machine has a port: "process nginx, pid 12"; empty if nobody says."""
    inodes = set(_sockets_at(address, port, protocol))
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            links = [entry.path for entry in os.scandir(f"/proc/{name}/fd")]
        except OSError:  # ended, or another user's
            continue
        if any(_link(path) in wanted for path in links):
            try:
                with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as file:
                    return f"process {file.read().strip()}, pid {name}"
            except OSError:
                continue
    return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _sockets_at(address: str, port: int, protocol: str) -> Iterator[str]:
    """The inodes of sockets that are in the way of one at an address; see proc_net_tcp.rst."""
    for name in (protocol, f"{protocol}6"):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            local, _, number = words[1].partition(":")
            listens = protocol == "udp" or words[3] == "0A"
            if listens and int(number, 16) == port and _overlap(local, address):
                yield words[9]


def _overlap(local: str, address: str) -> bool:
    """Whether a socket at the first address (as in /proc/net) also has the second one."""
    if address == ANY_ADDRESS or not local.strip("0"):
        return True
    packed = bytes(int(part) for part in address.split("."))
    # In the byte order of this machine, four bytes at a time.
    import sys

    own = bytes.fromhex(local[-8:])
    return (own[::-1] if sys.byteorder == "little" else own) == packed


def in_order(ports: Iterable[Published]) -> list[Published]:
    """By the container's port, as docker lists them."""
    return sorted(
        ports, key=lambda port: (port.container, _IN_ORDER.get(port.protocol, 3), port.port)
    )
