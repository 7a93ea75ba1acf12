"""Choosing a subnet that nothing else on this machine uses."""

from __future__ import annotations

import sys

from tierce.errors import RuntimeUnavailable
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

_PREFIX = 16
_SECOND = tuple(range(86, 64, -1))
"""Of 10.x.0.0/16. Podman takes 10.88.0.0/16 without a look at who else has it, and its other
networks are above that; docker's are not in 10.0.0.0/8."""

_RESOLV_CONF = "/etc/resolv.conf"


class Subnet(Value):
    """IPv4 addresses with a common beginning of `prefix` bits."""

    address: int
    prefix: int

    @classmethod
    def parse(cls, text: str) -> Subnet:
        """From "10.88.0.0/16". Raises ValueError."""
        address, _, prefix = text.partition("/")
        return cls(number_of(address), int(prefix or "32"))

    @property
    def gateway(self) -> str:
        """The first address, which the machine itself has."""
        return text_of(self.address + 1)

    def overlaps(self, other: Subnet) -> bool:
        bits = 32 - min(self.prefix, other.prefix)
        return self.address >> bits == other.address >> bits

    def __str__(self) -> str:
        return f"{text_of(self.address)}/{self.prefix}"


def number_of(address: str) -> int:
    """An IPv4 address as a number. Raises ValueError."""
    parts = address.split(".")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise ValueError(address)
    return int.from_bytes(bytes(int(part) for part in parts), "big")


def text_of(address: int) -> str:
    """A number as an IPv4 address."""
    return ".".join(str(byte) for byte in address.to_bytes(4, "big"))


def choose_subnet() -> Subnet:
    """The first of ours that neither a route of this machine nor a name server is in.

    Raises RuntimeUnavailable when there is none.
    """
    used = [*routes(_read("/proc/thread-self/net/route")), *name_servers(_read(_RESOLV_CONF))]
    return first_free(used)


def first_free(used: Iterable[Subnet]) -> Subnet:
    """The first of our subnets that overlaps none of these. Raises RuntimeUnavailable."""
    taken = list(used)
    for second in _SECOND:
        candidate = Subnet(number_of(f"10.{second}.0.0"), _PREFIX)
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise RuntimeUnavailable(
        "choose a subnet for containers: this machine has routes to all that could be used",
        hint="use the machine's own network: --network host",
    )


def routes(text: str) -> list[Subnet]:
    """The destinations in /proc/net/route, but the default one."""
    found: list[Subnet] = []
    for line in text.splitlines()[1:]:
        words = line.split()
        destination, mask = (_from_kernel(words[index]) for index in (1, 7))
        if mask:
            found.append(Subnet(destination, mask.bit_count()))
    return found


def name_servers(text: str) -> list[Subnet]:
    """The IPv4 addresses of a resolv.conf: by a default route, they have none of their own."""
    found: list[Subnet] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.append(Subnet(number_of(words[1]), 32))
            except ValueError:  # version 6
                continue
    return found


def _from_kernel(text: str) -> int:
    """A number in hexadecimal whose bytes are in this machine's order."""
    data = bytes.fromhex(text)
    return int.from_bytes(data[::-1] if sys.byteorder == "little" else data, "big")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
