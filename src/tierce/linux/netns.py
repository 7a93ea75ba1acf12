"""Network namespaces (network_namespaces(7)), held by descriptors."""

from __future__ import annotations

import os
import struct
import sys
import threading

from tierce.linux.namespaces import CLONE_NEWNET, unshare

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFREQ = "16sH22x"
"""struct ifreq of netdevice(7), with its flags."""

SETTINGS = {
    "net/ipv4/ip_unprivileged_port_start": "0",
    "net/ipv4/ping_group_range": "0 2147483647",
}
"""What docker sets in the namespace of a container: no user of it needs a capability to listen on
port 80, or to use ping."""


def create(settings: Mapping[str, str] = SETTINGS) -> int:
    """A descriptor of a new namespace, which is there while that, or a process in it, is.

    Its loopback interface is up, and it has these `settings` of sysctl(8). Raises OSError.
    """
    made: list[int] = []
    failures: list[OSError] = []

    def work() -> None:
        # A thread of its own: it stays in the namespace, and ends.
        try:
            unshare(CLONE_NEWNET)
            _enable_loopback()
            for name, value in settings.items():
                _set(name, value)
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return made[0]


def may_forward() -> bool:
    """Whether the machine forwards IPv4 packets, or can be told to."""
    path = "/proc/sys/net/ipv4/ip_forward"
    if os.access(path, os.W_OK):
        return True
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def _enable_loopback() -> None:
    # `socket` takes 4 ms to import, which is more than all the rest here.
    import _socket
    import fcntl

    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        asked = struct.pack(_IFREQ, b"lo", 0)
        _, flags = struct.unpack(_IFREQ, fcntl.ioctl(control.fileno(), _SIOCGIFFLAGS, asked))
        changed = struct.pack(_IFREQ, b"lo", flags | _IFF_UP)
        fcntl.ioctl(control.fileno(), _SIOCSIFFLAGS, changed)
    finally:
        control.close()


def _set(name: str, value: str) -> None:
    """Sets what sysctl(8) would; a kernel that does not have it, has no such restriction."""
    try:
        # Not for writing alone: where /proc/sys is read-only, that is all that can be done.
        descriptor = os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def own_address() -> tuple[str, int]:
    """The address by which this machine reaches others, and how many bits name its network.

    Empty and 0 for one that reaches none. Raises OSError.
    """
    import _socket  # as in `_enable_loopback`

    with open("/proc/net/route", encoding="ascii") as file:
        routes = [line.split() for line in file][1:]
    gateways = [(route[0], route[2]) for route in routes if route[1] == "00000000"]
    if not gateways:
        return "", 0
    interface, gateway = gateways[0]
    masks = [int(route[7], 16).bit_count() for route in routes if route[0] == interface]
    packed = int(gateway, 16).to_bytes(4, sys.byteorder)
    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        # Nothing is sent: the kernel says what it would send from.
        probe.connect((".".join(map(str, packed)), 9))
        return str(probe.getsockname()[0]), max(masks)
    finally:
        probe.close()
